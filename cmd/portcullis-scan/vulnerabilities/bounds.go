package vulnerabilities

import (
	"bytes"
	"compress/zlib"
	"context"
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strings"

	"github.com/google/osv-scalibr/extractor/filesystem"
	"github.com/google/osv-scalibr/extractor/filesystem/language/javascript/packagejson"
	"github.com/google/osv-scalibr/extractor/filesystem/language/rust/cargoauditable"
	"github.com/google/osv-scalibr/inventory"
)

// What an image's files may cost; the extractors read them into memory without a bound of their own. The
// largest known have a tenth of these.
const (
	maxPackages    = 100_000
	maxPackageJSON = 2 << 20  // bytes
	maxDatabase    = 32 << 20 // bytes of a package database or of another list of packages
	maxRustList    = 8 << 20  // bytes of the list in a Rust program, unpacked
)

// bounded is an extractor that gives up when an image wants too much. It keeps what went wrong, because
// the library's own list of that has no bound either.
type bounded struct {
	filesystem.Extractor
	all *extraction
}

// extraction is what the extractors have come to together.
type extraction struct {
	packages int
	problems []string
	failed   error
}

// FileRequired implements filesystem.Extractor. The library silently passes over files that it finds too
// large; here Extract decides about that, aloud.
func (b bounded) FileRequired(file filesystem.FileAPI) bool {
	return b.Extractor.FileRequired(small{file})
}

// small is a file of at most a megabyte, as it says.
type small struct{ filesystem.FileAPI }

func (s small) Stat() (fs.FileInfo, error) {
	info, err := s.FileAPI.Stat()
	return smallInfo{info}, err
}

type smallInfo struct{ fs.FileInfo }

func (i smallInfo) Size() int64 { return min(i.FileInfo.Size(), 1<<20) }

// Extract implements filesystem.Extractor.
func (b bounded) Extract(ctx context.Context, input *filesystem.ScanInput) (inventory.Inventory, error) {
	if b.all.failed != nil {
		return inventory.Inventory{}, nil
	}
	found, err := b.extract(ctx, input)
	if err != nil {
		b.all.judge(b.Name(), input.Path, err)
	}
	if b.all.packages += len(found.Packages); b.all.packages > maxPackages {
		b.all.failed = errTooMany
	}
	if b.all.failed != nil {
		return inventory.Inventory{}, nil
	}
	for _, p := range found.Packages {
		if b.Name() == packagejson.Name {
			p.Metadata = nil // its authors, who are as many as the file likes
		}
	}
	return found, nil
}

var (
	errTooMany = fmt.Errorf("packages: image has more than %d", maxPackages)
	// errBeyond marks a file that was not read because of what it would cost: it may hide packages.
	errBeyond = errors.New("larger than is read")
	// errNoProgram says that a file is no program for Linux; the library would read lists of others, too.
	errNoProgram = errors.New("not a program")
)

func (b bounded) extract(ctx context.Context, input *filesystem.ScanInput) (inventory.Inventory, error) {
	err := b.affordable(input)
	if errors.Is(err, errNoProgram) {
		return inventory.Inventory{}, nil
	}
	if err != nil {
		return inventory.Inventory{}, err
	}
	return b.Extractor.Extract(ctx, input)
}

// affordable says whether a file can be given to an extractor. Programs, Java archives and databases of rpm
// are not read as a whole.
func (b bounded) affordable(input *filesystem.ScanInput) error {
	content, ok := input.Reader.(io.ReaderAt)
	if !ok {
		return errors.New("cannot be read at a place")
	}
	most := int64(maxDatabase)
	switch b.Name() {
	case cargoauditable.Name:
		return affordableRust(content)
	case "go/binary", "java/archive", "os/rpm":
		return nil
	case packagejson.Name:
		most = maxPackageJSON
	}
	if input.Info.Size() > most {
		return fmt.Errorf("%d bytes: %w", input.Info.Size(), errBeyond)
	}
	if b.Name() == "os/dpkg" || b.Name() == "os/apk" {
		return affordableRecords(io.NewSectionReader(content, 0, input.Info.Size()))
	}
	return nil
}

// affordableRecords counts the records of a package database, between which there are empty lines.
func affordableRecords(content io.Reader) error {
	text, err := io.ReadAll(content)
	if err != nil {
		return err
	}
	if bytes.Count(text, []byte("\n\n")) > maxPackages {
		return errTooMany
	}
	return nil
}

// affordableRust unpacks the list of a program to see how long it is: a megabyte of it may be a gigabyte.
func affordableRust(content io.ReaderAt) error {
	program, err := elf.NewFile(content)
	if err != nil {
		return errNoProgram
	}
	for _, section := range program.Sections {
		if section.Name != ".dep-v0" || section.Type == elf.SHT_NOBITS {
			continue
		}
		if section.Size > maxRustList {
			return errBeyond
		}
		packed, err := zlib.NewReader(section.Open())
		if err != nil {
			return fmt.Errorf("list of packages: %w", err)
		}
		if n, _ := io.Copy(io.Discard, io.LimitReader(packed, maxRustList+1)); n > maxRustList {
			return errBeyond
		}
	}
	return nil
}

// judge tells a broken file of an application, which says nothing, from a package database that cannot
// be read and from a file that was given up because it is too large: these hide packages.
func (a *extraction) judge(extractor, file string, err error) {
	text := fmt.Sprintf("packages: %s: %.200s: %.200s", extractor, file, firstLine(err.Error()))
	switch {
	case errors.Is(err, errTooMany):
		a.failed = err
	case path.Dir(extractor) == "os", errors.Is(err, errBeyond), strings.Contains(err.Error(), filesystem.ErrExtractorMemoryLimitExceeded.Error()):
		a.failed = errors.New(text)
	case len(a.problems) < maxProblems:
		a.problems = append(a.problems, text)
	}
}
