package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

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
	allowPartial                       bool
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
	set.StringVar(&f.platform, "platform", "linux/amd64", "the image for this `OS/ARCH`, where there are several")
	set.BoolVar(&f.plainHTTP, "plain-http", false, "the registry does not speak TLS")
	set.StringVarP(&f.output, "output", "o", "-", "`FILE` of the verdict, or a folder such as a node's reports folder")
	set.BoolVarP(&f.quiet, "quiet", "q", false, "no progress and no summary")
	set.StringVar(&f.failOn, "fail-on", "", "exit with status 1 when a finding has this `SEVERITY` or a higher one: "+strings.Join(verdict.SeverityNames(), ", "))
	set.StringSliceVar(&f.kinds, "kinds", kindNames(), "the `KINDS` of risk to look for")
	set.BoolVar(&f.allowPartial, "allow-partial", false, "when a kind cannot be looked for, write a verdict that does not list it as scanned")
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
	platform, err := v1.ParsePlatform(f.platform)
	mistake("--platform", err)
	if err == nil {
		s.platform = *platform
	}
	if f.failOn != "" {
		severity, err := verdict.ParseSeverity(f.failOn)
		mistake("--fail-on", err)
		s.failOn = &severity
	}
	s.options = scan.Options{AllowPartial: f.allowPartial, Without: f.without, Temp: f.temp, Version: version, Now: time.Now}
	s.options.Kinds, err = parseKinds(f.kinds)
	mistake("--kinds", err)
	s.options.Clamd, err = malware.ParseAddress(f.clamd)
	mistake("--clamd", err)
	s.options.SkipLarger, err = parseSize(f.clamdSkipLarger)
	mistake("--clamd-skip-larger", err)
	s.options.Limits.Bytes, err = parseSize(f.maxBytes)
	mistake("--max-bytes", err)
	s.options.Limits.Files = f.maxFiles
	s.options.Advisories = vulnerabilities.Offline{Folder: f.osvDB}
	if f.osvAPI != "" {
		s.options.Advisories = vulnerabilities.Online{URL: f.osvAPI}
	}
	return s, errors.Join(mistakes...)
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

// parseSize reads a number of bytes, such as 100M; "" is 0.
func parseSize(text string) (int64, error) {
	if text == "" {
		return 0, nil
	}
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
	if _, err := os.Stat(s.target); err == nil || looksLikeFile(s.target) {
		return image.Archive(ctx, s.target, s.name, s.platform)
	}
	return image.Registry(ctx, s.target, s.plainHTTP, s.platform, s.temp)
}

func looksLikeFile(target string) bool {
	return strings.HasPrefix(target, "/") || strings.HasPrefix(target, ".") || strings.HasSuffix(target, ".tar")
}
