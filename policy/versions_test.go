package policy

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestVersionsAreComparedInTheSchemeOfTheirPackage(t *testing.T) {
	for _, c := range []struct {
		trap, purlType, versions, installed string
		inside                              bool
	}{
		{"numbers, not text", "deb", "<1.10", "1.9-1", true},
		{"an epoch beats any version", "deb", "<2.0", "1:1.0-1", false},
		{"epoch in the range", "deb", "<1:2.0", "1:1.9-3", true},
		{"no epoch is epoch 0", "deb", "=0:1.2-1", "1.2-1", true},
		{"~ is before the version", "deb", "<1.0", "1.0~rc1-1", true},
		{"~ before ~~", "deb", "<1.0~", "1.0~~a", true},
		{"a backport is before the release it was made from", "deb", "<2.4-1", "2.4-1~bpo12+1", true},
		{"security update is after", "deb", "<=3.0.15-1~deb12u1", "3.0.15-1~deb12u2", false},
		{"+ is after", "deb", ">2.36-9", "2.36-9+deb12u4", true},
		{"revision counts", "deb", "<1.2-3", "1.2-2", true},
		{"letters before signs", "deb", "<1.0+b", "1.0a", true},

		{"release counts", "rpm", "<1.2.3-5.el9", "1.2.3-4.el9_2", true},
		{"an epoch beats any version", "rpm", "<2", "1:1.0-1.el9", false},
		{"no epoch is epoch 0", "rpm", "=0:1.0-1", "1.0-1", true},
		{"~ is before the version", "rpm", "<1.0", "1.0~rc1", true},
		{"^ is after the version", "rpm", ">1.0", "1.0^git1", true},
		{"^ is before the next version", "rpm", "<1.0.1", "1.0^git1", true},
		{"digits beat letters", "rpm", "<1.0.1", "1.0.a", true},

		{"_rc is before the version", "apk", "<1.2.3", "1.2.3_rc2-r0", true},
		{"_p is after the version", "apk", ">1.2.3", "1.2.3_p1-r0", true},
		{"-r is a number", "apk", "<3.1.4-r10", "3.1.4-r9", true},
		{"a letter is after", "apk", ">1.0.2", "1.0.2u-r1", true},
		{"_alpha before _beta", "apk", "<1.0_beta", "1.0_alpha3", true},

		{"SNAPSHOT is before", "maven", "<2.17.1", "2.17.1-SNAPSHOT", true},
		{"rc is before the version", "maven", "<2.0", "2.0-rc1", true},
		{"trailing zeros say nothing", "maven", "=2.0", "2.0.0", true},
		{"sp is after the version", "maven", ">1.0", "1.0-sp1", true},
		{"numbers, not text", "maven", "<2.17.1", "2.9.1", true},
		{"Final says nothing", "maven", "=4.1.100", "4.1.100.Final", true},

		{"rc is before the version", "pypi", "<2.0", "2.0rc1", true},
		{"dev is before rc", "pypi", "<2.0rc1", "2.0.dev5", true},
		{"post is after", "pypi", ">2.0", "2.0.post1", true},
		{"an epoch beats any version", "pypi", "<2020.1", "1!1.0", false},
		{"spellings of rc are one", "pypi", "=1.0rc1", "1.0-RC.1", true},
		{"trailing zeros say nothing", "pypi", "=1.0", "1.0.0", true},
		{"a local version is the version that it was made from", "pypi", ">1.0", "1.0+ubuntu1", false},
		{"a local version is found by it", "pypi", "=1.0", "1.0+ubuntu1", true},

		{"a pre-release is before the version", "npm", "<4.17.21", "4.17.21-beta.1", true},
		{"pre-releases are compared by number", "npm", "<1.0.0-rc.10", "1.0.0-rc.9", true},
		{"build metadata says nothing", "npm", "=1.0.0", "1.0.0+build5", true},
		{"v says nothing", "golang", "<1.22.3", "v1.22.2", true},
		{"a pseudo-version is before what it leads to", "golang", "<0.17.0", "v0.17.0-0.20231005222220-abcdefabcdef", true},
		{"+incompatible says nothing", "golang", "=24.0.7", "v24.0.7+incompatible", true},
		{"the toolchain's own spelling", "golang", "<1.22.3", "go1.22.2", true},
		{"a pre-release is before the version", "cargo", "<0.8.0", "0.8.0-alpha.2", true},
		{"a letter makes a pre-release", "gem", "<6.0.0", "6.0.0.rc1", true},
		{"four numbers", "nuget", "<4.3.1.2", "4.3.1.1", true},

		{"and", "deb", ">=1.0 <2.0", "2.0-1", false},
		{"and, with a comma", "deb", ">=1.0, <2.0", "1.5-1", true},
		{"or", "deb", "<1.0 || >=2.0", "2.1-1", true},
		{"or, between", "deb", "<1.0 || >=2.0", "1.5-1", false},
		{"no operator means equal", "npm", "1.2.3", "1.2.4", false},
		{"not equal", "npm", ">=1 !=1.2.3", "1.2.3", false},
		{"a blank after the operator", "npm", "< 2", "1.9.9", true},

		{"every version", "deb", "", "", true},
		{"no installed version cannot be compared", "deb", "<1.0", "", true},
		{"an unknown type cannot be compared", "conan", "<1.0", "2.0", true},
		{"no type cannot be compared", "", "<1.0", "2.0", true},
		{"no version of the scheme cannot be compared", "npm", "<1.0.0", "latest", true},
	} {
		t.Run(c.purlType+" "+c.trap, func(t *testing.T) {
			r, err := parseRange(c.versions)
			require.NoError(t, err)
			require.Equal(t, c.inside, r.holds(c.purlType, c.installed), "%s in %s", c.installed, c.versions)
		})
	}
}

func TestARangeThatDoesNotParseSaysWhatToWrite(t *testing.T) {
	for text, want := range map[string]string{
		"<":         `cannot read "<"`,
		"latest":    `cannot read "latest"`,
		"1.x":       `cannot read "1.x"`,
		"1.*":       `cannot read "*"`,
		"^1.2":      `cannot read "^1.2"`,
		"~> 1.2":    `cannot read "~> 1.2"`,
		"[1.0,2.0)": `cannot read "[1.0,2.0)"`,
		"1.0 - 2.0": `cannot read "- 2.0"`,
		"=>1.0":     `cannot read "=>1.0"`,
		"<1 ||":     "an alternative is empty",
		" ":         "an alternative is empty",
	} {
		t.Run(text, func(t *testing.T) {
			_, err := parseRange(text)
			require.EqualError(t, err, `"`+text+`" is not a version range: `+want+"; write comparisons such as <2.17.1 or >=1.0 <2.0 || =2.3")
		})
	}
}
