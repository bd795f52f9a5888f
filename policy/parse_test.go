package policy_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"portcullis/internal/strictyaml"
	"portcullis/policy"
)

// whole is the policy that DOMAIN.md shows, with every section that a document may have.
const whole = `
apiVersion: portcullis/v1
kind: ImagePolicy
metadata: {name: 拦截存在严重漏洞的镜像}
spec:
  description: Criticals with a fix, any malware, leaked keys
  template: RiskyImage
  enabled: true
  effect: {mode: Observe, days: 7}
  risk:
    vulnerabilities:
      cves: [CVE-2021-44228]
      components: [{name: log4j-core, version: "<2.17.1"}]
      classes: [code-injection, container-escape]
      severities: [Critical, High]
      onlyFixable: true
      gracePeriod: 14d
    malware: {types: [trojan, miner], md5: [44d88612fea8a8f36de82e1278abb02f]}
    secrets: {levels: [Critical, High], types: [private-key, cloud-access-key]}
  scope:
    images: {all: true}
---
apiVersion: portcullis/v1
kind: ImagePolicy
metadata: {name: no privileged starts}
spec:
  template: PrivilegedStart
  enabled: true
  effect: {mode: Immediate}
  privileges:
    parameters: [high-risk, network, host-pid]
    rule: DenySelected
  scope:
    images: {select: ["docker.io/library/*"]}
---
apiVersion: portcullis/v1
kind: Exemption
metadata: {name: cni needs the host}
spec:
  reason: node network agent, reviewed in SEC-1234
  author: security@example.com
  expires: 2027-03-01T00:00:00Z
  images: ["registry.example.com/net/cni@sha256:0000000000000000000000000000000000000000000000000000000000000000"]
  policies: ["no privileged starts"]
  findings: []
`

func parse(t *testing.T, sources ...string) *policy.Documents {
	t.Helper()
	docs, err := policy.Parse(files(sources)...)
	require.NoError(t, err)
	return docs
}

func files(texts []string) []policy.Source {
	var sources []policy.Source
	for i, text := range texts {
		sources = append(sources, policy.Source{Name: string(rune('a'+i)) + ".yaml", Data: []byte(text)})
	}
	return sources
}

// risky is a policy with one line that a test is about.
func risky(name, line string) string {
	return `apiVersion: portcullis/v1
kind: ImagePolicy
metadata: {name: ` + name + `}
spec:
  template: RiskyImage
  enabled: true
  effect: {mode: Immediate}
  scope: {images: {all: true}}
  ` + line + "\n"
}

const criticals = "risk: {vulnerabilities: {severities: [Critical]}}"

func TestTheDocumentsOfDomainAreRead(t *testing.T) {
	docs := parse(t, whole)
	require.Len(t, docs.Policies, 2)
	require.Len(t, docs.Exemptions, 1)
	require.Equal(t, "<2.17.1", docs.Policies[0].Spec.Risk.Vulnerabilities.Components[0].Version)
	require.Equal(t, policy.DenySelected, docs.Policies[1].Spec.Privileges.Rule)
}

func TestEveryMistakeOfAllSourcesIsReportedAtOnceInOrder(t *testing.T) {
	_, err := policy.Parse(files([]string{
		risky("one", "risk: {vulnerabilities: {severities: [Grave], cves: [log4shell]}}") + "---\n" + risky("two", "colour: red"),
		"kind: Secret\n",
		risky("one", criticals),
	})...)
	require.EqualError(t, err, strings.Join([]string{
		`a.yaml:9: spec.risk.vulnerabilities.cves[0]: "log4shell" is not a CVE ID; write it as CVE-2021-44228`,
		`a.yaml:9: spec.risk.vulnerabilities.severities[0]: unknown value "Grave"; write one of Critical, High, Medium, Low, Negligible, Unknown`,
		`a.yaml:14: spec.risk: required; write at least one of vulnerabilities, malware, secrets`,
		`a.yaml:19: spec.colour: unknown key; check the spelling and the indentation`,
		`b.yaml:1: kind: unknown kind "Secret"; write ImagePolicy or Exemption`,
		`c.yaml:3: metadata.name: "one" is already the name of a.yaml:3; choose another`,
	}, "\n"))
}

func TestNameLimitsCountCharactersFromBothSides(t *testing.T) {
	parse(t, risky(strings.Repeat("镜", 128), criticals))
	_, err := policy.Parse(files([]string{risky(strings.Repeat("镜", 129), criticals)})...)
	require.EqualError(t, err, "a.yaml:3: metadata.name: has 129 characters, at most 128 are allowed; shorten it")

	parse(t, risky("n", "description: "+strings.Repeat("像", 256)+"\n  "+criticals))
	_, err = policy.Parse(files([]string{risky("n", "description: "+strings.Repeat("像", 257)+"\n  "+criticals)})...)
	require.EqualError(t, err, "a.yaml:9: spec.description: has 257 characters, at most 256 are allowed; shorten it")
}

func TestAFieldThatCouldNotBeReadIsBlamedOnce(t *testing.T) {
	_, err := policy.Parse(files([]string{risky("n", "risk: everything")})...)
	require.EqualError(t, err, "a.yaml:9: spec.risk: wrong type: cannot read the text `everything` as a mapping")
}

func TestADocumentThatIsNothingButMistakesIsNotHeldAgainstItself(t *testing.T) {
	for _, item := range []string{"{nam: x}", "{name: ''}", "{name: }"} {
		_, err := policy.Parse(files([]string{risky("n", "risk: {vulnerabilities: {components: ["+strings.Repeat(item+", ", 60_000)+"]}}")})...)
		var problems strictyaml.Problems
		require.ErrorAs(t, err, &problems)
		require.LessOrEqual(t, len(problems), 500, item)
	}
}

func TestAPartOfAFileIsToldByTheLinesOfTheFile(t *testing.T) {
	_, err := policy.Parse(
		policy.Source{Name: "a.yaml", Data: []byte(risky("n", criticals)), Line: 100},
		policy.Source{Name: "a.yaml", Data: []byte(risky("n", "risk: everything")), Line: 200},
	)
	require.EqualError(t, err, "a.yaml:203: metadata.name: \"n\" is already the name of a.yaml:103; choose another\n"+
		"a.yaml:209: spec.risk: wrong type: cannot read the text `everything` as a mapping")
}

func TestRevisionIsOfTheContentNotOfTheFiles(t *testing.T) {
	one, two := risky("one", criticals), risky("two", criticals)
	revision := func(sources ...string) string {
		bundle, err := policy.Compile(parse(t, sources...), policy.Options{})
		require.NoError(t, err)
		return bundle.Revision()
	}
	together := revision(one + "---\n" + two)
	require.Len(t, together, 12)
	require.Equal(t, together, revision("# a comment\n"+two, one))
	require.NotEqual(t, together, revision(one))
	require.NotEqual(t, together, revision(one, strings.Replace(two, "enabled: true", "enabled: false", 1)))
}

func TestCompileValidatesDocumentsThatDidNotComeFromAFile(t *testing.T) {
	_, err := policy.Compile(&policy.Documents{Policies: []policy.ImagePolicy{{Metadata: policy.Metadata{Name: "p"}}}}, policy.Options{})
	require.ErrorContains(t, err, `ImagePolicy "p": spec.template: required; write one of RiskyImage, PrivilegedStart`)
}
