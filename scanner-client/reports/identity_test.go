package reports_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sirupsen/logrus/hooks/test"
	"github.com/stretchr/testify/require"

	scanner "portcullis/scanner-client"
	"portcullis/scanner-client/reports"
	"portcullis/scanner-client/scannertest"
	"portcullis/scanner-client/verdict"
)

var (
	config   = "sha256:" + strings.Repeat("c", 64)
	index    = "sha256:" + strings.Repeat("1", 64)
	manifest = "sha256:" + strings.Repeat("2", 64)
	other    = "sha256:" + strings.Repeat("f", 64)

	// running is an image that was pulled by its tag through an index.
	running = scanner.Image{
		ID: config, Tags: []string{"docker.io/library/nginx:1.25"}, Digests: []string{"docker.io/library/nginx@" + index},
	}
)

// named is a Trivy report of one CVE, or of none, that names its image so.
type named struct {
	ID           string
	Digests      []string
	Tags         []string
	OS, Platform string
	clean        bool
}

func (n named) write(t *testing.T, path string) {
	t.Helper()
	found := []object{{"VulnerabilityID": "CVE-2026-0001", "PkgName": "p", "InstalledVersion": "1"}}
	if n.clean {
		found = nil
	}
	document, err := json.Marshal(object{
		"SchemaVersion": 2, "CreatedAt": "2026-11-02T00:00:00Z", "Results": []object{{"Class": "os-pkgs", "Type": "debian", "Vulnerabilities": found}},
		"Metadata": object{"ImageID": n.ID, "RepoDigests": n.Digests, "RepoTags": n.Tags, "ImageConfig": object{"os": n.OS, "architecture": n.Platform}},
	})
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(path, document, 0o600))
}

func TestAReportReachesTheImageByEveryNameItMayHave(t *testing.T) {
	repo := "docker.io/library/nginx@"
	const (
		nothing    = "" // it is about something else
		findings   = "its findings count, that there are no others does not"
		everything = "it counts in full"
	)
	for name, c := range map[string]struct {
		report named
		image  scanner.Image
		file   string
		want   string
		log    string
	}{
		"config digest": {report: named{ID: config}, want: everything},
		"config digest of another platform, by chance": {report: named{ID: config, OS: "linux", Platform: "s390x"}, want: everything},
		"config digest, other tag":                     {report: named{ID: config, Tags: []string{"x:1"}}, want: everything},
		"another config digest":                        {report: named{ID: other}, want: nothing},
		"another config digest, same tag":              {report: named{ID: other, Tags: []string{"nginx:1.25"}}, want: nothing, log: "another image, which had the same tag"},
		"another config digest, same index":            {report: named{ID: other, Digests: []string{repo + index}, OS: "linux", Platform: "arm64"}, want: nothing},
		"repo digest and platform":                     {report: named{Digests: []string{repo + index}, OS: "linux", Platform: "amd64"}, want: everything},
		"digest from another registry":                 {report: named{Digests: []string{"mirror.example.com/nginx@" + index}, OS: "linux", Platform: "amd64"}, want: everything},
		"digest alone":                                 {report: named{Digests: []string{index}, OS: "linux", Platform: "amd64"}, want: everything},
		"index digest, another platform":               {report: named{Digests: []string{repo + index}, OS: "linux", Platform: "arm64"}, want: nothing, log: "another platform, linux/arm64"},
		"index digest, no platform":                    {report: named{Digests: []string{repo + index}}, want: findings, log: "does not say for which platform"},
		"index digest as ID, with platform":            {report: named{ID: index, OS: "linux", Platform: "amd64"}, want: everything},
		"several digests, one is it":                   {report: named{Digests: []string{other, repo + index}, OS: "linux", Platform: "amd64"}, want: everything},
		"another digest, same tag":                     {report: named{Digests: []string{repo + manifest}, Tags: []string{"nginx:1.25"}, OS: "linux", Platform: "amd64"}, want: nothing, log: "another digest, which had the same tag"},
		"tag":                                          {report: named{Tags: []string{"docker.io/library/nginx:1.25"}}, want: findings, log: "by tag only"},
		"short tag":                                    {report: named{Tags: []string{"nginx:1.25"}}, want: findings, log: "by tag only"},
		"tag of Docker's other host":                   {report: named{Tags: []string{"index.docker.io/library/nginx:1.25"}}, want: findings, log: "by tag only"},
		"another tag":                                  {report: named{Tags: []string{"nginx:1.26"}}, want: nothing},
		"no tag means latest":                          {report: named{Tags: []string{"nginx"}}, want: nothing},
		"the same name elsewhere":                      {report: named{Tags: []string{"registry.example.com/library/nginx:1.25"}}, want: nothing},
		"a longer name":                                {report: named{Tags: []string{"docker.io/team/library/nginx:1.25"}}, want: nothing},
		"digest of an image that was imported, by tag": {report: named{Digests: []string{manifest}, Tags: []string{"nginx:1.25"}}, image: scanner.Image{ID: config, Tags: running.Tags}, want: findings, log: "by tag only"},
		"file name is the image ID":                    {report: named{}, file: "sha256-" + config[7:] + ".trivy.json", want: everything},
		"file name is the image ID, content has tags":  {report: named{Tags: []string{"nginx:1.25"}}, file: "sha256-" + config[7:] + ".json", want: everything},
		"file name is the index digest, with platform": {report: named{OS: "linux", Platform: "amd64"}, file: "sha256-" + index[7:] + ".json", want: everything},
		"file name is another image's":                 {report: named{}, file: "sha256-" + other[7:] + ".json", want: nothing},
		"file name that only looks like a digest":      {report: named{Tags: []string{"nginx:1.25"}}, file: "sha256-xyz.json", want: findings, log: "by tag only"},
		"port in the registry's name":                  {report: named{Tags: []string{"localhost:5000/a:1"}}, image: scanner.Image{ID: config, Tags: []string{"localhost:5000/a:1"}}, want: findings, log: "by tag only"},
		"tag with a digest":                            {report: named{Tags: []string{"nginx:1.25@" + other}}, want: findings, log: "by tag only"},
	} {
		for _, clean := range []bool{false, true} {
			t.Run(name+map[bool]string{false: ", dirty", true: ", clean"}[clean], func(t *testing.T) {
				dir := t.TempDir()
				if c.file == "" {
					c.file = "a.json"
				}
				if c.image.ID == "" {
					c.image = running
				}
				c.report.clean = clean
				c.report.write(t, filepath.Join(dir, c.file))
				log, logged := test.NewNullLogger()
				folder := reports.NewFolder(dir, reports.Options{Platform: "linux/amd64", Log: log})
				change := refresh(t, folder)
				require.Empty(t, change.Problems)
				if c.want != nothing {
					require.True(t, change.Concerns(c.image))
				}
				v, err := folder.Verdict(t.Context(), c.image)
				if c.want == nothing || c.want == findings && clean {
					require.ErrorIs(t, err, scanner.ErrUnscanned)
				} else {
					require.NoError(t, err)
					require.Equal(t, config, v.ImageID)
					require.Equal(t, c.want == everything, v.Covers(verdict.KindVulnerabilities))
					require.Equal(t, !clean, len(v.Vulnerabilities) == 1)
				}
				if c.log == "" {
					require.Empty(t, logged.AllEntries())
				} else {
					require.Contains(t, logged.LastEntry().Message, c.log)
				}
			})
		}
	}
}

func TestASureReportOutweighsOneByTag(t *testing.T) {
	dir := t.TempDir()
	named{Tags: []string{"nginx:1.25"}}.write(t, filepath.Join(dir, "tag.json"))
	named{ID: config, clean: true}.write(t, filepath.Join(dir, "id.json"))
	folder := newFolder(dir)
	refresh(t, folder)
	v, err := folder.Verdict(t.Context(), running)
	require.NoError(t, err)
	require.Empty(t, v.Vulnerabilities, "the tag may have been another image's")
	require.True(t, v.Covers(verdict.KindVulnerabilities))
}

func TestAReportThatNamesNoImageSaysHowToNameIt(t *testing.T) {
	dir := t.TempDir()
	named{}.write(t, filepath.Join(dir, "a.json"))
	require.ErrorContains(t, refresh(t, newFolder(dir)).Problems[0], "does not say which image it is about; name the file sha256-<64 digits of the image ID>.json")
}

func TestAFileNameThatContradictsItsContentIsAProblem(t *testing.T) {
	dir := t.TempDir()
	named{ID: config}.write(t, filepath.Join(dir, "sha256-"+other[7:]+".json"))
	folder := newFolder(dir)
	require.ErrorContains(t, refresh(t, folder).Problems[0], "the file name says that the report is about "+other)
	for _, image := range []scanner.Image{running, {ID: other}} {
		v, err := folder.Verdict(t.Context(), image)
		require.ErrorIs(t, err, scanner.ErrUnreadable, "it may be about either")
		require.Nil(t, v, "whose findings these are is not known")
	}
}

func TestACleanImageUnderTheSameTagDoesNotHideWhatWasFoundBefore(t *testing.T) {
	dir := t.TempDir()
	put := func(name string, day int, v ...string) {
		report := scannertest.Verdict(1, day, v...)
		document := trivy(scanner.Image{Tags: running.Tags}, report).(object)
		delete(document["Metadata"].(object), "ImageConfig")
		text, err := json.Marshal(document)
		require.NoError(t, err)
		write(t, filepath.Join(dir, name), string(text))
	}
	put("old.json", 1, "CVE-2026-0001", "CVE-2026-0002")
	put("newer.json", 2, "CVE-2026-0002", "CVE-2026-0003")
	put("clean.json", 3)
	folder := newFolder(dir)
	refresh(t, folder)
	v, err := folder.Verdict(t.Context(), running)
	require.NoError(t, err)
	require.ElementsMatch(t, []string{"CVE-2026-0001", "CVE-2026-0002", "CVE-2026-0003"}, cves(v))
	require.Empty(t, v.Scanned)

	for i := range 40 {
		put(fmt.Sprintf("flood-%d.json", i), 10)
	}
	refresh(t, folder)
	_, err = folder.Verdict(t.Context(), running)
	require.ErrorIs(t, err, scanner.ErrUnreadable)
	require.ErrorContains(t, err, "more than 32 reports may be about the image")
}
