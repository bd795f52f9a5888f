package policy_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"portcullis/policy"
	"portcullis/scanner-client/verdict"
)

// manyPolicies returns n policies of the sorts that operators write, one of them PrivilegedStart.
func manyPolicies(n int) string {
	rules := []string{
		"risk: {vulnerabilities: {severities: [Critical], onlyFixable: true}}",
		"risk: {vulnerabilities: {classes: [code-injection, memory-corruption], severities: [Critical, High]}, malware: {}}",
		"risk: {vulnerabilities: {cves: [CVE-2021-44228, CVE-2020-%d]}}",
		`risk: {vulnerabilities: {components: [{name: "package-%d", version: "<2.17.1"}]}}`,
		"risk: {vulnerabilities: {labels: [known-exploited], severities: [High, Medium], gracePeriod: 14d}}",
		"risk: {secrets: {levels: [Critical, High], types: [private-key]}, malware: {types: [trojan, miner]}}",
	}
	all := ""
	for i := range n - 1 {
		rule := rules[i%len(rules)]
		if i%len(rules) == 2 || i%len(rules) == 3 {
			rule = fmt.Sprintf(rule, 1000+i)
		}
		all += risky(fmt.Sprintf("policy-%05d", i), rule) + "---\n"
	}
	return all + privilegedStart
}

const privilegedStart = `apiVersion: portcullis/v1
kind: ImagePolicy
metadata: {name: privileged}
spec:
  template: PrivilegedStart
  enabled: true
  effect: {mode: Immediate}
  scope: {images: {all: true, exclude: ["registry.example.com/system/**"]}}
`

// manyFindings returns n vulnerabilities spread over packages, severities and classes.
func manyFindings(n int) []verdict.Vulnerability {
	list := make([]verdict.Vulnerability, n)
	for i := range list {
		list[i] = verdict.Vulnerability{
			ID:          fmt.Sprintf("CVE-20%02d-%d", 15+i%12, 1000+i),
			Aliases:     []string{fmt.Sprintf("DEBIAN-CVE-20%02d-%d", 15+i%12, 1000+i)},
			Severity:    verdict.Severity(i % 6),
			Package:     fmt.Sprintf("package-%d", 1000+i/8),
			Version:     fmt.Sprintf("1:2.%d.%d-3+deb12u1", i/8%40, i%10),
			Type:        "deb",
			CWEs:        []int{[]int{79, 94, 125, 400, 787}[i%5]},
			Labels:      []string{"os-package", "network"},
			PublishedAt: noon.AddDate(0, 0, -i%400),
		}
		if i%2 == 0 {
			list[i].FixedVersion = "1:2.99-1"
		}
		if i%50 == 0 {
			list[i].Labels = append(list[i].Labels, "known-exploited")
		}
	}
	return list
}

var benchContainer = &policy.Container{
	Cluster:   "prod",
	Namespace: "shop",
	Image: policy.Image{
		ID:      "sha256:2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae",
		Tags:    []string{"registry.example.com/shop/cart:1.42"},
		Digests: []string{"registry.example.com/shop/cart@sha256:fcde2b2edba56bf408601fb721fe9b5c338d10ee429ea04fae5511b68fbf8fb9"},
	},
	Asks: []policy.Ask{{Parameter: "host-network"}, {Parameter: "NET_RAW"}, {Parameter: "CHOWN"}, {Parameter: "run-as-root", Detail: "user 0"}},
}

func benchBundle(b *testing.B, policies int) *policy.Bundle {
	docs, err := policy.Parse(policy.Source{Name: "a.yaml", Data: []byte(manyPolicies(policies))})
	require.NoError(b, err)
	bundle, err := policy.Compile(docs, policy.Options{})
	require.NoError(b, err)
	return bundle
}

func BenchmarkDecideCached100Policies(b *testing.B) {
	bundle, knowledge := benchBundle(b, 100), scanned(manyFindings(2000)...)
	bundle.Decide(benchContainer, knowledge, noon)
	b.ReportAllocs()
	for b.Loop() {
		bundle.Decide(benchContainer, knowledge, noon)
	}
}

// Every round brings a verdict that the bundle has not seen.
func BenchmarkDecideFirst2000x100(b *testing.B) {
	bundle, findings := benchBundle(b, 100), manyFindings(2000)
	b.ReportAllocs()
	matches := 0
	for b.Loop() {
		matches = len(bundle.Decide(benchContainer, scanned(findings...), noon).Matches)
	}
	b.ReportMetric(float64(matches), "matches")
}

func BenchmarkCompile1000(b *testing.B) {
	docs, err := policy.Parse(policy.Source{Name: "a.yaml", Data: []byte(manyPolicies(1000))})
	require.NoError(b, err)
	for b.Loop() {
		_, err := policy.Compile(docs, policy.Options{Since: func(*policy.ImagePolicy) time.Time { return noon }})
		require.NoError(b, err)
	}
}

func BenchmarkParse1000(b *testing.B) {
	source := policy.Source{Name: "a.yaml", Data: []byte(manyPolicies(1000))}
	for b.Loop() {
		_, err := policy.Parse(source)
		require.NoError(b, err)
	}
}
