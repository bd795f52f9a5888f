package policy

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"portcullis/scanner-client/verdict"
)

// The limits of a document. Lengths count characters, not bytes.
const (
	MaxName        = 128
	MaxDescription = 256
	MaxObserveDays = 365
	maxGraceDays   = 365
	maxPattern     = 512
)

// report takes one mistake: the field's path, what is wrong and what to write instead.
type report func(field, format string, args ...any)

func (p *ImagePolicy) check(report report) {
	checkHead(p.APIVersion, p.Metadata, report)
	spec := &p.Spec
	if n := utf8.RuneCountInString(spec.Description); n > MaxDescription {
		report("spec.description", "has %d characters, at most %d are allowed; shorten it", n, MaxDescription)
	}
	spec.Effect.check(report)
	switch spec.Template {
	case TemplateRiskyImage:
		spec.checkRiskyImage(report)
	case TemplatePrivilegedStart:
		spec.checkPrivilegedStart(report)
	default:
		checkWord("spec.template", string(spec.Template), templates, report)
	}
	spec.Scope.check(report)
}

var (
	templates  = []string{string(TemplateRiskyImage), string(TemplatePrivilegedStart)}
	modes      = []string{string(Immediate), string(Observe)}
	rules      = []string{string(DenySelected), string(AllowOnlySelected)}
	answers    = []string{string(AnswerAllow), string(AnswerAlert), string(AnswerBlock)}
	severities = verdict.SeverityNames()
)

func checkHead(apiVersion string, metadata Metadata, report report) {
	checkWord("apiVersion", apiVersion, []string{APIVersion}, report)
	checkName("metadata.name", metadata.Name, report)
}

func checkName(field, name string, report report) {
	switch n := utf8.RuneCountInString(name); {
	case name == "":
		report(field, "required; write a name of 1 to %d characters", MaxName)
	case n > MaxName:
		report(field, "has %d characters, at most %d are allowed; shorten it", n, MaxName)
	case strings.ContainsFunc(name, unicode.IsControl):
		report(field, "contains a control character; write it on one line, without tabs")
	case strings.TrimSpace(name) != name:
		report(field, "starts or ends with a space; write %q", strings.TrimSpace(name))
	case name == "." || name == "..":
		// The address of its page would be that of another.
		report(field, "is %q, which stands for a folder in addresses; write a name with a letter or a digit", name)
	}
}

func (e Effect) check(report report) {
	checkWord("spec.effect.mode", string(e.Mode), modes, report)
	switch {
	case e.Mode == Observe && e.Days == 0:
		report("spec.effect.days", "required with mode Observe, and more than 0; write 1 to %d days of observation", MaxObserveDays)
	case e.Mode == Observe && (e.Days < 1 || e.Days > MaxObserveDays):
		report("spec.effect.days", "is %d; write 1 to %d days of observation", e.Days, MaxObserveDays)
	case e.Mode == Immediate && e.Days != 0:
		report("spec.effect.days", "has no meaning with mode Immediate; remove it or write mode: Observe")
	}
	switch {
	case e.Mode == Immediate && !e.Since.IsZero():
		report("spec.effect.since", "has no meaning with mode Immediate; remove it or write mode: Observe")
	case e.Since.UTC().Year() > 9999:
		report("spec.effect.since", "is after the year 9999; write an earlier time")
	}
}

func (s *PolicySpec) checkRiskyImage(report report) {
	if s.Privileges != nil {
		report("spec.privileges", "belongs to template PrivilegedStart; remove it or change the template")
	}
	if s.Unscanned != "" {
		checkWord("spec.unscanned", string(s.Unscanned), answers, report)
	}
	risk := s.Risk
	if risk == nil || risk.Vulnerabilities == nil && risk.Malware == nil && risk.Secrets == nil {
		report("spec.risk", "required; write at least one of vulnerabilities, malware, secrets")
		return
	}
	if risk.Vulnerabilities != nil {
		risk.Vulnerabilities.check(report)
	}
	if risk.Malware != nil {
		checkList("spec.risk.malware.types", risk.Malware.Types, oneOf(malwareTypes), report)
		checkList("spec.risk.malware.md5", risk.Malware.MD5, checkMD5, report)
		checkList("spec.risk.malware.sha256", risk.Malware.SHA256, checkSHA256, report)
	}
	if risk.Secrets != nil {
		checkList("spec.risk.secrets.levels", risk.Secrets.Levels, oneOf(severities), report)
		checkList("spec.risk.secrets.types", risk.Secrets.Types, oneOf(secretTypes), report)
	}
}

func (v *Vulnerabilities) check(report report) {
	const field = "spec.risk.vulnerabilities"
	checkList(field+".cves", v.CVEs, checkAdvisory, report)
	checkList(field+".classes", v.Classes, oneOf(classNames()), report)
	checkList(field+".labels", v.Labels, oneOf(labels), report)
	checkList(field+".severities", v.Severities, oneOf(severities), report)
	if v.GracePeriod != "" {
		if _, err := parseDays(v.GracePeriod); err != nil {
			report(field+".gracePeriod", "%v", err)
		}
	}
	if v.Components != nil && len(v.Components) == 0 {
		report(field+".components", emptyList)
	}
	for i, c := range v.Components {
		item := fmt.Sprintf("%s.components[%d]", field, i)
		if strings.TrimSpace(c.Name) != c.Name || c.Name == "" {
			report(item+".name", "write the package's name, such as openssl, without spaces around it")
		}
		if _, err := parseRange(c.Version); err != nil {
			report(item+".version", "%v", err)
		}
	}
}

func (s *PolicySpec) checkPrivilegedStart(report report) {
	if s.Risk != nil {
		report("spec.risk", "belongs to template RiskyImage; remove it or change the template")
	}
	if s.Unscanned != "" {
		report("spec.unscanned", "belongs to template RiskyImage; remove it")
	}
	if s.Privileges == nil {
		return
	}
	checkList("spec.privileges.parameters", s.Privileges.Parameters, checkParameter, report)
	if s.Privileges.Rule == "" {
		return
	}
	checkWord("spec.privileges.rule", string(s.Privileges.Rule), rules, report)
	if s.Privileges.Rule == AllowOnlySelected && (s.Scope.Images.All || len(s.Scope.Images.Select) == 0) {
		report("spec.scope.images", "AllowOnlySelected needs the images that may start privileged; write select: [...]")
	}
}

func (s *Scope) check(report report) {
	images := s.Images
	checkList("spec.scope.images.select", images.Select, checkPattern, report)
	checkList("spec.scope.images.exclude", images.Exclude, checkPattern, report)
	switch {
	case images.All && len(images.Select) > 0:
		report("spec.scope.images", "all and select contradict each other; keep one")
	case !images.All && images.Select == nil:
		report("spec.scope.images", "required; write {all: true} or {select: [...]}")
	}
	s.Namespaces.check("spec.scope.namespaces", report)
	s.Clusters.check("spec.scope.clusters", report)
}

func (s *NameScope) check(field string, report report) {
	if s == nil {
		return
	}
	if s.Select == nil && s.Exclude == nil {
		report(field, "write select: [...] or exclude: [...], or remove it to mean all")
	}
	checkList(field+".select", s.Select, checkNamePattern, report)
	checkList(field+".exclude", s.Exclude, checkNamePattern, report)
}

func (e *Exemption) check(report report) {
	checkHead(e.APIVersion, e.Metadata, report)
	spec := &e.Spec
	if strings.TrimSpace(spec.Reason) == "" {
		report("spec.reason", "required; write why this exception is acceptable")
	}
	if strings.TrimSpace(spec.Author) == "" {
		report("spec.author", "required; write who answers for it")
	}
	switch {
	case spec.Expires.IsZero():
		report("spec.expires", "required; write the time of its end, such as 2027-03-01T00:00:00Z")
	case spec.Expires.UTC().Year() > 9999:
		report("spec.expires", "is after the year 9999; write an earlier time")
	}
	if len(spec.Images) == 0 && len(spec.Findings) == 0 {
		report("spec", "excepts everything; write images, findings or both")
	}
	for i, image := range spec.Images {
		checkItem("spec.images", i, image, checkPattern, report)
	}
	for i, name := range spec.Policies {
		checkName(fmt.Sprintf("spec.policies[%d]", i), name, report)
	}
	for i, finding := range spec.Findings {
		checkItem("spec.findings", i, finding, checkFinding, report)
	}
}

const onlyOnePrivileged = "only one PrivilegedStart policy may exist and %s is one; edit that one"

const emptyList = "is an empty list; name at least one or remove the key"

// checkList reports an empty list, which looks like "none" but would mean "all", bad items and items
// that stand twice.
func checkList(field string, items []string, check func(string) error, report report) {
	if items != nil && len(items) == 0 {
		report(field, emptyList)
	}
	seen := make(map[string]int, len(items))
	for i, item := range items {
		checkItem(field, i, item, check, report)
		if first, twice := seen[item]; twice {
			report(fmt.Sprintf("%s[%d]", field, i), "%q already stands at [%d]; keep one", item, first)
			continue
		}
		seen[item] = i
	}
}

func checkItem(field string, i int, item string, check func(string) error, report report) {
	if err := check(item); err != nil {
		report(fmt.Sprintf("%s[%d]", field, i), "%v", err)
	}
}

// checkWord reports a field whose value is not one of words.
func checkWord(field, word string, words []string, report report) {
	if word == "" {
		report(field, "required; write %s", either(words))
	} else if err := oneOf(words)(word); err != nil {
		report(field, "%v", err)
	}
}

func oneOf(words []string) func(string) error {
	return func(word string) error {
		if slices.Contains(words, word) {
			return nil
		}
		return fmt.Errorf("unknown value %q; write %s", word, either(words))
	}
}

func either(words []string) string {
	if len(words) == 1 {
		return words[0]
	}
	return "one of " + strings.Join(words, ", ")
}

var (
	cveForm = regexp.MustCompile(`^CVE-\d{4}-\d{4,19}$`)
	// otherForm is for weaknesses that never got a CVE: GitHub's and the language databases' own IDs.
	otherForm  = regexp.MustCompile(`^GHSA(-[23456789cfghjmpqrvwx]{4}){3}$|^(GO|RUSTSEC|PYSEC|MAL)-\d{4}-\d+$`)
	md5Form    = regexp.MustCompile(`^[0-9a-fA-F]{32}$`)
	sha256Form = regexp.MustCompile(`^[0-9a-fA-F]{64}$`)
)

func checkAdvisory(id string) error {
	if cveForm.MatchString(id) || otherForm.MatchString(id) {
		return nil
	}
	return fmt.Errorf("%q is not a CVE ID; write it as CVE-2021-44228", id)
}

func checkMD5(hash string) error {
	if md5Form.MatchString(hash) {
		return nil
	}
	return fmt.Errorf("%q is not an MD5; write its 32 hexadecimal digits", hash)
}

func checkSHA256(hash string) error {
	if sha256Form.MatchString(hash) {
		return nil
	}
	return fmt.Errorf("%q is not a SHA-256; write its 64 hexadecimal digits", hash)
}

func checkFinding(finding string) error {
	if checkAdvisory(finding) == nil || checkMD5(finding) == nil || checkSHA256(finding) == nil {
		return nil
	}
	return fmt.Errorf("%q is not a finding; write a CVE ID such as CVE-2021-44228, an MD5 or a SHA-256", finding)
}

// parseDays reads a period such as 14d.
func parseDays(text string) (int, error) {
	digits, ok := strings.CutSuffix(text, "d")
	if n, err := strconv.Atoi(digits); ok && err == nil && n >= 1 && n <= maxGraceDays {
		return n, nil
	}
	return 0, fmt.Errorf("%q is not a number of days; write 1d to %dd", text, maxGraceDays)
}

var namePattern = regexp.MustCompile(`^[0-9A-Za-z._*?-]+$`)

func checkNamePattern(pattern string) error {
	if len(pattern) > maxPattern {
		return fmt.Errorf("has %d characters, at most %d are allowed; shorten it", len(pattern), maxPattern)
	}
	if namePattern.MatchString(pattern) {
		return nil
	}
	return fmt.Errorf("%q is not a name; write letters, digits, - _ . and the wildcards * ?", pattern)
}
