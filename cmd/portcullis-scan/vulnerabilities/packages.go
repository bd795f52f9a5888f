package vulnerabilities

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	cpb "github.com/google/osv-scalibr/binary/proto/config_go_proto"
	"github.com/google/osv-scalibr/extractor"
	"github.com/google/osv-scalibr/extractor/filesystem"
	"github.com/google/osv-scalibr/extractor/filesystem/language/dotnet/depsjson"
	"github.com/google/osv-scalibr/extractor/filesystem/language/golang/gobinary"
	"github.com/google/osv-scalibr/extractor/filesystem/language/java/archive"
	"github.com/google/osv-scalibr/extractor/filesystem/language/javascript/packagejson"
	"github.com/google/osv-scalibr/extractor/filesystem/language/php/composerlock"
	"github.com/google/osv-scalibr/extractor/filesystem/language/python/condameta"
	"github.com/google/osv-scalibr/extractor/filesystem/language/python/wheelegg"
	"github.com/google/osv-scalibr/extractor/filesystem/language/ruby/gemspec"
	"github.com/google/osv-scalibr/extractor/filesystem/language/rust/cargoauditable"
	"github.com/google/osv-scalibr/extractor/filesystem/os/apk"
	"github.com/google/osv-scalibr/extractor/filesystem/os/chisel"
	"github.com/google/osv-scalibr/extractor/filesystem/os/cos"
	"github.com/google/osv-scalibr/extractor/filesystem/os/dpkg"
	"github.com/google/osv-scalibr/extractor/filesystem/os/pacman"
	"github.com/google/osv-scalibr/extractor/filesystem/os/portage"
	"github.com/google/osv-scalibr/extractor/filesystem/os/rpm"
	scalibrfs "github.com/google/osv-scalibr/fs"
	"github.com/google/osv-scalibr/log"
	"github.com/google/osv-scalibr/stats"

	"portcullis/cmd/portcullis-scan/rootfs"
)

// newExtractors make those that find what is installed. Lock files and the like are left out: they list what
// a developer has, and an image often holds them without what they list.
var newExtractors = []func(*cpb.PluginConfig) (filesystem.Extractor, error){
	apk.New, chisel.New, cos.New, dpkg.New, pacman.New, portage.New, rpm.New,
	depsjson.New, gobinary.New, archive.New, packagejson.New, composerlock.New, condameta.New, wheelegg.New,
	gemspec.New, cargoauditable.New,
}

// maxOpened bounds what is unpacked of one Java archive in memory, the archives in it included.
const maxOpened = 512 << 20

// alsoRead are files that extractors read on the side, to learn the distribution.
var alsoRead = []string{"etc/os-release", "usr/lib/os-release"}

func init() { log.SetLogger(silent{}) } // what fails is in the status of each extractor

func makeExtractors() ([]filesystem.Extractor, error) {
	settings := &cpb.PluginConfig{PluginSpecific: []*cpb.PluginSpecificConfig{{
		Config: &cpb.PluginSpecificConfig_JavaArchive{JavaArchive: &cpb.JavaArchiveConfig{MaxOpenedBytes: maxOpened}},
	}}}
	var extractors []filesystem.Extractor
	for _, construct := range newExtractors {
		extractor, err := construct(settings)
		if err != nil {
			return nil, fmt.Errorf("packages: %w", err)
		}
		extractors = append(extractors, extractor)
	}
	return extractors, nil
}

// wanted says which files the extractors must be able to open.
func wanted(extractors []filesystem.Extractor) func(rootfs.File) bool {
	return func(file rootfs.File) bool {
		return slices.ContainsFunc(append(file.Links, file.Path), func(name string) bool {
			passing := small{fileAPI{name: name, file: file}}
			return slices.Contains(alsoRead, name) || slices.ContainsFunc(extractors, func(e filesystem.Extractor) bool { return e.FileRequired(passing) })
		})
	}
}

// fileAPI shows an extractor a file that passes.
type fileAPI struct {
	name string
	file rootfs.File
}

func (f fileAPI) Path() string               { return f.name }
func (f fileAPI) Stat() (fs.FileInfo, error) { return f.file.Info(), nil }

// findPackages runs the extractors on the files that were kept. The problems it returns are files that
// are not what their name says; what may hide packages is an error.
func findPackages(ctx context.Context, extractors []filesystem.Extractor, files scalibrfs.FS) (packages []*extractor.Package, problems []string, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("packages: a file of the image made an extractor fail: %v", r)
		}
	}()
	all := &extraction{}
	limited := make([]filesystem.Extractor, len(extractors))
	for i, e := range extractors {
		limited[i] = bounded{e, all}
	}
	found, statuses, err := filesystem.Run(ctx, &filesystem.Config{
		Extractors: limited,
		ScanRoots:  []*scalibrfs.ScanRoot{{FS: files}},
		Stats:      stats.NoopCollector{},
	})
	if err != nil {
		return nil, nil, fmt.Errorf("packages: %w", err)
	}
	for _, status := range statuses {
		for _, file := range status.Status.FileErrors { // the library's own, such as about opening it
			all.judge(status.Name, file.FilePath, errors.New(file.ErrorMessage))
		}
	}
	if all.failed != nil {
		return nil, nil, all.failed
	}
	slices.Sort(all.problems)
	return found.Packages, all.problems, nil
}

func firstLine(text string) string {
	line, _, _ := strings.Cut(text, "\n")
	return line
}

// silent is the library's logger.
type silent struct{}

func (silent) Errorf(string, ...any) {}
func (silent) Error(...any)          {}
func (silent) Warnf(string, ...any)  {}
func (silent) Warn(...any)           {}
func (silent) Infof(string, ...any)  {}
func (silent) Info(...any)           {}
func (silent) Debugf(string, ...any) {}
func (silent) Debug(...any)          {}
