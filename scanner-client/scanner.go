// Package scanner answers: what is this image's verdict, and how soon can it be had?
//
// It keeps verdicts by image ID in a bounded cache and asks a Source for those it does not have,
// once per image however many containers wait, within a time budget. It is a leaf: it knows verdicts
// and nothing of policies, the runtime or the node.
package scanner

import (
	"context"
	"errors"

	"portcullis/scanner-client/verdict"
)

// ErrUnscanned says that the source works and has no verdict for the image.
var ErrUnscanned = errors.New("image has not been scanned")

// ErrTimeout says that the source did not answer within the time budget. Its lookup goes on, so a
// later caller may find the verdict.
var ErrTimeout = errors.New("verdict source did not answer in time")

// Source is where verdicts come from.
type Source interface {
	// Verdict returns the verdict of the image with this ID, ErrUnscanned when the source has none,
	// or any other error when it could not look.
	Verdict(ctx context.Context, imageID string) (*verdict.Verdict, error)
}
