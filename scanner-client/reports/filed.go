package reports

import (
	"context"
	"time"

	scanner "portcullis/scanner-client"
	"portcullis/scanner-client/formats"
	"portcullis/scanner-client/verdict"
)

// Filed is what has to be known of a report that is kept elsewhere than in a folder.
type Filed struct {
	Name      string // tells it apart
	About     formats.About
	ScannedAt time.Time
	Scanned   []verdict.Kind
	Broken    string // why it is not all that there is; empty when it is
}

// Judge merges what filed reports say about an image of a platform, by the rules of a Folder. Of the reports
// those that count are read. The errors are those of a scanner.Source.
func Judge(ctx context.Context, image scanner.Image, platform string, filed []Filed, read func(name string) (*formats.Report, error)) (*verdict.Verdict, error) {
	var found []candidate
	for _, f := range filed {
		if certain, _ := about(&f.About, image, platform); certain != no {
			file := indexed{About: f.About, ScannedAt: f.ScannedAt, Scanned: f.Scanned, Broken: f.Broken}
			found = append(found, candidate{f.Name, file, certain})
		}
	}
	sortNewestFirst(found)
	v, err := merge(ctx, found, func(c *candidate) (*verdict.Verdict, error) {
		report, err := read(c.name)
		if report == nil {
			report = &formats.Report{}
		}
		return part(image, platform, c.name, report, err)
	})
	if v == nil && err == nil {
		err = scanner.ErrUnscanned
	}
	return v, err
}

// KeysOfReport and KeysOfImage are the names to find one by the other; a key in common is necessary for a match.
func KeysOfReport(report *formats.About) []string { return keysOfReport(report) }

// KeysOfImage are the image's.
func KeysOfImage(image scanner.Image) []string { return keysOfImage(image) }
