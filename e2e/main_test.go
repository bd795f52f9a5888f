// Package e2e answers: does Portcullis do its job between a real client and a real runtime?
//
// Every test runs on each containerd of lab.Containerds, with a portcullisd of its own before it.
package e2e

import (
	"context"
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
		fmt.Fprintln(os.Stderr, "e2e:", err)
		return 1
	}
	status := m.Run()
	if err := world.close(); err != nil {
		fmt.Fprintln(os.Stderr, "e2e:", err)
		return 1
	}
	return status
}

// world is what all tests share; nil without root.
var world *shared

type shared struct {
	journal     *lab.Journal
	registry    *lab.Registry
	images      *lab.Images
	sandbox     string // reference of the image that pods are made of
	containerds []*lab.Containerd
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
	if w.sandbox, err = w.push("lab/sandbox:v1", "sandbox", "pause"); err != nil {
		return nil, err
	}
	for _, flavour := range lab.Containerds() {
		containerd, err := lab.StartContainerd(flavour.Name, flavour, w.sandbox)
		if err != nil {
			return nil, err
		}
		w.containerds = append(w.containerds, containerd)
	}
	return w, nil
}

func (w *shared) push(repositoryAndTag, label string, arguments ...string) (reference string, err error) {
	image, err := w.images.Image(label, arguments...)
	if err != nil {
		return "", err
	}
	return w.registry.Push(repositoryAndTag, image)
}

// close ends what the tests have not: a runtime that cannot end its pods after all this is a finding.
func (w *shared) close() error {
	var failed error
	for _, containerd := range w.containerds {
		cri, err := lab.Dial(containerd.Socket)
		if err != nil {
			return err
		}
		failed = errors.Join(failed, cri.RemovePods(context.Background()), cri.Close(), containerd.Stop())
	}
	return errors.Join(failed, w.journal.Stop(), w.registry.Close())
}
