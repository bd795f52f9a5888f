// Package scanner answers: what is this image's verdict, and how soon can it be had?
//
// It keeps verdicts by image ID in a bounded cache and asks a Source for those it does not have,
// once per image however many containers wait, within a time budget. Sources are packages of their own
// below this one; a Chain makes one of several. It is a leaf: it knows verdicts and nothing of
// policies, the runtime or the node.
package scanner

import (
	"context"
	"encoding/hex"
	"errors"
	"strings"

	"portcullis/scanner-client/verdict"
)

// ErrUnscanned says that the source works and has no verdict for the image.
var ErrUnscanned = errors.New("image has not been scanned")

// ErrTimeout says that the source did not answer within the time budget. Its lookup goes on, so a
// later caller may find the verdict.
var ErrTimeout = errors.New("verdict source did not answer in time")

// ErrPending says that the source works and is still finding out; a later question may get the answer.
var ErrPending = errors.New("scan is not done yet")

// ErrClosed says that the cache has been closed.
var ErrClosed = errors.New("verdict cache is closed")

// Image is one image and the names that the runtime holds for it. The names are how a source that knows
// the image by another name finds it.
type Image struct {
	ID      string   // "sha256:…" of the image config: the key of every verdict
	Tags    []string // repository:tag
	Digests []string // repository@sha256:…, of a manifest or of an index
}

// Source is where verdicts come from. It is safe for concurrent use.
type Source interface {
	// Verdict returns what is known of the image, ErrUnscanned when that is nothing, or any other
	// error when the source could not look. A verdict together with an error is what could be found
	// out while something else could not: true as far as it goes, and not complete.
	Verdict(ctx context.Context, image Image) (*verdict.Verdict, error)
}

// Images is the container runtime, as far as a Cache asks it.
type Images interface {
	// Image returns the image with this ID.
	Image(ctx context.Context, id string) (Image, error)
}

// canonicalID adds the algorithm to an ID that is a bare digest, as CRI-O writes it.
func canonicalID(id string) string {
	if len(id) == hex.EncodedLen(32) && !strings.Contains(id, ":") {
		return "sha256:" + id
	}
	return id
}
