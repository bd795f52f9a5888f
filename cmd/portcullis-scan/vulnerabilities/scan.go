// Package vulnerabilities answers: which installed packages of this image have known weaknesses?
package vulnerabilities

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/google/osv-scalibr/extractor"
	"github.com/google/osv-scalibr/extractor/filesystem"
	"github.com/google/osv-scalibr/purl"
	"github.com/google/osv-scalibr/semantic"
	"github.com/ossf/osv-schema/bindings/go/osvschema"

	"portcullis/cmd/portcullis-scan/rootfs"
	"portcullis/cmd/portcullis-scan/worst"
	"portcullis/scanner-client/verdict"
)

// Advisories are what is known of weaknesses, in the form of OSV.
type Advisories interface {
	// Check says whether they can be asked at all.
	Check() error
	// Match finds the advisories that affect each of the packages. It calls found once for each package
	// that has some: all of them together are too many to keep.
	Match(ctx context.Context, packages []*extractor.Package, found func([]Hit)) (Matches, error)
}

// Matches is what Advisories answer besides.
type Matches struct {
	Problems []string // what could not be compared, for people; the first of many
	Version  string   // of the database
}

// Hit is an advisory that affects a package.
type Hit struct {
	Advisory *osvschema.Vulnerability
	Package  *extractor.Package
}

// Scan is an Inspector that keeps the files which tell what is installed.
type Scan struct {
	*rootfs.Kept
	extractors []filesystem.Extractor
	advisories Advisories
	without    []string
}

// NewScan makes a Scan of the tree's packages, but those of the ecosystems in without. temp is a folder
// on disk.
func NewScan(tree *rootfs.Tree, advisories Advisories, without []string, temp string) (*Scan, error) {
	extractors, err := makeExtractors()
	if err != nil {
		return nil, err
	}
	kept, err := tree.Keep(wanted(extractors), temp)
	if err != nil {
		return nil, err
	}
	return &Scan{Kept: kept, extractors: extractors, advisories: advisories, without: without}, nil
}

// Result is what was found, and out of how much.
type Result struct {
	Found    []verdict.Vulnerability
	Omitted  int            // how much more was found than fits
	Without  map[string]int // how many packages were left out of each ecosystem
	Packages int
	Problems []string
	Version  string
}

// Findings asks for the weaknesses of all packages. It is called when all files have been inspected.
func (s *Scan) Findings(ctx context.Context) (*Result, error) {
	packages, problems, err := findPackages(ctx, s.extractors, s.Kept)
	if err != nil {
		return nil, err
	}
	without := map[string]int{}
	packages = slices.DeleteFunc(packages, func(p *extractor.Package) bool {
		name, _ := ecosystemOf(p)
		switch {
		case unversioned(p):
			return true
		case slices.Contains(s.without, name):
			without[name]++
			return true
		}
		return false
	})
	if name := unknown(packages); name != "" {
		return nil, fmt.Errorf("vulnerabilities: no OSV advisories can be had for %s; to leave such packages out, say --without %s", describe(name), name)
	}
	found := worst.New(compare)
	matches, err := s.advisories.Match(ctx, packages, func(hits []Hit) {
		for _, f := range findings(hits) {
			found.Add(f)
		}
	})
	if err != nil {
		return nil, fmt.Errorf("vulnerabilities: %w", err)
	}
	kept, omitted := found.Findings()
	return &Result{
		Found:    kept,
		Omitted:  omitted,
		Without:  without,
		Packages: len(packages),
		Problems: append(problems, matches.Problems...),
		Version:  matches.Version,
	}, nil
}

// compare puts the worst vulnerability first.
func compare(a, b verdict.Vulnerability) int {
	return cmp.Or(cmp.Compare(b.Severity, a.Severity), keyOf(a).compare(keyOf(b)))
}

// unversioned says whether a package is the program that a Go binary was built from, without a version:
// any advisory about the program would seem to affect it.
func unversioned(p *extractor.Package) bool {
	return p.PURLType == purl.TypeGolang && (p.Version == "" || p.Version == "(devel)")
}

// ecosystemOf returns the OSV ecosystem of a package without its release. When OSV has none for it, or one
// whose versions the library cannot compare, it returns the package's type and false. "Linux" is the
// kernel, for which the library takes packages of a system that does not say what it is.
func ecosystemOf(p *extractor.Package) (name string, known bool) {
	ecosystem := string(p.Ecosystem().Ecosystem)
	if _, err := semantic.Parse("1", ecosystem); err != nil || ecosystem == "Linux" {
		return p.PURLType, false
	}
	return ecosystem, true
}

// unknown returns the type of a package that no advisory can be about, "" when there is none.
func unknown(packages []*extractor.Package) string {
	for _, p := range packages {
		if name, known := ecosystemOf(p); !known {
			return name
		}
	}
	return ""
}

func describe(purlType string) string {
	switch purlType {
	case purl.TypeDebian, purl.TypeRPM, purl.TypeApk, purl.TypePacman, purl.TypePortage, purl.TypeCOS, purl.TypeOpkg:
		return purlType + " packages of this distribution (see the image's /etc/os-release)"
	}
	return purlType + " packages"
}
