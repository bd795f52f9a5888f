package scan

import (
	"context"
	"maps"
	"slices"

	"portcullis/cmd/portcullis-scan/image"
	"portcullis/cmd/portcullis-scan/malware"
	"portcullis/cmd/portcullis-scan/rootfs"
	"portcullis/cmd/portcullis-scan/secrets"
	"portcullis/cmd/portcullis-scan/vulnerabilities"
	"portcullis/scanner-client/verdict"
)

func makeLooks(options Options) []look {
	all := []look{
		&vulnerabilityLook{advisories: options.Advisories, without: options.Without, temp: options.Temp},
		&malwareLook{clamd: options.Clamd, skipLarger: options.SkipLarger},
		&secretLook{},
	}
	return slices.DeleteFunc(all, func(l look) bool { return !slices.Contains(options.Kinds, l.kind()) })
}

type vulnerabilityLook struct {
	advisories vulnerabilities.Advisories
	without    []string
	temp       string
	scan       *vulnerabilities.Scan
}

func (*vulnerabilityLook) kind() verdict.Kind            { return verdict.KindVulnerabilities }
func (l *vulnerabilityLook) check(context.Context) error { return l.advisories.Check() }

func (l *vulnerabilityLook) begin(_ context.Context, _ *image.Image, tree *rootfs.Tree) (rootfs.Inspector, error) {
	scan, err := vulnerabilities.NewScan(tree, l.advisories, l.without, l.temp)
	l.scan = scan
	return scan, err
}

func (l *vulnerabilityLook) finish(ctx context.Context, r *Result) error {
	result, err := l.scan.Findings(ctx)
	if err != nil {
		return err
	}
	r.Verdict.Vulnerabilities, r.Packages = result.Found, result.Packages
	r.Problems = append(r.Problems, result.Problems...)
	r.leftOut(l.kind(), result.Omitted)
	for _, name := range slices.Sorted(maps.Keys(result.Without)) {
		r.skip(l.kind(), "%d packages of %s, as --without says", result.Without[name], name)
	}
	if result.Version != "" {
		r.database("OSV " + result.Version)
	}
	return nil
}

func (l *vulnerabilityLook) close() {
	if l.scan != nil {
		l.scan.Close()
	}
}

type malwareLook struct {
	clamd      malware.Clamd
	skipLarger int64
	version    string
	scan       *malware.Scan
}

func (*malwareLook) kind() verdict.Kind { return verdict.KindMalware }

func (l *malwareLook) check(ctx context.Context) error {
	version, err := l.clamd.Version(ctx)
	l.version = version
	return err
}

func (l *malwareLook) begin(ctx context.Context, _ *image.Image, _ *rootfs.Tree) (rootfs.Inspector, error) {
	l.scan = malware.NewScan(ctx, l.clamd, l.skipLarger)
	return l.scan, nil
}

func (l *malwareLook) finish(_ context.Context, r *Result) error {
	found, omitted, err := l.scan.Findings()
	if err != nil {
		return err
	}
	r.Verdict.Malware = found
	r.leftOut(l.kind(), omitted)
	if skipped := l.scan.Skipped(); skipped > 0 {
		r.skip(l.kind(), "%d files larger than %d bytes, which clamd was not shown, as --clamd-skip-larger says", skipped, l.skipLarger)
	}
	r.database(l.version)
	return nil
}

func (l *malwareLook) close() {
	if l.scan != nil {
		_, _, _ = l.scan.Findings()
	}
}

type secretLook struct{ scan *secrets.Scan }

func (*secretLook) kind() verdict.Kind          { return verdict.KindSecrets }
func (*secretLook) check(context.Context) error { return nil }

func (l *secretLook) begin(_ context.Context, img *image.Image, _ *rootfs.Tree) (rootfs.Inspector, error) {
	l.scan = secrets.NewScan()
	l.scan.Config(img.Config)
	return l.scan, nil
}

func (l *secretLook) finish(_ context.Context, r *Result) error {
	found, omitted := l.scan.Findings()
	r.Verdict.Secrets = found
	r.leftOut(l.kind(), omitted)
	return nil
}

func (l *secretLook) close() {
	if l.scan != nil {
		l.scan.Findings()
	}
}
