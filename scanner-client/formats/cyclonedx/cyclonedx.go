// Package cyclonedx answers: what does a CycloneDX document say about the vulnerabilities of an image?
package cyclonedx

import (
	"cmp"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"portcullis/scanner-client/formats"
	"portcullis/scanner-client/verdict"
)

// versions of the specification that have vulnerabilities and that this package was written for.
var versions = []string{"1.4", "1.5", "1.6", "1.7"}

// harmless are the states of analysis in which a vulnerability is none for this image.
var harmless = map[string]bool{
	"not_affected": true, "false_positive": true, "resolved": true, "resolved_with_pedigree": true,
}

// Read reads one document in JSON. Vulnerabilities whose analysis says that the image is not affected
// are left out.
//
// A document cannot say that vulnerabilities were looked for and none was found: plain lists of
// components come with an empty list of vulnerabilities too. So only one with vulnerabilities in it,
// harmless ones included, counts as scanned.
func Read(s *formats.Stream) (*formats.Report, error) {
	r := &reader{stream: s, components: map[string]component{}}
	err := s.Object(r.field)
	return r.report(err)
}

type reader struct {
	stream *formats.Stream

	version         string
	metadata        metadata
	components      map[string]component // by bom-ref
	vulnerabilities []vulnerability
	listed          int
	findings        formats.Findings
}

// maxComponents bounds what is kept of the components; the largest images known have some 30,000.
const maxComponents = 500_000

func (r *reader) field(key string) error {
	switch key {
	case "specVersion":
		return r.stream.Into(&r.version)
	case "metadata":
		return r.stream.Object(r.about)
	case "components":
		return r.stream.Array(func() error {
			var c nested
			if err := r.stream.Into(&c); err != nil {
				return err
			}
			r.keep(&c)
			return nil
		})
	case "vulnerabilities":
		return r.stream.Array(r.vulnerability)
	}
	return r.stream.Skip()
}

type metadata struct {
	timestamp string
	tools     json.RawMessage
	component subject
}

// subject is the component that the document is about.
type subject struct {
	component
	kind       string
	properties []property // those that name the image
}

// about reads which image the document is about, property by property: some repeat the labels of the image,
// which may be of any size.
func (r *reader) about(key string) error {
	m := &r.metadata
	switch key {
	case "timestamp":
		return r.stream.Into(&m.timestamp)
	case "tools":
		return r.stream.Into(&m.tools)
	case "component":
		fields := map[string]any{"type": &m.component.kind, "name": &m.component.Name, "version": &m.component.Version, "purl": &m.component.PURL}
		return r.stream.Object(func(key string) error {
			if field, wanted := fields[key]; wanted {
				return r.stream.Into(field)
			}
			if key == "properties" {
				return r.stream.Array(r.nameOfImage)
			}
			return r.stream.Skip()
		})
	}
	return r.stream.Skip()
}

func (r *reader) nameOfImage() error {
	var p property
	if err := r.stream.Into(&p); err != nil {
		return err
	}
	if naming[p.Name] {
		r.metadata.component.properties = append(r.metadata.component.properties, p)
	}
	return nil
}

type property struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

type component struct {
	Ref     string `json:"bom-ref"`
	Group   string `json:"group"`
	Name    string `json:"name"`
	Version string `json:"version"`
	PURL    string `json:"purl"`
	path    string // file in the image
}

// nested is a component with the components it is made of.
type nested struct {
	component
	Properties []property `json:"properties"`
	Components []nested   `json:"components"`
}

func (r *reader) keep(c *nested) {
	if len(r.components) == maxComponents {
		r.findings.Miss(fmt.Errorf("more than %d components; what is found in the others bears no name", maxComponents))
		return
	}
	for _, p := range c.Properties {
		if p.Name == "aquasecurity:trivy:FilePath" || p.Name == "syft:location:0:path" {
			c.path = p.Value
		}
	}
	if c.Ref != "" {
		r.components[c.Ref] = c.component
	}
	for i := range c.Components {
		r.keep(&c.Components[i])
	}
}

type vulnerability struct {
	ID         string `json:"id"`
	Source     source `json:"source"`
	References []struct {
		ID string `json:"id"`
	} `json:"references"`
	Ratings        []rating          `json:"ratings"`
	CWEs           []json.RawMessage `json:"cwes"`
	Recommendation string            `json:"recommendation"`
	Created        string            `json:"created"`
	Published      string            `json:"published"`
	Affects        []affected        `json:"affects"`
	Analysis       struct {
		State string `json:"state"`
	} `json:"analysis"`
}

type source struct {
	Name string `json:"name"`
}

type rating struct {
	Source   source  `json:"source"`
	Score    float64 `json:"score"`
	Severity string  `json:"severity"`
	Vector   string  `json:"vector"`
}

type affected struct {
	Ref      string `json:"ref"`
	Versions []struct {
		Version string `json:"version"`
		Status  string `json:"status"`
	} `json:"versions"`
}

// vulnerability reads one entry. The components it refers to may stand further down in the document.
func (r *reader) vulnerability() error {
	var v vulnerability
	if err := r.stream.Into(&v); err != nil {
		return err
	}
	r.listed++
	if harmless[v.Analysis.State] {
		return nil
	}
	if len(r.vulnerabilities) == 2*verdict.MaxFindings {
		r.findings.Miss(verdict.ErrCut)
		r.vulnerabilities = verdict.Worst(r.vulnerabilities, (*vulnerability).severity)
	}
	r.vulnerabilities = append(r.vulnerabilities, v)
	return nil
}

func (v *vulnerability) severity() verdict.Severity { return formats.Rate(v.own(), v.scores()...) }

func (r *reader) report(err error) (*formats.Report, error) {
	for i := range r.vulnerabilities {
		r.add(&r.vulnerabilities[i])
	}
	report := &formats.Report{About: r.metadata.component.about(), Verdict: verdict.Verdict{
		Scanner: r.metadata.scanner(), ScannedAt: formats.Time(r.metadata.timestamp), Vulnerabilities: r.findings.List(),
	}, Warnings: r.findings.Warnings()}
	if !slices.Contains(versions, r.version) {
		report.Warnings = append(report.Warnings, fmt.Sprintf("specification version %.20q is not known; what is understood of it is used", r.version))
	}
	if r.listed > 0 {
		report.Verdict.Scanned = []verdict.Kind{verdict.KindVulnerabilities}
	} else {
		report.Warnings = append(report.Warnings, "no vulnerabilities in it: a CycloneDX document cannot say that somebody looked for them, so this does not show the image clean")
	}
	return formats.Finished(report, cmp.Or(err, r.findings.Err()))
}

// add makes one finding of v for each component that it affects.
func (r *reader) add(v *vulnerability) {
	e := formats.Vulnerability{ID: v.ID, Own: v.own(), Scores: v.scores(), Published: v.Published}
	if e.Published == "" {
		e.Published = v.Created
	}
	for _, reference := range v.References {
		e.Aliases = append(e.Aliases, reference.ID)
	}
	for _, cwe := range v.CWEs { // numbers by the specification, "CWE-79" by some tools
		e.CWEs = append(e.CWEs, strings.Trim(string(cwe), `"`))
	}
	if len(v.Affects) == 0 { // it says no more than that it is there
		e.Package = "unknown"
		r.findings.Add(e)
		return
	}
	upgrades := v.upgrades()
	for _, a := range v.Affects {
		if !a.unaffected() {
			r.findings.Add(r.finding(e, upgrades, a))
		}
	}
}

func (r *reader) finding(e formats.Vulnerability, upgrades [][]string, a affected) formats.Vulnerability {
	c, known := r.components[a.Ref]
	if !known {
		// Another document's component: urn:cdx:…/1#pkg:npm/x@1, or the package URL alone.
		_, reference, linked := strings.Cut(a.Ref, "#")
		if !linked {
			reference = a.Ref
		}
		c = component{Name: reference, PURL: unescaped(reference)}
	}
	purl := formats.ParsePURL(c.PURL)
	e.Type, e.Package, e.Version, e.Path = purl.Type, c.Name, c.Version, c.path
	switch {
	case !known && purl.Type != "":
		e.Package, e.Version = purl.FullName(), purl.Version
	case c.Group != "" && purl.Type == "maven":
		e.Package = c.Group + ":" + c.Name
	case c.Group != "" && purl.FullName() == c.Group+"/"+c.Name:
		e.Package = purl.FullName()
	}
	if e.Version == "" && len(a.Versions) > 0 {
		e.Version = a.Versions[0].Version
	}
	e.Fixed = fixes(upgrades, c.Name)
	return e
}

func unescaped(reference string) string {
	if strings.HasPrefix(reference, "pkg%3A") || strings.HasPrefix(reference, "pkg%3a") {
		return strings.NewReplacer("%3A", ":", "%3a", ":", "%2F", "/", "%2f", "/", "%40", "@", "%3F", "?", "%3f", "?").Replace(reference)
	}
	return reference
}

func (a *affected) unaffected() bool {
	for _, v := range a.Versions {
		if v.Status != "unaffected" {
			return false
		}
	}
	return len(a.Versions) > 0
}

// own is the rating of who published the vulnerability, else the worst of all ratings in words.
func (v *vulnerability) own() string {
	own, worst := "", verdict.Unknown
	for _, r := range v.Ratings {
		severity := formats.Severity(r.Severity)
		if r.Source.Name == v.Source.Name && v.Source.Name != "" && severity != verdict.Unknown {
			return r.Severity
		}
		if severity > worst {
			own, worst = r.Severity, severity
		}
	}
	return own
}

func (v *vulnerability) scores() []formats.Score {
	var scores []formats.Score
	for _, r := range v.Ratings {
		if r.Vector != "" || r.Score > 0 {
			scores = append(scores, formats.Score{Vector: r.Vector, Base: r.Score})
		}
	}
	return scores
}

// upgrade is how Trivy puts fixed versions into words: the specification has no field for them.
var upgrade = regexp.MustCompile(`Upgrade (\S+) to version ([^;]+)`)

// maxUpgrades bounds the recommendations that are read of one vulnerability.
const maxUpgrades = 1000

func (v *vulnerability) upgrades() [][]string {
	return upgrade.FindAllStringSubmatch(v.Recommendation, maxUpgrades)
}

func fixes(upgrades [][]string, name string) []string {
	var fixed []string
	for _, m := range upgrades {
		if m[1] == name || strings.HasSuffix(m[1], ":"+name) || strings.HasSuffix(m[1], "/"+name) {
			fixed = append(fixed, strings.Split(m[2], ",")...)
		}
	}
	return fixed
}
