package reports_test

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sirupsen/logrus"
	"github.com/sirupsen/logrus/hooks/test"
	"github.com/stretchr/testify/require"

	scanner "portcullis/scanner-client"
	"portcullis/scanner-client/formats"
	"portcullis/scanner-client/reports"
	"portcullis/scanner-client/scannertest"
	"portcullis/scanner-client/verdict"
)

func newFolder(dir string) *reports.Folder {
	return reports.NewFolder(dir, reports.Options{Platform: "linux/amd64"})
}

func put(t *testing.T, path, format string, v *verdict.Verdict) {
	t.Helper()
	require.NoError(t, os.WriteFile(path, render(t, format, v), 0o600))
}

func write(t *testing.T, path, content string) {
	t.Helper()
	require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
}

func refresh(t *testing.T, f *reports.Folder) reports.Change {
	t.Helper()
	change, err := f.Refresh()
	require.NoError(t, err)
	return change
}

func cves(v *verdict.Verdict) []string {
	var ids []string
	for _, f := range v.Vulnerabilities {
		ids = append(ids, f.ID)
	}
	return ids
}

func TestReportsArePickedUpReplacedAndDropped(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "any name.json")
	folder := newFolder(dir)
	require.Zero(t, refresh(t, folder).Files)

	put(t, path, "trivy", scannertest.Verdict(1, 1, "CVE-2026-0001"))
	change := refresh(t, folder)
	require.Equal(t, 1, change.Files)
	require.True(t, change.Concerns(scannertest.Image(1)))
	require.True(t, change.Concerns(scanner.Image{ID: "sha256:other", Tags: scannertest.Image(1).Tags}), "what has the tag may be concerned")
	require.False(t, change.Concerns(scannertest.Image(2)))
	require.Zero(t, refresh(t, folder).Files, "nothing changed since")

	put(t, path, "grype", scannertest.Verdict(2, 1, "CVE-2026-0002", "CVE-2026-0003"))
	change = refresh(t, folder)
	require.True(t, change.Concerns(scannertest.Image(1)), "lost its verdict")
	require.True(t, change.Concerns(scannertest.Image(2)), "got one")
	_, err := folder.Verdict(t.Context(), scannertest.Image(1))
	require.ErrorIs(t, err, scanner.ErrUnscanned)

	require.NoError(t, os.Remove(path))
	require.True(t, refresh(t, folder).Concerns(scannertest.Image(2)))
	files, _ := folder.Len()
	require.Zero(t, files)
}

func TestTwoReportsMergeByKindAndNewestScan(t *testing.T) {
	dir := t.TempDir()
	put(t, filepath.Join(dir, "old.json"), "trivy", scannertest.Verdict(1, 1, "CVE-2026-0001"))
	put(t, filepath.Join(dir, "new.json"), "grype", scannertest.Verdict(1, 2, "CVE-2026-0002"))
	malware := scannertest.Verdict(1, 3)
	malware.Scanned, malware.Malware = []verdict.Kind{verdict.KindMalware}, []verdict.Malware{{Path: "/x", Signature: "Eicar", Type: "test-file"}}
	put(t, filepath.Join(dir, "clam.json"), "portcullis", malware)
	folder := newFolder(dir)
	refresh(t, folder)
	v, err := folder.Verdict(t.Context(), scannertest.Image(1))
	require.NoError(t, err)
	require.Equal(t, []string{"CVE-2026-0002"}, cves(v))
	require.Len(t, v.Malware, 1)
	require.Equal(t, []verdict.Kind{verdict.KindVulnerabilities, verdict.KindMalware}, v.Scanned)
}

func TestAReportThatBreaksIsAFailureAndNotAnUnscannedImage(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "a.json")
	put(t, path, "trivy", scannertest.Verdict(1, 1, "CVE-2026-0001"))
	folder := newFolder(dir)
	refresh(t, folder)
	write(t, path, `{"SchemaVersion": 2, "Results": [{"Targ`)
	change := refresh(t, folder)
	require.True(t, change.Concerns(scannertest.Image(1)))
	require.ErrorContains(t, change.Problems[0], "a.json: Trivy report: report is truncated or empty; write it under another name")
	_, err := folder.Verdict(t.Context(), scannertest.Image(1))
	require.ErrorIs(t, err, scanner.ErrUnreadable)
	require.ErrorContains(t, err, "truncated or empty")
	files, broken := folder.Len()
	require.Equal(t, [2]int{1, 1}, [2]int{files, broken})

	put(t, filepath.Join(dir, "b.json"), "grype", scannertest.Verdict(1, 1))
	refresh(t, folder)
	_, err = folder.Verdict(t.Context(), scannertest.Image(1))
	require.NoError(t, err, "another covers the same")

	malware := scannertest.Verdict(1, 3)
	malware.Scanned = []verdict.Kind{verdict.KindMalware}
	put(t, filepath.Join(dir, "b.json"), "portcullis", malware)
	refresh(t, folder)
	v, err := folder.Verdict(t.Context(), scannertest.Image(1))
	require.ErrorIs(t, err, scanner.ErrUnreadable, "but not something else")
	require.True(t, v.Covers(verdict.KindMalware))
}

func TestABrokenReportWhoseNameDeclaresTheImageIsAFailureFromTheStart(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, strings.Replace(scannertest.ImageID(1), ":", "-", 1)+".json"), `{`)
	folder := newFolder(dir)
	require.Len(t, refresh(t, folder).Problems, 1)
	_, err := folder.Verdict(t.Context(), scannertest.Image(1))
	require.ErrorIs(t, err, scanner.ErrUnreadable)
	_, err = folder.Verdict(t.Context(), scannertest.Image(2))
	require.ErrorIs(t, err, scanner.ErrUnscanned)
}

func TestAReportThatChangesOrGoesBetweenTwoLooksIsNotMistaken(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "a.json")
	put(t, path, "trivy", scannertest.Verdict(1, 1, "CVE-2026-0001"))
	folder := newFolder(dir)
	refresh(t, folder)
	put(t, path, "trivy", scannertest.Verdict(2, 1))
	_, err := folder.Verdict(t.Context(), scannertest.Image(1))
	require.ErrorIs(t, err, scanner.ErrUnreadable, "the file is about another image now")
	require.NoError(t, os.Remove(path))
	_, err = folder.Verdict(t.Context(), scannertest.Image(1))
	require.ErrorIs(t, err, scanner.ErrUnreadable)
	refresh(t, folder)
	_, err = folder.Verdict(t.Context(), scannertest.Image(1))
	require.ErrorIs(t, err, scanner.ErrUnscanned)
}

func TestANewerReportThatBreaksDoesNotMakeWayForAnOlderCleanOne(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "newer.json")
	put(t, filepath.Join(dir, "older.json"), "grype", scannertest.Verdict(1, 1, "CVE-2026-0009"))
	put(t, path, "trivy", scannertest.Verdict(1, 2, "CVE-2026-0001"))
	folder := newFolder(dir)
	refresh(t, folder)
	whole, err := os.ReadFile(path)
	require.NoError(t, err)

	write(t, path, "{")
	refresh(t, folder)
	v, err := folder.Verdict(t.Context(), scannertest.Image(1))
	require.ErrorIs(t, err, scanner.ErrUnreadable)
	require.False(t, v.Covers(verdict.KindVulnerabilities))
	require.Equal(t, []string{"CVE-2026-0009"}, cves(v), "what the older one has found still counts")

	write(t, path, string(whole)) // not seen by the index yet
	v, err = folder.Verdict(t.Context(), scannertest.Image(1))
	require.NoError(t, err)
	require.Equal(t, []string{"CVE-2026-0001"}, cves(v))

	write(t, path, "{")
	put(t, filepath.Join(dir, "older.json"), "grype", scannertest.Verdict(1, 2))
	refresh(t, folder)
	v, err = folder.Verdict(t.Context(), scannertest.Image(1))
	require.NoError(t, err, "another is as new")
	require.True(t, v.Covers(verdict.KindVulnerabilities))
}

func TestANewReportThatIsRefusedMakesItsImageFailedAndNotUnscanned(t *testing.T) {
	v := scannertest.Verdict(1, 3, "CVE-2026-0001", "CVE-2026-0002")
	for _, format := range []string{"trivy", "harbor", "portcullis"} {
		t.Run(format, func(t *testing.T) {
			dir := t.TempDir()
			put(t, filepath.Join(dir, "older.json"), "grype", scannertest.Verdict(1, 1))
			path := filepath.Join(dir, strings.Replace(scannertest.ImageID(1), ":", "-", 1)+".json")
			if format == "trivy" {
				path = filepath.Join(dir, "a.json")
			}
			document := render(t, format, v)
			write(t, path, string(document[:len(document)-2])) // truncated
			folder := newFolder(dir)
			change := refresh(t, folder)
			require.Len(t, change.Problems, 1)
			require.True(t, change.Concerns(scannertest.Image(1)))
			known, err := folder.Verdict(t.Context(), scannertest.Image(1))
			require.ErrorIs(t, err, scanner.ErrUnreadable)
			require.False(t, known != nil && known.Covers(verdict.KindVulnerabilities))
			if format != "portcullis" { // which is strict
				require.Contains(t, cves(known), "CVE-2026-0001", "what was found before the end counts")
			}
		})
	}
}

func TestAReportLargerThanTheLimitIsAboutItsImageAllTheSame(t *testing.T) {
	dir := t.TempDir()
	document := render(t, "trivy", scannertest.Verdict(1, 1, "CVE-2026-0001"))
	write(t, filepath.Join(dir, "a.json"), string(document)+strings.Repeat(" ", 2<<20))
	folder := reports.NewFolder(dir, reports.Options{Platform: "linux/amd64", MaxFileSize: 1 << 20})
	require.ErrorIs(t, refresh(t, folder).Problems[0], formats.ErrTooLarge)
	v, err := folder.Verdict(t.Context(), scannertest.Image(1))
	require.ErrorIs(t, err, scanner.ErrUnreadable)
	require.Equal(t, []string{"CVE-2026-0001"}, cves(v))
}

func TestAFileThatBreaksAsAnotherImagesReportIsAboutBoth(t *testing.T) {
	dir, state := t.TempDir(), filepath.Join(t.TempDir(), "index")
	path := filepath.Join(dir, "latest.json")
	put(t, path, "trivy", scannertest.Verdict(1, 1, "CVE-2026-0001"))
	folder := newFolder(dir)
	refresh(t, folder)
	document := render(t, "trivy", scannertest.Verdict(2, 2, "CVE-2026-0002"))
	write(t, path, string(document[:len(document)-2]))
	refresh(t, folder)
	require.NoError(t, folder.Index().Save(state))
	restarted := newFolder(dir)
	require.NoError(t, restarted.Restore(state))
	refresh(t, restarted)
	for _, f := range []*reports.Folder{folder, restarted} {
		for n := 1; n <= 2; n++ {
			_, err := f.Verdict(t.Context(), scannertest.Image(n))
			require.ErrorIs(t, err, scanner.ErrUnreadable)
		}
	}
}

func TestAReportReplacedByOneOfTheSameSizeAndTimeIsNoticed(t *testing.T) {
	dir := t.TempDir()
	path, next := filepath.Join(dir, "a.json"), filepath.Join(dir, "next")
	at := time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
	put(t, path, "trivy", scannertest.Verdict(1, 1, "CVE-2026-0001"))
	require.NoError(t, os.Chtimes(path, at, at))
	folder := newFolder(dir)
	refresh(t, folder)
	require.Zero(t, refresh(t, folder).Files)

	put(t, next, "trivy", scannertest.Verdict(1, 1, "CVE-2026-0002"))
	require.NoError(t, os.Chtimes(next, at, at))
	require.NoError(t, os.Rename(next, path))
	require.Equal(t, 1, refresh(t, folder).Files)

	require.Eventually(t, func() bool { // the clock of file systems is coarse
		put(t, path, "trivy", scannertest.Verdict(1, 1, "CVE-2026-0003"))
		require.NoError(t, os.Chtimes(path, at, at))
		return refresh(t, folder).Files == 1
	}, 10*time.Second, time.Millisecond, "written over")
}

func TestWhatIsNotAReportIsLeftAlone(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "README"), "x")
	write(t, filepath.Join(dir, ".hidden.json"), "x")
	require.NoError(t, os.Mkdir(filepath.Join(dir, "folder.json"), 0o700))
	require.NoError(t, os.Symlink("nowhere", filepath.Join(dir, "dangling.json")))
	change := refresh(t, newFolder(dir))
	require.Empty(t, change.Problems)
	require.Zero(t, change.Files)
}

func TestAReportOfAConfigMapIsALink(t *testing.T) {
	dir, data := t.TempDir(), t.TempDir()
	put(t, filepath.Join(data, "a.json"), "trivy", scannertest.Verdict(1, 1, "CVE-2026-0001"))
	require.NoError(t, os.Symlink(filepath.Join(data, "a.json"), filepath.Join(dir, "a.json")))
	folder := newFolder(dir)
	refresh(t, folder)
	_, err := folder.Verdict(t.Context(), scannertest.Image(1))
	require.NoError(t, err)
}

func TestAFolderThatGoesAwayLeavesWhatWasKnown(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "reports")
	require.NoError(t, os.Mkdir(dir, 0o700))
	put(t, filepath.Join(dir, "a.json"), "trivy", scannertest.Verdict(1, 1))
	folder := newFolder(dir)
	refresh(t, folder)
	require.NoError(t, os.Rename(dir, dir+".away"))
	change, err := folder.Refresh()
	require.ErrorContains(t, err, "reports folder")
	require.False(t, change.Concerns(scannertest.Image(1)))
	files, _ := folder.Len()
	require.Equal(t, 1, files)
}

func TestBeforeTheFirstRefreshNothingIsCalledUnscanned(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := newFolder(t.TempDir()).Verdict(ctx, scannertest.Image(1))
	require.ErrorIs(t, err, context.Canceled)
}

func TestAReportIsNotReadOnAfterTheCallerIsGone(t *testing.T) {
	dir := t.TempDir()
	put(t, filepath.Join(dir, "a.json"), "trivy", scannertest.Verdict(1, 1))
	folder := newFolder(dir)
	refresh(t, folder)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := folder.Verdict(ctx, scannertest.Image(1))
	require.Equal(t, context.Canceled, err)
}

func TestAHugeReportIsRefusedWithoutReadingIt(t *testing.T) {
	dir := t.TempDir()
	file, err := os.Create(filepath.Join(dir, "huge.json"))
	require.NoError(t, err)
	require.NoError(t, file.Truncate(1<<30))
	require.NoError(t, file.Close())
	change := refresh(t, newFolder(dir))
	require.ErrorIs(t, change.Problems[0], formats.ErrTooLarge)
	require.ErrorContains(t, change.Problems[0], "report is larger than the limit of 268435456 bytes")
}

func TestARestartReadsOnlyWhatHasChanged(t *testing.T) {
	dir, state := t.TempDir(), filepath.Join(t.TempDir(), "index")
	put(t, filepath.Join(dir, "same.json"), "trivy", scannertest.Verdict(1, 1, "CVE-2026-0001"))
	put(t, filepath.Join(dir, "gone.json"), "trivy", scannertest.Verdict(2, 1))
	write(t, filepath.Join(dir, "broken.json"), `{`)
	before := newFolder(dir)
	refresh(t, before)
	require.NoError(t, before.Index().Save(state))
	require.NoError(t, os.Remove(filepath.Join(dir, "gone.json")))
	put(t, filepath.Join(dir, "new.json"), "trivy", scannertest.Verdict(3, 1))

	folder := newFolder(dir)
	require.NoError(t, folder.Restore(state))
	change := refresh(t, folder)
	require.Equal(t, 2, change.Files)
	require.Empty(t, change.Problems, "told before")
	require.Equal(t, [3]bool{false, true, true}, [3]bool{change.Concerns(scannertest.Image(1)), change.Concerns(scannertest.Image(2)), change.Concerns(scannertest.Image(3))})
	_, err := folder.Verdict(t.Context(), scannertest.Image(1))
	require.NoError(t, err)
}

func TestAnIndexThatCannotBeUsedMeansReadingAgain(t *testing.T) {
	dir, state := t.TempDir(), filepath.Join(t.TempDir(), "index")
	put(t, filepath.Join(dir, "a.json"), "trivy", scannertest.Verdict(1, 1))
	before := newFolder(dir)
	require.NoError(t, before.Restore(state), "the first start has none")
	refresh(t, before)
	require.NoError(t, before.Index().Save(state))

	other := newFolder(t.TempDir())
	require.NoError(t, other.Restore(state))
	files, _ := other.Len()
	require.Zero(t, files, "it is another folder's")

	write(t, state, "damaged")
	folder := newFolder(dir)
	require.ErrorContains(t, folder.Restore(state), "index of the reports folder")
	require.Equal(t, 1, refresh(t, folder).Files)
	require.Error(t, folder.Index().Save(filepath.Join(state, "x")))
}

func TestASecretInAReportIsRepeatedNowhere(t *testing.T) {
	const secret = "hunter2-do-not-repeat"
	dir := t.TempDir()
	for name, content := range map[string]string{
		"match": `{"SchemaVersion": 2, "Metadata": {"ImageID": "` + scannertest.ImageID(1) + `", "ImageConfig": {"config": {"Env": ["` + secret + `"]}}},
			"Results": [{"Target": "/.env", "Class": "secret", "Secrets": [{"RuleID": "r", "Match": "` + secret + `", "Code": {"Lines": [{"Content": "` + secret + `"}]}}]}]}`,
		"type":      `{"SchemaVersion": 2, "Results": [{"Secrets": [{"RuleID": ["` + secret + `"]}]}]}`,
		"truncated": `{"SchemaVersion": 2, "Results": [{"Secrets": [{"Match": "` + secret,
		"syntax":    `{"SchemaVersion": 2, "Results": [` + secret + `]}`,
		"whole": `{"apiVersion": "portcullis/v1", "kind": "Verdict", "imageID": "` + scannertest.ImageID(2) + `", "scanner": {"name": "x"}, "scannedAt": "2026-11-02T00:00:00Z",
			"scanned": ["secrets"], "secrets": [{"rule": "r", "type": "password", "level": "High", "redacted": "` + secret + `"}]}`,
		"no report": `{"password": "` + secret + `"}`,
	} {
		write(t, filepath.Join(dir, name+".json"), content)
	}
	var out bytes.Buffer
	log := logrus.New()
	log.SetOutput(&out)
	log.SetLevel(logrus.TraceLevel)
	folder := reports.NewFolder(dir, reports.Options{Log: log})
	change := refresh(t, folder)
	require.Len(t, change.Problems, 5)
	for _, problem := range change.Problems {
		out.WriteString(problem.Error())
	}
	out.WriteString(strings.Join(change.Warnings, "\n"))
	v, err := folder.Verdict(t.Context(), scannertest.Image(1))
	require.NoError(t, err)
	require.Len(t, v.Secrets, 1)
	require.NoError(t, verdict.Write(&out, v))
	state := filepath.Join(t.TempDir(), "index")
	require.NoError(t, folder.Index().Save(state))
	index, err := os.ReadFile(state)
	require.NoError(t, err)
	out.Write(index)
	require.NotContains(t, out.String(), secret)
}

func TestARemarkAboutAReportIsLoggedOnce(t *testing.T) {
	dir := t.TempDir()
	v := scannertest.Verdict(1, 1, "CVE-2026-0001")
	put(t, filepath.Join(dir, "harbor.json"), "harbor", v)
	log, logged := test.NewNullLogger()
	folder := reports.NewFolder(dir, reports.Options{Log: log})
	refresh(t, folder)
	for range 3 {
		_, err := folder.Verdict(t.Context(), scannertest.Image(1))
		require.NoError(t, err)
	}
	require.Len(t, logged.AllEntries(), 1)
	require.Contains(t, logged.LastEntry().Message, "does not show the image clean")
}

func TestAReportWithoutATimeIsAsOldAsItsFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, strings.Replace(scannertest.ImageID(1), ":", "-", 1)+".json")
	put(t, path, "osv-scanner", scannertest.Verdict(1, 1))
	written := time.Date(2026, 10, 1, 0, 0, 0, 0, time.UTC)
	require.NoError(t, os.Chtimes(path, written, written))
	folder := newFolder(dir)
	refresh(t, folder)
	v, err := folder.Verdict(t.Context(), scannertest.Image(1))
	require.NoError(t, err)
	require.Equal(t, written, v.ScannedAt)
}

func TestAFolderThatCannotBeListedIsAFailureAndNotAnUnscannedImage(t *testing.T) {
	folder := reports.NewFolder(filepath.Join(t.TempDir(), "nowhere"), reports.Options{})
	_, err := folder.Refresh()
	require.Error(t, err)
	_, err = folder.Verdict(t.Context(), scanner.Image{ID: "sha256:" + strings.Repeat("a", 64)})
	require.ErrorContains(t, err, "reports folder")
	require.NotErrorIs(t, err, scanner.ErrUnscanned)
}
