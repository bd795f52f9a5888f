package scan

import (
	"context"
	"errors"
	"io"

	"portcullis/cmd/portcullis-scan/image"
	"portcullis/cmd/portcullis-scan/rootfs"
)

// guard decides what the failure of one kind means: the end of the scan, or that the kind is left out
// and everything that is written to it from then on is dropped.
type guard struct {
	look
	inspector     rootfs.Inspector
	partial       bool
	acceptSkipped bool
	failed        error
}

// step notes an error of the kind, and passes it on when it ends the scan. That somebody ended the scan
// is no failure of the kind.
func (g *guard) step(err error) error {
	if err == nil || !g.partial || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	g.failed = err
	return nil
}

func (g *guard) begin(ctx context.Context, img *image.Image, tree *rootfs.Tree) error {
	if g.failed != nil {
		return nil
	}
	inspector, err := g.look.begin(ctx, img, tree)
	g.inspector = inspector
	return g.step(err)
}

// Inspect implements rootfs.Inspector.
func (g *guard) Inspect(file rootfs.File) (io.WriteCloser, error) {
	if g.failed != nil {
		return nil, nil
	}
	w, err := g.inspector.Inspect(file)
	if err != nil || w == nil {
		return nil, g.step(err)
	}
	return guarded{g, w}, nil
}

// guarded is one file on its way to a guarded look.
type guarded struct {
	guard  *guard
	writer io.WriteCloser
}

func (w guarded) Write(p []byte) (int, error) {
	if w.guard.failed != nil {
		return len(p), nil
	}
	_, err := w.writer.Write(p)
	return len(p), w.guard.step(err)
}

func (w guarded) Close() error { return w.guard.step(w.writer.Close()) }

func (g *guard) finish(ctx context.Context, r *Result) error {
	if g.failed == nil {
		if err := g.step(g.look.finish(ctx, r)); err != nil {
			return err
		}
	}
	if g.failed != nil {
		r.NotScanned = append(r.NotScanned, g.failed)
		return nil
	}
	if g.acceptSkipped || !r.Verdict.Partly(g.kind()) {
		r.Verdict.Scanned = append(r.Verdict.Scanned, g.kind())
	}
	return nil
}
