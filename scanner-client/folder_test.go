package scanner_test

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	scanner "portcullis/scanner-client"
	"portcullis/scanner-client/verdict"
)

var (
	idA = "sha256:" + strings.Repeat("a", 64)
	idB = "sha256:" + strings.Repeat("b", 64)
)

// put writes a verdict file about an image, scanned on that day of November.
func put(t *testing.T, path, imageID string, day int, cves ...string) {
	t.Helper()
	v := &verdict.Verdict{
		ImageID: imageID, Scanner: verdict.Scanner{Name: "test"}, Scanned: verdict.Kinds(),
		ScannedAt: time.Date(2026, 11, day, 0, 0, 0, 0, time.UTC),
	}
	for _, cve := range cves {
		v.Vulnerabilities = append(v.Vulnerabilities, verdict.Vulnerability{ID: cve, Package: "p"})
	}
	var file bytes.Buffer
	require.NoError(t, verdict.Write(&file, v))
	require.NoError(t, os.WriteFile(path, file.Bytes(), 0o600))
}

func refresh(t *testing.T, f *scanner.Folder) scanner.Change {
	t.Helper()
	change, err := f.Refresh()
	require.NoError(t, err)
	return change
}

func TestVerdictFilesArePickedUpReplacedAndDropped(t *testing.T) {
	dir := t.TempDir()
	folder := scanner.NewFolder(dir)
	require.Empty(t, refresh(t, folder).ImageIDs)
	_, err := folder.Verdict(t.Context(), idA)
	require.ErrorIs(t, err, scanner.ErrUnscanned)

	put(t, filepath.Join(dir, "any name.json"), idA, 1, "CVE-2021-44228")
	require.Equal(t, []string{idA}, refresh(t, folder).ImageIDs)
	require.Empty(t, refresh(t, folder).ImageIDs, "nothing changed since")
	v, err := folder.Verdict(t.Context(), idA)
	require.NoError(t, err)
	require.Equal(t, "CVE-2021-44228", v.Vulnerabilities[0].ID)

	put(t, filepath.Join(dir, "any name.json"), idB, 1)
	require.Equal(t, []string{idA, idB}, refresh(t, folder).ImageIDs, "both lost or got a verdict")
	_, err = folder.Verdict(t.Context(), idA)
	require.ErrorIs(t, err, scanner.ErrUnscanned)

	require.NoError(t, os.Remove(filepath.Join(dir, "any name.json")))
	require.Equal(t, []string{idB}, refresh(t, folder).ImageIDs)
	_, err = folder.Verdict(t.Context(), idB)
	require.ErrorIs(t, err, scanner.ErrUnscanned)
}

func TestTheNewestOfTwoScansCounts(t *testing.T) {
	dir := t.TempDir()
	put(t, filepath.Join(dir, "1.json"), idA, 2, "CVE-2026-0002")
	put(t, filepath.Join(dir, "2.json"), idA, 1, "CVE-2026-0001")
	folder := scanner.NewFolder(dir)
	refresh(t, folder)
	v, err := folder.Verdict(t.Context(), idA)
	require.NoError(t, err)
	require.Equal(t, "CVE-2026-0002", v.Vulnerabilities[0].ID)
}

func TestAFileThatBreaksIsAFailureAndNotAnUnscannedImage(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "a.json")
	put(t, path, idA, 1, "CVE-2021-44228")
	folder := scanner.NewFolder(dir)
	refresh(t, folder)
	require.NoError(t, os.WriteFile(path, []byte(`{"apiVersion": "portc`), 0o600))
	change := refresh(t, folder)
	require.Equal(t, []string{idA}, change.ImageIDs)
	require.ErrorContains(t, change.Problems[0], "a.json: file is truncated or empty")
	_, err := folder.Verdict(t.Context(), idA)
	require.ErrorContains(t, err, "truncated or empty")
	require.NotErrorIs(t, err, scanner.ErrUnscanned)
	files, broken := folder.Len()
	require.Equal(t, [2]int{1, 1}, [2]int{files, broken})
}

func TestWhatIsNotAVerdictFileIsLeftAlone(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "README"), []byte("x"), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(dir, ".hidden.json"), []byte("x"), 0o600))
	require.NoError(t, os.Mkdir(filepath.Join(dir, "folder.json"), 0o700))
	require.NoError(t, os.Symlink("nowhere", filepath.Join(dir, "dangling.json")))
	change := refresh(t, scanner.NewFolder(dir))
	require.Empty(t, change.Problems)
}

func TestAFolderThatGoesAwayLeavesWhatWasKnown(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "reports")
	require.NoError(t, os.Mkdir(dir, 0o700))
	put(t, filepath.Join(dir, "a.json"), idA, 1)
	folder := scanner.NewFolder(dir)
	refresh(t, folder)
	require.NoError(t, os.Rename(dir, dir+".away"))
	_, err := folder.Refresh()
	require.ErrorContains(t, err, "reports folder")
	files, _ := folder.Len()
	require.Equal(t, 1, files)
}

func TestBeforeTheFirstRefreshNothingIsCalledUnscanned(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := scanner.NewFolder(t.TempDir()).Verdict(ctx, idA)
	require.ErrorIs(t, err, context.Canceled)
}
