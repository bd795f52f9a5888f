package formats

import (
	"net/url"
	"strings"
)

// PURL is what a package URL such as pkg:deb/debian/openssl@3.0.2?arch=amd64 says.
type PURL struct {
	Type      string // "" when it was not a package URL
	Namespace string
	Name      string
	Version   string
	Arguments url.Values
}

// ParsePURL reads a package URL. What is not one gives the zero PURL.
func ParsePURL(text string) PURL {
	rest, ok := strings.CutPrefix(text, "pkg:")
	if !ok || len(text) > MaxText {
		return PURL{}
	}
	rest, _, _ = strings.Cut(rest, "#")
	rest, query, _ := strings.Cut(rest, "?")
	kind, path, ok := strings.Cut(strings.TrimLeft(rest, "/"), "/")
	if !ok {
		return PURL{}
	}
	p := PURL{Type: strings.ToLower(kind)}
	p.Arguments, _ = url.ParseQuery(query) // what it can read of a malformed one is good enough
	path = strings.Trim(path, "/")
	if i := strings.LastIndexByte(path, '@'); i > strings.LastIndexByte(path, '/') && i > 0 {
		path, p.Version = path[:i], unescape(path[i+1:])
	}
	if i := strings.LastIndexByte(path, '/'); i >= 0 {
		p.Namespace, path = unescape(path[:i]), path[i+1:]
	}
	p.Name = unescape(path)
	return p
}

func unescape(text string) string {
	if plain, err := url.PathUnescape(text); err == nil {
		return plain
	}
	return text
}

// FullName is the package's name as its ecosystem writes it: group:artifact for Maven, @scope/name for
// npm. The namespace of a distribution's package is the distribution and not part of the name.
func (p PURL) FullName() string {
	switch {
	case p.Namespace == "" || osTypes[p.Type]:
		return p.Name
	case p.Type == "maven":
		return p.Namespace + ":" + p.Name
	}
	return p.Namespace + "/" + p.Name
}

// osTypes are the purl types of packages that an operating system's package manager installs.
var osTypes = map[string]bool{"deb": true, "rpm": true, "apk": true, "alpm": true, "ebuild": true}

// Labels of a vulnerability, as policies name them.
const (
	LabelFixable        = "fixable"
	LabelNoFix          = "no-fix"
	LabelNetwork        = "network"
	LabelKnownExploited = "known-exploited"
	LabelOSPackage      = "os-package"
	LabelLanguage       = "language-package"
)

// packageLabel is the label that follows from a purl type, "" when none does.
func packageLabel(purlType string) string {
	switch {
	case osTypes[purlType]:
		return LabelOSPackage
	case purlType == "", purlType == "generic", purlType == "oci", purlType == "docker", purlType == "github":
		return ""
	}
	return LabelLanguage
}

// TypeOf returns the purl type for the name that a tool has for an ecosystem, a package manager or a
// distribution, "" when the name is not known.
func TypeOf(name string) string {
	name, _, _ = strings.Cut(strings.ToLower(name), ":") // OSV: Debian:12
	return types[name]
}

// types gives the purl type by the names of distributions, package managers and ecosystems.
var types = func() map[string]string {
	known := map[string]string{}
	for purlType, names := range map[string]string{
		"deb": "debian,ubuntu,echo,dpkg",
		"rpm": "redhat,red hat,centos,fedora,rocky,rocky linux,alma,almalinux,oracle,oracle linux,amazon,amazon linux,suse,opensuse," +
			"opensuse-leap,opensuse-tumbleweed,opensuse.leap,opensuse.tumbleweed,suse linux enterprise server,slem,slem-micro," +
			"photon,photon os,azurelinux,azure linux,cbl-mariner,mariner,openeuler,mageia,bottlerocket",
		"apk":      "alpine,wolfi,chainguard,minimos,alpaquita,bellsoft hardened containers",
		"alpm":     "arch,archlinux",
		"ebuild":   "portage,gentoo",
		"maven":    "java,jar,pom,gradle,gradle-lockfile,sbt-lockfile,java-archive,jenkins-plugin,graalvm-native-image",
		"npm":      "node-pkg,yarn,pnpm,bun,javascript",
		"pypi":     "python,python-pkg,pip,pipenv,poetry,uv,pylock",
		"golang":   "go,gobinary,gomod,go-module",
		"cargo":    "rustbinary,rust-crate,crates.io,rust",
		"gem":      "gemspec,bundler,rubygems,ruby",
		"composer": "composer-vendor,php-composer,packagist",
		"nuget":    "dotnet-core,packages-props,dotnet",
		"hex":      "erlang-otp",
		"pub":      "dart-pub",
		"swift":    "swifturl",
		"conan":    "conancenter",
		"conda":    "conda-pkg,conda-environment",
		"cran":     "r-package",
		"generic":  "binary",
		"bitnami":  "",
	} {
		known[purlType] = purlType
		for name := range strings.SplitSeq(names, ",") {
			known[name] = purlType
		}
	}
	delete(known, "")
	return known
}()
