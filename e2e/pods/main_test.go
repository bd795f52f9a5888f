// Package pods answers: what becomes of the pods of a real kubelet, when Portcullis stands between it and
// a real containerd?
//
// Every test has a containerd, a portcullisd and a kubelet of its own, one test after the other. The pods
// are static pods. The kubelet takes ten minutes to build, so "make e2e-kubelet" runs these tests,
// not "make e2e".
package pods

import (
	"errors"
	"fmt"
	"os"
	"testing"

	"portcullis/e2e/lab"
)

func TestMain(m *testing.M) { os.Exit(lab.Main(func() int { return run(m) })) }

func run(m *testing.M) int {
	if !lab.Inside() {
		return m.Run() // each test says that it is skipped, and why
	}
	var err error
	if world, err = makeWorld(); err != nil {
		fmt.Fprintln(os.Stderr, "pods:", err)
		return 1
	}
	status := m.Run()
	if err := errors.Join(world.journal.Stop(), world.registry.Close()); err != nil {
		fmt.Fprintln(os.Stderr, "pods:", err)
		return 1
	}
	return status
}

// world is what all tests share; nil without root.
var world *shared

type shared struct {
	journal  *lab.Journal
	registry *lab.Registry
	images   *lab.Images
	sandbox  string // reference of the image that pods are made of
}

func makeWorld() (*shared, error) {
	journal, err := lab.StartJournal()
	if err != nil {
		return nil, err
	}
	registry, err := lab.StartRegistry()
	if err != nil {
		return nil, err
	}
	images, err := lab.NewImages()
	if err != nil {
		return nil, err
	}
	w := &shared{journal: journal, registry: registry, images: images}
	sandbox, err := w.push("lab/sandbox:v1", "sandbox", "pause")
	w.sandbox = sandbox.reference
	return w, err
}

// image is one that the registry has.
type image struct{ id, reference string }

func (w *shared) push(repositoryAndTag, label string, arguments ...string) (image, error) {
	made, err := w.images.Image(label, arguments...)
	if err != nil {
		return image{}, err
	}
	id, err := made.ConfigName()
	if err != nil {
		return image{}, fmt.Errorf("image %s: %w", label, err)
	}
	reference, err := w.registry.Push(repositoryAndTag, made)
	return image{id: id.String(), reference: reference}, err
}
