package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/containerd/platforms"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/spf13/pflag"

	"portcullis/cmd/portcullis-scan/image"
	"portcullis/cmd/portcullis-scan/malware"
	"portcullis/cmd/portcullis-scan/rootfs"
	"portcullis/cmd/portcullis-scan/scan"
	"portcullis/cmd/portcullis-scan/scratch"
	"portcullis/cmd/portcullis-scan/vulnerabilities"
	"portcullis/scanner-client/verdict"
)

// flags are the command line as it is written.
type flags struct {
	runtime, namespace, name, platform string
	plainHTTP                          bool
	output                             string
	quiet                              bool
	failOn                             string
	kinds                              []string
	allowPartial, acceptSkipped        bool
	osvDB, osvAPI                      string
	without                            []string
	clamd, clamdSkipLarger             string
	maxBytes                           string
	maxFiles                           int
	timeout                            time.Duration
	temp                               string
}

func (f *flags) define(set *pflag.FlagSet) {
	set.SortFlags = false
	set.StringVar(&f.runtime, "runtime", "", "read the image from the containerd on this `SOCKET`")
	set.StringVar(&f.namespace, "namespace", "k8s.io", "containerd's `NAMESPACE`")
	set.StringVar(&f.name, "name", "", "the image with this `NAME`, in a file with several")
	set.StringVar(&f.platform, "platform", "linux/"+runtime.GOARCH, "the image for this `OS/ARCH`, where there are several")
	set.BoolVar(&f.plainHTTP, "plain-http", false, "the registry does not speak TLS")
	set.StringVarP(&f.output, "output", "o", "-", "`FILE` of the verdict, or a folder such as a node's reports folder")
	set.BoolVarP(&f.quiet, "quiet", "q", false, "no progress and no summary")
	set.StringVar(&f.failOn, "fail-on", "", "exit with status 1 when a finding has this `SEVERITY` or a higher one: "+strings.Join(verdict.SeverityNames(), ", "))
	set.StringSliceVar(&f.kinds, "kinds", kindNames(), "the `KINDS` of risk to look for")
	set.BoolVar(&f.allowPartial, "allow-partial", false, "when a kind cannot be looked for, write a verdict that does not list it as scanned")
	set.BoolVar(&f.acceptSkipped, "accept-skipped", false, "list a kind as scanned although something of it was skipped (--without, --clamd-skip-larger, too many findings)")
	set.StringVar(&f.osvDB, "osv-db", "/var/lib/portcullis/osv", "`FOLDER` with osv-scalibr/<Ecosystem>/all.zip, OSV's published advisories")
	set.StringVar(&f.osvAPI, "osv-api", "", "ask the OSV service at this `URL` instead of a folder; it learns the image's packages")
	set.StringSliceVar(&f.without, "without", nil, "leave out packages of these `ECOSYSTEMS`")
	set.StringVar(&f.clamd, "clamd", malware.DefaultAddress, "`ADDRESS` of clamd, unix://PATH or tcp://HOST:PORT")
	set.StringVar(&f.clamdSkipLarger, "clamd-skip-larger", "", "do not show clamd files larger than this `SIZE`, such as 100M")
	set.StringVar(&f.maxBytes, "max-bytes", "64G", "give up an image whose layers are larger than this `SIZE` when unpacked")
	set.IntVar(&f.maxFiles, "max-files", rootfs.DefaultLimits.Files, "give up an image with more files, folders and links than this `NUMBER`")
	set.DurationVar(&f.timeout, "timeout", time.Hour, "give up after this `TIME`")
	set.StringVar(&f.temp, "temp", scratch.DefaultFolder(), "`FOLDER` on disk for downloaded layers and programs of the image")
}

func kindNames() []string {
	var names []string
	for _, kind := range verdict.Kinds() {
		names = append(names, string(kind))
	}
	return names
}

// settings are the command line as it is meant.
type settings struct {
	flags
	target   string
	platform v1.Platform
	options  scan.Options
	failOn   *verdict.Severity
}

// parse finds every mistake at once.
func (f flags) parse(target string) (*settings, error) {
	s := &settings{flags: f, target: target}
	var mistakes []error
	mistake := func(flag string, err error) {
		if err != nil {
			mistakes = append(mistakes, fmt.Errorf("%s: %w", flag, err))
		}
	}
	var err error
	s.platform, err = parsePlatform(f.platform)
	mistake("--platform", err)
	if f.failOn != "" {
		severity, err := verdict.ParseSeverity(f.failOn)
		mistake("--fail-on", err)
		s.failOn = &severity
	}
	s.options = scan.Options{AllowPartial: f.allowPartial, AcceptSkipped: f.acceptSkipped, Without: f.without, Temp: f.temp, Version: version, Now: time.Now}
	s.options.Kinds, err = parseKinds(f.kinds)
	mistake("--kinds", err)
	s.options.Clamd, err = malware.ParseAddress(f.clamd)
	mistake("--clamd", err)
	if f.clamdSkipLarger != "" {
		s.options.SkipLarger, err = parseSize(f.clamdSkipLarger)
		mistake("--clamd-skip-larger", err)
	}
	s.options.Limits.Bytes, err = parseSize(f.maxBytes)
	mistake("--max-bytes", err)
	s.options.Limits.Files = f.maxFiles
	if f.maxFiles <= 0 {
		mistake("--max-files", fmt.Errorf("%d is no limit; write a number above 0, such as %d", f.maxFiles, rootfs.DefaultLimits.Files))
	}
	if f.timeout <= 0 {
		mistake("--timeout", fmt.Errorf("%s is no time; write one above 0, such as 30m", f.timeout))
	}
	if f.name != "" && (f.runtime != "" || !isFile(target)) {
		mistake("--name", errors.New("chooses an image in a file; write the name as the image instead"))
	}
	s.options.Advisories = vulnerabilities.Offline{Folder: f.osvDB}
	if f.osvAPI != "" {
		online := vulnerabilities.Online{URL: f.osvAPI}
		mistake("--osv-api", online.Check())
		s.options.Advisories = online
	}
	return s, errors.Join(mistakes...)
}

// parsePlatform reads OS/ARCH or OS/ARCH/VARIANT. A misspelt one would fit no image, or by chance the only one.
func parsePlatform(text string) (v1.Platform, error) {
	parsed, err := platforms.Parse(text)
	if err != nil || strings.Count(text, "/") == 0 {
		return v1.Platform{}, fmt.Errorf("%q is not a platform; write OS/ARCH, such as linux/amd64 or linux/arm64", text)
	}
	platform, err := v1.ParsePlatform(text)
	if err != nil {
		return v1.Platform{}, fmt.Errorf("%q is not a platform; write OS/ARCH, such as %s", text, platforms.Format(parsed))
	}
	return *platform, nil
}

func parseKinds(names []string) ([]verdict.Kind, error) {
	var kinds []verdict.Kind
	for _, name := range names {
		kind := verdict.Kind(name)
		if !slices.Contains(verdict.Kinds(), kind) {
			return nil, fmt.Errorf("unknown kind %q; write some of %s", name, strings.Join(kindNames(), ","))
		}
		kinds = append(kinds, kind)
	}
	if len(kinds) == 0 {
		return nil, errors.New("write at least one")
	}
	return kinds, nil
}

// parseSize reads a number of bytes, such as 100M.
func parseSize(text string) (int64, error) {
	digits := strings.TrimRight(text, "KMGT")
	number, err := strconv.ParseInt(digits, 10, 64)
	shift := map[string]int{"": 0, "K": 10, "M": 20, "G": 30, "T": 40}
	by, known := shift[text[len(digits):]]
	if err != nil || !known || number <= 0 || number > 1<<62>>by {
		return 0, fmt.Errorf("%q is not a size; write a number with K, M, G or T, such as 100M", text)
	}
	return number << by, nil
}

// open opens the image that is meant: in the runtime, in a file that is there, else in a registry.
func (s *settings) open(ctx context.Context) (*image.Image, error) {
	if s.runtime != "" {
		return image.Containerd(ctx, s.runtime, s.namespace, s.target, s.platform)
	}
	if isFile(s.target) {
		return image.Archive(ctx, s.target, s.name, s.platform)
	}
	return image.Registry(ctx, s.target, s.plainHTTP, s.platform, s.temp)
}

// isFile says whether a file or a folder is meant, there or not.
func isFile(target string) bool {
	_, err := os.Stat(target)
	return err == nil || strings.HasPrefix(target, "/") || strings.HasPrefix(target, ".") || strings.HasSuffix(target, ".tar")
}
