package vulnerabilities

import (
	"archive/zip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/google/osv-scalibr/enricher/vulnmatch/osvlocal"
	"github.com/google/osv-scalibr/extractor"
	"github.com/ossf/osv-schema/bindings/go/osvschema"
	"google.golang.org/protobuf/encoding/protojson"
)

// maxAdvisory bounds one advisory, in bytes; the largest are about 1 MiB.
const maxAdvisory = 16 << 20

// Offline is a folder with the advisories that OSV publishes: osv-scalibr/<Ecosystem>/all.zip.
//
// The library's own matcher reads such folders too, and its comparison of versions is used here. Its
// loader is not: it passes over advisories that it cannot read, so that a newer form of OSV's files
// would make every image clean, and it keeps whole archives in memory.
type Offline struct{ Folder string }

func (o Offline) root() string { return filepath.Join(o.Folder, "osv-scalibr") }

// Check implements Advisories.
func (o Offline) Check() error {
	info, err := os.Stat(o.root())
	if err == nil && info.IsDir() {
		return nil
	}
	return fmt.Errorf("vulnerabilities: no OSV database at %s: put OSV's <Ecosystem>/all.zip files there, or choose another folder with --osv-db", o.root())
}

// Match implements Advisories.
func (o Offline) Match(ctx context.Context, packages []*extractor.Package, found func([]Hit)) (Matches, error) {
	byEcosystem := map[string][]*extractor.Package{}
	for _, p := range packages {
		name, _ := ecosystemOf(p)
		byEcosystem[name] = append(byEcosystem[name], p)
	}
	var all Matches
	var newest time.Time
	for _, ecosystem := range sortedKeys(byEcosystem) {
		db, err := o.load(ctx, ecosystem, byEcosystem[ecosystem])
		if err != nil {
			return Matches{}, err
		}
		if db.modified.After(newest) {
			newest = db.modified
		}
		if err := db.match(ctx, byEcosystem[ecosystem], &all, found); err != nil {
			return Matches{}, err
		}
	}
	if !newest.IsZero() {
		all.Version = newest.UTC().Format(time.RFC3339)
	}
	return all, nil
}

// database are the advisories of an ecosystem that may affect an image's packages.
type database struct {
	byName   map[string][]*osvschema.Vulnerability
	releases map[string]bool // that any advisory speaks of
	modified time.Time       // of the newest advisory

	names  map[string]bool   // under which packages may be looked up
	actual map[string]string // how the packages call a release
}

// outline is the little of an advisory that says whether the rest is worth reading.
type outline struct {
	Modified time.Time
	Affected []struct {
		Package struct{ Name, Ecosystem string }
		Ranges  []struct{ Repo string }
	}
}

func (o Offline) load(ctx context.Context, ecosystem string, packages []*extractor.Package) (*database, error) {
	file := filepath.Join(o.root(), ecosystem, "all.zip")
	archive, err := zip.OpenReader(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("the image has %d packages of ecosystem %s, and there is no %s; add it, or leave them out with --without %q", len(packages), ecosystem, file, ecosystem)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	defer func() { _ = archive.Close() }()
	db := newDatabase(packages)
	for _, entry := range archive.File {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		if !strings.HasSuffix(entry.Name, ".json") {
			continue
		}
		if err := db.read(entry); err != nil {
			return nil, fmt.Errorf("%s: %s: %w; is the database newer than this program, or damaged?", file, entry.Name, err)
		}
	}
	return db, db.covers(file, packages)
}

func newDatabase(packages []*extractor.Package) *database {
	db := &database{
		byName:   map[string][]*osvschema.Vulnerability{},
		releases: map[string]bool{},
		names:    map[string]bool{},
		actual:   map[string]string{},
	}
	for _, p := range packages {
		for _, name := range lookupNames(p) {
			db.names[name] = true
		}
		ecosystem := p.Ecosystem().String()
		db.actual[release(ecosystem)] = ecosystem
	}
	return db
}

func (db *database) read(entry *zip.File) error {
	r, err := entry.Open()
	if err != nil {
		return err
	}
	defer r.Close()
	raw, err := io.ReadAll(io.LimitReader(r, maxAdvisory+1))
	switch {
	case err != nil:
		return err
	case len(raw) > maxAdvisory:
		return fmt.Errorf("advisory is larger than %d bytes", maxAdvisory)
	}
	var seen outline
	if err := json.Unmarshal(raw, &seen); err != nil {
		return fmt.Errorf("not an OSV advisory: %w", err)
	}
	if seen.Modified.After(db.modified) {
		db.modified = seen.Modified
	}
	var names []string
	for _, affected := range seen.Affected {
		db.releases[release(affected.Package.Ecosystem)] = true
		name := coarse(affected.Package.Name)
		if db.names[name] && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	if len(names) == 0 {
		return nil
	}
	return db.add(raw, names)
}

func (db *database) add(raw []byte, names []string) error {
	advisory := &osvschema.Vulnerability{}
	if err := (protojson.UnmarshalOptions{DiscardUnknown: true}).Unmarshal(raw, advisory); err != nil {
		return fmt.Errorf("not an OSV advisory: %w", err)
	}
	advisory.Details, advisory.Summary, advisory.References, advisory.Credits = "", "", nil, nil // most of its memory
	for _, affected := range advisory.GetAffected() {
		if p := affected.GetPackage(); p != nil {
			if actual, known := db.actual[release(p.GetEcosystem())]; known {
				p.Ecosystem = actual
			}
		}
	}
	for _, name := range names {
		db.byName[name] = append(db.byName[name], advisory)
	}
	return nil
}

// covers makes sure that the database speaks of the packages' release at all. One that does not would
// make every image of that release clean.
func (db *database) covers(file string, packages []*extractor.Package) error {
	for _, p := range packages {
		ecosystem := p.Ecosystem()
		if ecosystem.Suffix != "" && !db.releases[release(ecosystem.String())] {
			return fmt.Errorf("%s has no advisory for %s, which the image is; to leave its packages out, say --without %q", file, ecosystem, ecosystem.Ecosystem)
		}
	}
	return nil
}

// maxProblems bounds what is told of what could not be compared.
const maxProblems = 100

func (db *database) match(ctx context.Context, packages []*extractor.Package, all *Matches, found func([]Hit)) error {
	for _, p := range packages {
		if err := context.Cause(ctx); err != nil {
			return err
		}
		var hits []Hit
		seen := map[*osvschema.Vulnerability]bool{}
		for _, name := range lookupNames(p) {
			for _, advisory := range db.byName[name] {
				if seen[advisory] {
					continue
				}
				seen[advisory] = true
				hit, err := affects(advisory, p)
				if err != nil && len(all.Problems) < maxProblems {
					all.Problems = append(all.Problems, err.Error())
				}
				if hit {
					hits = append(hits, Hit{advisory, p})
				}
			}
		}
		if len(hits) > 0 {
			found(hits)
		}
	}
	return nil
}

// affects compares one package with one advisory. The library panics on versions that it cannot read.
func affects(advisory *osvschema.Vulnerability, p *extractor.Package) (hit bool, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("vulnerabilities: %s cannot be compared with %s %s: %v", advisory.GetId(), p.Name, p.Version, r)
		}
	}()
	for _, signal := range p.ExploitabilitySignals {
		if signal.MatchesAllVulns || slices.Contains(signal.VulnIdentifiers, advisory.GetId()) {
			return false, nil // the package is empty, or says that it is not affected
		}
	}
	return len(osvlocal.VulnerabilitiesAffectingPackage([]*osvschema.Vulnerability{advisory}, p)) > 0, nil
}
