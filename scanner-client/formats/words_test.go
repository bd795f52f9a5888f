package formats_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"portcullis/scanner-client/formats"
	"portcullis/scanner-client/verdict"
)

const (
	nineEight = "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H"
	local78   = "CVSS:3.0/AV:L/AC:L/PR:L/UI:N/S:U/C:H/I:H/A:H"
	v4Low     = "CVSS:4.0/AV:L/AC:H/AT:P/PR:H/UI:A/VC:L/VI:N/VA:N/SC:N/SI:N/SA:N"
	v2High    = "AV:N/AC:L/Au:N/C:P/I:P/A:P"
	nothing   = "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:N/I:N/A:N"
)

func TestTheScannersOwnRatingComesBeforeCVSS(t *testing.T) {
	for name, c := range map[string]struct {
		own    string
		scores []formats.Score
		want   verdict.Severity
	}{
		"own":                      {"LOW", []formats.Score{{Vector: nineEight}}, verdict.Low},
		"GitHub's word":            {"MODERATE", nil, verdict.Medium},
		"Red Hat's word":           {" Important ", nil, verdict.High},
		"Debian's word":            {"unimportant", nil, verdict.Negligible},
		"unknown, vector":          {"UNKNOWN", []formats.Score{{Vector: nineEight}}, verdict.Critical},
		"nothing at all":           {"", nil, verdict.Unknown},
		"a word nobody knows":      {"severe", nil, verdict.Unknown},
		"not yet assigned":         {"not yet assigned", []formats.Score{{Base: 9}}, verdict.Critical},
		"just below critical":      {"", []formats.Score{{Base: 8.9}}, verdict.High},
		"high":                     {"", []formats.Score{{Base: 7}}, verdict.High},
		"medium":                   {"", []formats.Score{{Base: 4}}, verdict.Medium},
		"low":                      {"", []formats.Score{{Base: 0.1}}, verdict.Low},
		"no impact":                {"", []formats.Score{{Vector: nothing}}, verdict.Negligible},
		"several, the worst":       {"", []formats.Score{{Vector: local78}, {Vector: nineEight}, {Vector: v4Low}}, verdict.Critical},
		"version 2 alone":          {"", []formats.Score{{Vector: v2High}}, verdict.High},
		"version 2 beside 3":       {"", []formats.Score{{Vector: v2High}, {Vector: nothing}}, verdict.Negligible},
		"broken vector, score":     {"", []formats.Score{{Vector: "CVSS:3.1/AV:N", Base: 9.8}}, verdict.Critical},
		"broken vector":            {"", []formats.Score{{Vector: "CVSS:3.1/AV:N"}, {Vector: "x"}, {Vector: "CVSS:4.0/x"}, {Vector: "CVSS:3.0/x"}}, verdict.Unknown},
		"score out of range":       {"", []formats.Score{{Base: 99}, {Base: -1}}, verdict.Unknown},
		"score against its vector": {"", []formats.Score{{Vector: nineEight, Base: 5}}, verdict.Medium},
	} {
		require.Equal(t, c.want, formats.Rate(c.own, c.scores...), name)
	}
}

func TestOnlyAVectorSaysThatTheNetworkIsEnough(t *testing.T) {
	require.True(t, formats.Reachable(formats.Score{Vector: local78}, formats.Score{Vector: nineEight}))
	require.True(t, formats.Reachable(formats.Score{Vector: v2High}))
	require.False(t, formats.Reachable(formats.Score{Vector: local78}, formats.Score{Base: 10}))
	require.False(t, formats.Reachable(formats.Score{Vector: "CVSS:3.1/MAV:N"}))
}

func TestAWeaknessGoesByItsCVE(t *testing.T) {
	for name, c := range map[string]struct {
		id      string
		others  []string
		want    string
		aliases []string
	}{
		"CVE":                    {"CVE-2021-44228", nil, "CVE-2021-44228", nil},
		"small letters":          {"cve-2021-44228", []string{"CVE-2021-44228"}, "CVE-2021-44228", nil},
		"GHSA with its CVE":      {"GHSA-jfh8-c2jp-5v3q", []string{"CVE-2021-44228"}, "CVE-2021-44228", []string{"GHSA-jfh8-c2jp-5v3q"}},
		"GHSA alone":             {"GHSA-jfh8-c2jp-5v3q", nil, "GHSA-jfh8-c2jp-5v3q", nil},
		"Debian":                 {"DEBIAN-CVE-2023-5678", nil, "CVE-2023-5678", []string{"DEBIAN-CVE-2023-5678"}},
		"Alpine":                 {"ALPINE-CVE-2023-5678", []string{"CVE-2023-5678"}, "CVE-2023-5678", []string{"ALPINE-CVE-2023-5678"}},
		"advisory of several":    {"RHSA-2024:1", []string{"CVE-2024-0001", "CVE-2024-0002"}, "RHSA-2024:1", []string{"CVE-2024-0001", "CVE-2024-0002"}},
		"CVE with another":       {"CVE-2024-0001", []string{"CVE-2024-0002"}, "CVE-2024-0001", []string{"CVE-2024-0002"}},
		"no own ID":              {"", []string{"GHSA-x", "CVE-2024-0001"}, "CVE-2024-0001", []string{"GHSA-x"}},
		"nothing":                {" ", []string{""}, "", nil},
		"not quite a CVE number": {"CVE-20-1", nil, "CVE-20-1", nil},
	} {
		id, aliases := formats.Identify(c.id, c.others...)
		require.Equal(t, c.want, id, name)
		require.Equal(t, c.aliases, aliases, name)
	}
	require.Equal(t, []int{79, 79, 1336, 0, 0, 0}, []int{
		formats.CWE("CWE-79"), formats.CWE("cwe-79: Cross-site Scripting"), formats.CWE("1336"), formats.CWE("NVD-CWE-noinfo"), formats.CWE(""), formats.CWE("123456"),
	})
}

func TestAPackageURLGivesTypeAndName(t *testing.T) {
	for text, want := range map[string][3]string{
		"pkg:deb/debian/openssl@3.0.11-1~deb12u2?arch=amd64":       {"deb", "openssl", "3.0.11-1~deb12u2"},
		"pkg:maven/org.apache.logging.log4j/log4j-core@2.14.1":     {"maven", "org.apache.logging.log4j:log4j-core", "2.14.1"},
		"pkg:npm/%40angular/core@16.0.0":                           {"npm", "@angular/core", "16.0.0"},
		"pkg:npm/@angular/core":                                    {"npm", "@angular/core", ""},
		"pkg:golang/github.com/x/y/v2@v2.0.1#sub/path":             {"golang", "github.com/x/y/v2", "v2.0.1"},
		"pkg:PyPI/jinja2@3.1.2":                                    {"pypi", "jinja2", "3.1.2"},
		"pkg:oci/app@sha256%3Aab?repository_url=example.com%2Fapp": {"oci", "app", "sha256:ab"},
		"pkg:generic/a%zz@1":                                       {"generic", "a%zz", "1"},
		"pkg:deb":                                                  {"", "", ""},
		"openssl":                                                  {"", "", ""},
		"":                                                         {"", "", ""},
	} {
		p := formats.ParsePURL(text)
		require.Equal(t, want, [3]string{p.Type, p.FullName(), p.Version}, text)
	}
}

func TestEveryToolsWordForAnEcosystemIsAPurlType(t *testing.T) {
	for word, want := range map[string]string{
		"Debian:12": "deb", "ubuntu": "deb", "Alpine:v3.18": "apk", "Rocky Linux:9": "rpm", "redhat": "rpm", "Red Hat:enterprise_linux:9::baseos": "rpm",
		"jar": "maven", "java-archive": "maven", "Maven": "maven", "node-pkg": "npm", "PyPI": "pypi", "gobinary": "golang", "Go": "golang", "go-module": "golang",
		"crates.io": "cargo", "rustbinary": "cargo", "RubyGems": "gem", "gemspec": "gem", "Packagist": "composer", "NuGet": "nuget", "dotnet-core": "nuget",
		"Hex": "hex", "Pub": "pub", "SwiftURL": "swift", "unheard of": "", "": "",
	} {
		require.Equal(t, want, formats.TypeOf(word), word)
	}
}

func TestTimesAreReadInTheFormsThatToolsWrite(t *testing.T) {
	noon := time.Date(2026, 11, 2, 12, 0, 0, 0, time.UTC)
	for _, text := range []string{"2026-11-02T12:00:00Z", "2026-11-02T13:00:00+01:00", "2026-11-02T12:00:00.000Z", "2026-11-02T12:00:00"} {
		require.Equal(t, noon, formats.Time(text), text)
	}
	require.Equal(t, 2, formats.Time("2026-11-02").Day())
	require.True(t, formats.Time("yesterday").IsZero())
	require.True(t, formats.Time("").IsZero())
}

func TestPlatformsAreComparedAsFarAsBothSay(t *testing.T) {
	require.Equal(t, "linux/arm64", formats.Platform("linux", "arm64", "v8"))
	require.Equal(t, "linux/arm/v7", formats.Platform("linux", "arm", "v7"))
	require.Empty(t, formats.Platform("linux", "", ""))
	require.True(t, formats.SamePlatform("linux/arm/v7", "linux/arm"))
	require.False(t, formats.SamePlatform("linux/arm/v7", "linux/arm/v6"))
	require.False(t, formats.SamePlatform("linux/arm64", "linux/amd64"))
	require.False(t, formats.SamePlatform("", ""))
	require.False(t, formats.SamePlatform("linux", "linux"))
}
