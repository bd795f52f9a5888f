package vulnerabilities_test

import (
	"archive/zip"
	"bytes"
	"compress/flate"
	"context"
	"encoding/json"
	"hash/crc32"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	cpb "github.com/google/osv-scalibr/binary/proto/config_go_proto"
	"github.com/google/osv-scalibr/enricher/vulnmatch/osvlocal"
	"github.com/google/osv-scalibr/extractor"
	dpkg "github.com/google/osv-scalibr/extractor/filesystem/os/dpkg/metadata"
	rpm "github.com/google/osv-scalibr/extractor/filesystem/os/rpm/metadata"
	"github.com/google/osv-scalibr/inventory"
	"github.com/google/osv-scalibr/plugin/config"
	"github.com/stretchr/testify/require"

	"portcullis/cmd/portcullis-scan/image/imagetest"
	"portcullis/cmd/portcullis-scan/rootfs"
	"portcullis/cmd/portcullis-scan/vulnerabilities"
	"portcullis/cmd/portcullis-scan/vulnerabilities/osvtest"
	"portcullis/scanner-client/verdict"
)

var file = imagetest.File

const debian12 = "ID=debian\nVERSION_ID=\"12\"\nVERSION_CODENAME=bookworm\n"

// dpkgStatus is the package database of Debian with these packages: name, version, source.
func dpkgStatus(packages ...[3]string) string {
	var b strings.Builder
	for _, p := range packages {
		b.WriteString("Package: " + p[0] + "\nStatus: install ok installed\nArchitecture: amd64\nVersion: " + p[1] + "\n")
		if p[2] != "" {
			b.WriteString("Source: " + p[2] + "\n")
		}
		b.WriteString("Description: a package\n\n")
	}
	return b.String()
}

// jar is a Java archive with a library's properties, or with other archives.
func jar(t *testing.T, files map[string]string) string {
	t.Helper()
	var content bytes.Buffer
	archive := zip.NewWriter(&content)
	for name, text := range files {
		w, err := archive.Create(name)
		require.NoError(t, err)
		_, err = io.WriteString(w, text)
		require.NoError(t, err)
	}
	require.NoError(t, archive.Close())
	return content.String()
}

func log4jJar(t *testing.T) string {
	return jar(t, map[string]string{
		"META-INF/maven/org.apache.logging.log4j/log4j-core/pom.properties": "groupId=org.apache.logging.log4j\nartifactId=log4j-core\nversion=2.14.1\n",
	})
}

func inspect(t *testing.T, advisories vulnerabilities.Advisories, without []string, entries ...imagetest.Entry) (*vulnerabilities.Result, error) {
	t.Helper()
	img := imagetest.Open(t, imagetest.Layer(t, entries...))
	tree, err := rootfs.Build(context.Background(), img, rootfs.DefaultLimits, func(int) {})
	require.NoError(t, err)
	scan, err := vulnerabilities.NewScan(tree, advisories, without, t.TempDir())
	require.NoError(t, err)
	defer scan.Close()
	require.NoError(t, tree.Read(context.Background(), img, []rootfs.Inspector{scan}, func(int) {}))
	return scan.Findings(context.Background())
}

func offline(t *testing.T, advisories osvtest.Advisories) vulnerabilities.Offline {
	t.Helper()
	return vulnerabilities.Offline{Folder: osvtest.Write(t, advisories)}
}

func day(year int, month time.Month, day, hour, minute, second int) time.Time {
	return time.Date(year, month, day, hour, minute, second, 0, time.UTC)
}

func TestInstalledPackagesWithKnownWeaknesses(t *testing.T) {
	db := offline(t, osvtest.Advisories{
		"Debian": {osvtest.DebianOpenSSL}, "npm": {osvtest.Lodash}, "Maven": {osvtest.Log4Shell},
		"PyPI": {osvtest.Requests, osvtest.RequestsOfPyPA},
	})
	result, err := inspect(t, db, nil,
		file("etc/os-release", debian12),
		file("var/lib/dpkg/status", dpkgStatus([3]string{"libssl3", "3.0.8-1", "openssl"}, [3]string{"openssl", "3.0.9-1", ""}, [3]string{"bash", "5.2-1", ""})),
		file("app/node_modules/lodash/package.json", `{"name": "lodash", "version": "4.17.20"}`),
		file("app/node_modules/fixed/node_modules/lodash/package.json", `{"name": "lodash", "version": "4.17.21"}`),
		file("usr/lib/python3/dist-packages/requests-2.30.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: requests\nVersion: 2.30.0\n\n"),
		file("app/shop.jar", jar(t, map[string]string{"BOOT-INF/lib/log4j-core-2.14.1.jar": log4jJar(t)})),
	)
	require.NoError(t, err)
	require.Empty(t, result.Problems)
	require.Equal(t, "2026-01-02T03:04:05Z", result.Version)
	require.Equal(t, []verdict.Vulnerability{
		{
			ID: "CVE-2021-44228", Aliases: []string{"GHSA-jfh8-c2jp-5v3q"}, Severity: verdict.Critical, Package: "org.apache.logging.log4j:log4j-core", Version: "2.14.1", FixedVersion: "2.15.0",
			Type: "maven", Path: "app/shop.jar", CWEs: []int{20, 400, 502, 917}, Labels: []string{"fixable", "language-package", "network"}, PublishedAt: day(2021, 12, 10, 0, 40, 56),
		},
		{
			ID: "CVE-2021-23337", Aliases: []string{"GHSA-35jh-r3h4-6jhm"}, Severity: verdict.High, Package: "lodash", Version: "4.17.20", FixedVersion: "4.17.21",
			Type: "npm", Path: "app/node_modules/lodash/package.json", CWEs: []int{94}, Labels: []string{"fixable", "language-package", "network"}, PublishedAt: day(2021, 5, 6, 16, 5, 51),
		},
		{
			ID: "CVE-2023-2650", Aliases: []string{"DEBIAN-CVE-2023-2650"}, Severity: verdict.High, Package: "libssl3", Version: "3.0.8-1", FixedVersion: "3.0.9-1",
			Type: "deb", Labels: []string{"fixable", "network", "os-package"}, PublishedAt: day(2023, 5, 30, 14, 15, 9),
		},
		{
			ID: "CVE-2023-32681", Aliases: []string{"GHSA-j8r2-6x86-q33q", "PYSEC-2023-74"}, Severity: verdict.Medium, Package: "requests", Version: "2.30.0", FixedVersion: "2.31.0",
			Type: "pypi", Path: "usr/lib/python3/dist-packages/requests-2.30.0.dist-info/METADATA", CWEs: []int{200}, Labels: []string{"fixable", "language-package", "network"}, PublishedAt: day(2023, 5, 22, 20, 36, 32),
		},
	}, result.Found)
}

func TestAGoProgramTellsItsModules(t *testing.T) {
	program, err := exec.LookPath("go") // any Go program
	require.NoError(t, err)
	content, err := os.ReadFile(program)
	require.NoError(t, err)
	result, err := inspect(t, offline(t, osvtest.Advisories{"Go": {
		`{"id": "GO-2099-0001", "modified": "2099-01-01T00:00:00Z", "affected": [{"package": {"ecosystem": "Go", "name": "stdlib"}, "ranges": [{"type": "SEMVER", "events": [{"introduced": "0"}, {"fixed": "99.0.0"}]}]}]}`,
		`{"id": "GO-2099-0002", "modified": "2099-01-01T00:00:00Z", "affected": [{"package": {"ecosystem": "Go", "name": "github.com/stretchr/testify"}, "ranges": [{"type": "SEMVER", "events": [{"introduced": "0"}]}]}]}`,
	}}), nil, imagetest.Program("usr/bin/server", string(content)))
	require.NoError(t, err)
	var found []string
	for _, f := range result.Found {
		require.Equal(t, "usr/bin/server", f.Path)
		found = append(found, f.ID+" "+f.Package+" "+f.FixedVersion)
	}
	require.Contains(t, found, "GO-2099-0001 go 99.0.0")
	require.Less(t, len(found), 3)
}

func TestAJarUnderAnotherNameOfTheSameFile(t *testing.T) {
	result, err := inspect(t, offline(t, osvtest.Advisories{"Maven": {osvtest.Log4Shell}}), nil,
		file("a.txt", log4jJar(t)), imagetest.Link("lib/log4j-core-2.14.1.jar", "a.txt"))
	require.NoError(t, err)
	require.Len(t, result.Found, 1)
}

// A database that cannot answer must never look like an image without weaknesses.
func TestADatabaseThatCannotAnswerIsAnError(t *testing.T) {
	lodash := file("node_modules/lodash/package.json", `{"name": "lodash", "version": "4.17.20"}`)
	bookworm := []imagetest.Entry{file("etc/os-release", debian12), file("var/lib/dpkg/status", dpkgStatus([3]string{"openssl", "3.0.8-1", ""}))}
	for name, c := range map[string]struct {
		advisories osvtest.Advisories
		entries    []imagetest.Entry
		want       string
	}{
		"no ecosystem":         {osvtest.Advisories{"PyPI": {osvtest.Requests}}, []imagetest.Entry{lodash}, `1 packages of ecosystem npm, and there is no`},
		"no such release":      {osvtest.Advisories{"Debian": {strings.ReplaceAll(osvtest.DebianOpenSSL, "Debian:12", "Debian:13")}}, bookworm, "no advisory for Debian:12, which the image is"},
		"damaged advisory":     {osvtest.Advisories{"npm": {`{"id": "X", "affected": [`}}, []imagetest.Entry{lodash}, "broken-0.json: not an OSV advisory"},
		"advisory of no form":  {osvtest.Advisories{"npm": {strings.Replace(osvtest.Lodash, `"ranges": [{"type"`, `"ranges": [{"kind": "x", "events": 5, "type"`, 1)}}, []imagetest.Entry{lodash}, "not an OSV advisory"},
		"unknown distribution": {osvtest.Advisories{"Debian": {osvtest.DebianOpenSSL}}, []imagetest.Entry{bookworm[1]}, "no OSV advisories can be had for deb packages of this distribution"},
		"nobody can compare":   {osvtest.Advisories{}, []imagetest.Entry{file("etc/os-release", "ID=debian-like\n"), bookworm[1]}, "no OSV advisories can be had for deb packages"},
		"no OSV for it":        {osvtest.Advisories{}, []imagetest.Entry{file("etc/os-release", "ID=arch\n"), file("var/lib/pacman/local/bash-5.2-1/desc", "%NAME%\nbash\n\n%VERSION%\n5.2-1\n\n")}, "no OSV advisories can be had for "},
		"broken package list":  {osvtest.Advisories{"Debian": {osvtest.DebianOpenSSL}}, []imagetest.Entry{bookworm[0], file("var/lib/dpkg/status", "Package: a\n\x00\x01 broken\n")}, "os/dpkg: var/lib/dpkg/status"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := inspect(t, offline(t, c.advisories), nil, c.entries...)
			require.ErrorContains(t, err, c.want)
		})
	}
	t.Run("damaged archive", func(t *testing.T) {
		db := offline(t, osvtest.Advisories{"npm": {osvtest.Lodash}})
		require.NoError(t, os.WriteFile(filepath.Join(db.Folder, "osv-scalibr", "npm", "all.zip"), []byte("PK"), 0o600))
		_, err := inspect(t, db, nil, lodash)
		require.ErrorContains(t, err, "npm/all.zip: zip: not a valid zip file")
	})
	t.Run("no folder", func(t *testing.T) {
		require.ErrorContains(t, vulnerabilities.Offline{Folder: t.TempDir()}.Check(), "choose another folder with --osv-db")
		require.NoError(t, offline(t, osvtest.Advisories{"npm": {osvtest.Lodash}}).Check())
	})
	t.Run("left out on request", func(t *testing.T) {
		result, err := inspect(t, offline(t, osvtest.Advisories{}), []string{"npm", "deb"}, lodash, bookworm[1])
		require.NoError(t, err)
		require.Empty(t, result.Found)
	})
}

// The database of a later year has fields that the library does not know; it would pass over all of them.
func TestAnAdvisoryOfANewerSchemaIsUnderstood(t *testing.T) {
	newer := strings.Replace(osvtest.Lodash, `"schema_version": "1.7.3"`, `"schema_version": "2.0.0", "impact": {"new": [1, 2]}`, 1)
	result, err := inspect(t, offline(t, osvtest.Advisories{"npm": {newer}}), nil, file("node_modules/lodash/package.json", `{"name": "lodash", "version": "4.17.20"}`))
	require.NoError(t, err)
	require.Len(t, result.Found, 1)
}

func TestVersionsThatCannotBeComparedAreTold(t *testing.T) {
	result, err := inspect(t, offline(t, osvtest.Advisories{"Debian": {osvtest.DebianOpenSSL}}), nil,
		file("etc/os-release", debian12), file("var/lib/dpkg/status", dpkgStatus([3]string{"openssl", "not:a:version", ""})))
	require.NoError(t, err)
	require.Empty(t, result.Found)
	require.Len(t, result.Problems, 1)
	require.Contains(t, result.Problems[0], "DEBIAN-CVE-2023-2650 cannot be compared with openssl not:a:version")
}

func TestFilesThatAreNotWhatTheirNameSaysAreTold(t *testing.T) {
	result, err := inspect(t, offline(t, osvtest.Advisories{"npm": {osvtest.Lodash}}), nil,
		file("test/fixtures/package.json", `{"name": `), file("broken.jar", strings.Repeat("no archive", 10)),
		file("node_modules/lodash/package.json", `{"name": "lodash", "version": "4.17.20"}`))
	require.NoError(t, err)
	require.Len(t, result.Found, 1)
	require.Len(t, result.Problems, 2)
	require.Contains(t, strings.Join(result.Problems, "\n"), "broken.jar")
}

// jarWith is a Java archive with one entry whose size is claimed.
func jarWith(t *testing.T, name string, content []byte, claimed uint64) string {
	t.Helper()
	var file bytes.Buffer
	archive := zip.NewWriter(&file)
	var packed bytes.Buffer
	deflate, err := flate.NewWriter(&packed, flate.BestSpeed)
	require.NoError(t, err)
	_, err = deflate.Write(content)
	require.NoError(t, err)
	require.NoError(t, deflate.Close())
	w, err := archive.CreateRaw(&zip.FileHeader{Name: name, Method: zip.Deflate, CompressedSize64: uint64(packed.Len()), UncompressedSize64: claimed, CRC32: crc32.ChecksumIEEE(content)})
	require.NoError(t, err)
	_, err = w.Write(packed.Bytes())
	require.NoError(t, err)
	require.NoError(t, archive.Close())
	return file.String()
}

func TestABombInAJarHidesNothing(t *testing.T) {
	db := offline(t, osvtest.Advisories{"Maven": {osvtest.Log4Shell}})
	_, err := inspect(t, db, nil, file("app.jar", jarWith(t, "lib/bomb.jar", []byte("tiny"), 1<<30)))
	require.ErrorContains(t, err, "app.jar")
	require.ErrorContains(t, err, "memory limit")

	deep := log4jJar(t)
	for range 40 {
		deep = jarWith(t, "inner.jar", []byte(deep), uint64(len(deep)))
	}
	result, err := inspect(t, db, nil, file("deep.jar", deep), file("log4j-core.jar", log4jJar(t)))
	require.NoError(t, err)
	require.Len(t, result.Found, 1)
	require.Len(t, result.Problems, 1)
	require.Contains(t, result.Problems[0], "deep.jar")

	zeros := make([]byte, 8<<20)
	result, err = inspect(t, db, nil, file("liar.jar", jarWith(t, "lib/bomb.jar", zeros, 100)), file("log4j-core.jar", log4jJar(t)))
	require.NoError(t, err)
	require.Len(t, result.Found, 1)
	require.Len(t, result.Problems, 1)
}

func debianPackage(id, release string) *extractor.Package {
	return &extractor.Package{Name: "libssl3", Version: "1.0-1", PURLType: "deb", Metadata: &dpkg.Metadata{PackageName: "libssl3", SourceName: "openssl", OSID: id, OSVersionID: release}}
}

func rpmPackage(id, release, cpe string) *extractor.Package {
	return &extractor.Package{Name: "openssl", Version: "1.0-1", PURLType: "rpm", Metadata: &rpm.Metadata{PackageName: "openssl", OSID: id, OSVersionID: release, OSCPEName: cpe}}
}

// Advisories call releases otherwise than images do, and a comparison letter by letter finds nothing.
func TestReleasesAreKnownByAllTheirNames(t *testing.T) {
	for name, c := range map[string]struct {
		pkg               *extractor.Package
		database, release string
	}{
		"Debian":         {debianPackage("debian", "12"), "Debian", "Debian:12"},
		"Ubuntu LTS":     {debianPackage("ubuntu", "22.04"), "Ubuntu", "Ubuntu:22.04:LTS"},
		"Ubuntu":         {debianPackage("ubuntu", "25.04"), "Ubuntu", "Ubuntu:25.04"},
		"RHEL BaseOS":    {rpmPackage("rhel", "9.4", "cpe:/o:redhat:enterprise_linux:9::baseos"), "Red Hat", "Red Hat:enterprise_linux:9::baseos"},
		"RHEL AppStream": {rpmPackage("rhel", "9.4", "cpe:/o:redhat:enterprise_linux:9::baseos"), "Red Hat", "Red Hat:enterprise_linux:9::appstream"},
		"SLES":           {rpmPackage("sles", "15.5", ""), "SUSE", "SUSE:Linux Enterprise Server 15 SP5"},
		"SLES module":    {rpmPackage("sles", "15.5", ""), "SUSE", "SUSE:Linux Enterprise Module for Basesystem 15 SP5"},
		"openSUSE":       {rpmPackage("opensuse-leap", "15.5", ""), "openSUSE", "openSUSE:Leap 15.5"},
		"AlmaLinux":      {rpmPackage("almalinux", "9.4", ""), "AlmaLinux", "AlmaLinux:9"},
		"Rocky Linux":    {rpmPackage("rocky", "9.4", ""), "Rocky Linux", "Rocky Linux:9"},
	} {
		t.Run(name, func(t *testing.T) {
			advisory := func(release string) string {
				return `{"id": "X-1", "modified": "2026-01-01T00:00:00Z", "affected": [{"package": {"ecosystem": "` + release + `", "name": "openssl"}, "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "2.0-1"}]}]}]}`
			}
			hits, err := hitsOf(offline(t, osvtest.Advisories{c.database: {advisory(c.release)}}), c.pkg)
			require.NoError(t, err)
			require.Len(t, hits, 1)
			if _, release, named := strings.Cut(c.release, ":"); named && c.database != "Rocky Linux" {
				_, err = hitsOf(offline(t, osvtest.Advisories{c.database: {advisory(c.database + ":other" + release)}}), c.pkg)
				require.ErrorContains(t, err, "has no advisory for "+c.database)
			}
		})
	}
}

// The names under which packages are looked up are ours, the comparison is the library's: on the same
// database both must find the same.
func TestTheLibraryFindsTheSame(t *testing.T) {
	packages := []*extractor.Package{
		debianPackage("debian", "12"),
		{Name: "lodash", Version: "4.17.20", PURLType: "npm"},
		{Name: "@scope/lodash", Version: "4.17.20", PURLType: "npm"},
		{Name: "Requests", Version: "2.30.0", PURLType: "pypi"},
		{Name: "zope_interface", Version: "1", PURLType: "pypi"},
		{Name: "org.apache.logging.log4j:log4j-core", Version: "2.14.1", PURLType: "maven"},
		{Name: "github.com/gin-gonic/gin", Version: "1.8.1", PURLType: "golang"},
		{Name: "github.com/labstack/echo/v4", Version: "4.1.0", PURLType: "golang"},
		{Name: "go", Version: "1.20.1", PURLType: "golang"},
	}
	simple := func(id, ecosystem, name, kind, fixed string) string {
		return `{"id": "` + id + `", "modified": "2026-01-01T00:00:00Z", "affected": [{"package": {"ecosystem": "` + ecosystem + `", "name": "` + name + `"}, "ranges": [{"type": "` + kind + `", "events": [{"introduced": "0"}, {"fixed": "` + fixed + `"}]}]}]}`
	}
	folder := osvtest.Write(t, osvtest.Advisories{
		"Debian": {osvtest.DebianOpenSSL}, "Maven": {osvtest.Log4Shell},
		"npm":  {osvtest.Lodash, simple("N-1", "npm", "@scope/lodash", "SEMVER", "5.0.0"), simple("N-2", "npm", "other", "SEMVER", "99.0.0")},
		"PyPI": {osvtest.Requests, osvtest.RequestsOfPyPA, simple("P-1", "PyPI", "zope-interface", "ECOSYSTEM", "2"), simple("P-2", "PyPI", "zope.interface", "ECOSYSTEM", "2")},
		"Go": {
			simple("G-1", "Go", "github.com/gin-gonic/gin", "SEMVER", "1.9.0"), simple("G-2", "Go", "stdlib", "SEMVER", "1.21.0"), simple("G-3", "Go", "github.com/labstack/echo/v4", "SEMVER", "4.2.0"),
			simple("G-4", "Go", "github.com/labstack/echo", "SEMVER", "5.0.0"), simple("G-5", "Go", "example.com/gin", "SEMVER", "9.0.0"), simple("G-6", "Go", "toolchain", "SEMVER", "9.0.0"),
		},
	})
	ours, err := hitsOf(vulnerabilities.Offline{Folder: folder}, packages...)
	require.NoError(t, err)
	var found []string
	for _, hit := range ours {
		found = append(found, hit.Advisory.GetId()+" "+hit.Package.Name)
	}
	library, err := osvlocal.New(&config.PluginConfig{ClientFactories: config.NewDefaultClientFactories(""), ProtoConfig: &cpb.PluginConfig{
		PluginSpecific: []*cpb.PluginSpecificConfig{{Config: &cpb.PluginSpecificConfig_Osvlocal{Osvlocal: &cpb.OSVLocalConfig{LocalPath: folder}}}},
	}})
	require.NoError(t, err)
	theirs := inventory.Inventory{Packages: packages}
	require.NoError(t, library.Enrich(context.Background(), nil, &theirs))
	var expected []string
	for _, v := range theirs.PackageVulns {
		expected = append(expected, v.Vulnerability.GetId()+" "+v.Package.Name)
	}
	require.ElementsMatch(t, expected, found)
	require.GreaterOrEqual(t, len(found), 9)
}

func TestTheOnlineServiceIsAskedForWhatIsInstalled(t *testing.T) {
	var asked []string
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/v1/vulns/GHSA-35jh-r3h4-6jhm" {
			_, _ = io.WriteString(w, osvtest.Lodash)
			return
		}
		var query struct {
			Queries []struct {
				Version string
				Package struct{ Name, Ecosystem string }
			}
		}
		_ = json.NewDecoder(r.Body).Decode(&query)
		for _, q := range query.Queries {
			asked = append(asked, q.Package.Ecosystem+" "+q.Package.Name+" "+q.Version)
		}
		_, _ = io.WriteString(w, `{"results": [{"vulns": [{"id": "GHSA-35jh-r3h4-6jhm"}]}]}`)
	}))
	defer service.Close()
	result, err := inspect(t, vulnerabilities.Online{URL: service.URL}, nil, file("node_modules/lodash/package.json", `{"name": "lodash", "version": "4.17.20"}`))
	require.NoError(t, err)
	require.Equal(t, []string{"npm lodash 4.17.20"}, asked)
	require.Len(t, result.Found, 1)
	require.Equal(t, "CVE-2021-23337", result.Found[0].ID)
	require.ErrorContains(t, vulnerabilities.Online{URL: "osv.example.com"}.Check(), "write https://HOST")
	require.NoError(t, vulnerabilities.Online{URL: service.URL}.Check())
}

func TestAnOnlineServiceThatFailsIsAnError(t *testing.T) {
	service := httptest.NewServer(http.NotFoundHandler())
	defer service.Close()
	_, err := inspect(t, vulnerabilities.Online{URL: service.URL}, nil, file("node_modules/lodash/package.json", `{"name": "lodash", "version": "4.17.20"}`))
	require.ErrorContains(t, err, "OSV service "+service.URL)
}

// hitsOf are all hits of the packages.
func hitsOf(advisories vulnerabilities.Advisories, packages ...*extractor.Package) (all []vulnerabilities.Hit, err error) {
	_, err = advisories.Match(context.Background(), packages, func(hits []vulnerabilities.Hit) { all = append(all, hits...) })
	return all, err
}
