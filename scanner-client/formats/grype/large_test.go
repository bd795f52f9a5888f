package grype_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"portcullis/scanner-client/formats"
	"portcullis/scanner-client/formats/grype"
)

func TestAnImageWithAHugeConfigurationIsNotLost(t *testing.T) {
	huge := strings.Repeat("x", 2*formats.MaxValue)
	for _, source := range []string{
		`{"type": "image", "target": {"config": "` + huge + `", "imageID": "sha256:00", "architecture": "arm64", "os": "linux"}}`,
		`{"target": {"config": "` + huge + `", "imageID": "sha256:00", "architecture": "arm64", "os": "linux"}, "type": "image"}`,
	} {
		report, err := grype.Read(formats.NewStream(strings.NewReader(`{"matches": [], "source": `+source+`}`), 1<<30))
		require.NoError(t, err)
		require.Equal(t, formats.About{ID: "sha256:00", Platform: "linux/arm64"}, report.About)
	}
	report, err := grype.Read(formats.NewStream(strings.NewReader(`{"matches": [], "source": {"type": "directory", "target": "/x"}}`), 1<<30))
	require.NoError(t, err)
	require.True(t, report.About.NamesNothing())
}

func TestAnEntryThatCannotBeReadDoesNotHideTheImage(t *testing.T) {
	report, err := grype.Read(formats.NewStream(strings.NewReader(`{"matches": [{"vulnerability": {"id": "CVE-2024-0001"}, "artifact": {"name": ""}},
		{"vulnerability": {"id": "CVE-2024-0002"}, "artifact": {"name": "p"}}], "source": {"type": "image", "target": {"imageID": "sha256:00"}}}`), 1<<20))
	require.ErrorContains(t, err, "without a package name")
	require.Equal(t, "sha256:00", report.About.ID)
	require.Len(t, report.Verdict.Vulnerabilities, 1)
	require.Empty(t, report.Verdict.Scanned)
}
