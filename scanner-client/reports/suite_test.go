package reports_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"portcullis/scanner-client/reports"
	"portcullis/scanner-client/scannertest"
	"portcullis/scanner-client/verdict"
)

func TestAFolderOfEachFormatIsASource(t *testing.T) {
	for format := range renderers {
		t.Run(format, func(t *testing.T) {
			scannertest.Run(t, func(t *testing.T) *scannertest.Subject {
				dir := t.TempDir()
				folder := reports.NewFolder(dir, reports.Options{Platform: "linux/amd64"})
				change := func() {
					_, err := folder.Refresh()
					require.NoError(t, err)
				}
				change()
				// The file name declares the image, as it must for OSV-Scanner and for Harbor.
				path := func(imageID string) string {
					return filepath.Join(dir, strings.Replace(imageID, ":", "-", 1)+"."+format+".json")
				}
				return &scannertest.Subject{
					Source: folder,
					Put: func(t *testing.T, v *verdict.Verdict) {
						require.NoError(t, os.WriteFile(path(v.ImageID), render(t, format, v), 0o600))
						require.NoError(t, os.Chtimes(path(v.ImageID), v.ScannedAt, v.ScannedAt))
						change()
					},
					Remove: func(t *testing.T, imageID string) {
						require.NoError(t, os.Remove(path(imageID)))
						change()
					},
					Break: func(t *testing.T, imageID string) {
						require.NoError(t, os.WriteFile(path(imageID), []byte(`{"SchemaVersion": 2, "Results": [`), 0o600))
						change()
					},
					NeverClean: format == "cyclonedx",
				}
			})
		})
	}
}
