package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http/httptest"
	"time"

	"github.com/oauth2-proxy/mockoidc"

	"portcullis/e2e/lab"
	"portcullis/scanner-client/verdict"
)

// world is a central, its one node, and what the node runs.
type world struct {
	registry    *lab.Registry
	containerd  *lab.Containerd
	provider    *mockoidc.MockOIDC
	central     *lab.Central
	portcullisd *lab.Portcullisd
	cri         *lab.CRI // through portcullisd
	direct      *lab.CRI // past it
	hook        *httptest.Server

	images map[string]image
	pods   map[pod]*lab.Sandbox
}

type image struct{ id, reference string }

func setUp() (*world, error) {
	w := &world{images: map[string]image{}, pods: map[pod]*lab.Sandbox{}}
	steps := []func() error{w.startRegistry, w.startContainerd, w.startCentral, w.startNode, w.pullImages, w.scanImages}
	for _, step := range steps {
		if err := step(); err != nil {
			return nil, err
		}
	}
	w.hook = httptest.NewServer(w.handler())
	return w, nil
}

// startRegistry fills a registry with what is in findings, and the image of pods.
func (w *world) startRegistry() (err error) {
	if w.registry, err = lab.StartRegistry(); err != nil {
		return err
	}
	images, err := lab.NewImages()
	if err != nil {
		return err
	}
	push := func(name, argument string) error {
		made, err := images.Image(name, argument)
		if err != nil {
			return err
		}
		reference, err := w.registry.Push(name+":v1", made)
		w.images[name] = image{reference: reference}
		return err
	}
	for name := range findings {
		if err := push(name, "print"); err != nil {
			return err
		}
	}
	return errors.Join(push("lab/sandbox", "pause"), push(unscanned, "print"))
}

func (w *world) startContainerd() (err error) {
	flavours := lab.Containerds()
	w.containerd, err = lab.StartContainerd("containerd", flavours[len(flavours)-1], w.images["lab/sandbox"].reference)
	delete(w.images, "lab/sandbox")
	return err
}

func (w *world) startCentral() (err error) {
	settings, err := w.startProvider()
	if err != nil {
		return err
	}
	w.central, err = lab.StartCentralWith(lab.CentralOptions{Settings: settings})
	return err
}

func (w *world) startNode() (err error) {
	options := lab.PortcullisdOptions{Central: w.central, FoldInterval: time.Second}
	if w.portcullisd, err = lab.NewPortcullisd("worker-1", w.containerd.Socket, options); err != nil {
		return err
	}
	if err = w.portcullisd.Start(); err != nil {
		return err
	}
	if w.cri, err = lab.Dial(w.portcullisd.Socket); err != nil {
		return err
	}
	w.direct, err = lab.Dial(w.containerd.Socket)
	return err
}

func (w *world) pullImages() error {
	for name, pulled := range w.images {
		id, err := w.cri.Pull(context.Background(), pulled.reference)
		if err != nil {
			return err
		}
		w.images[name] = image{id: id, reference: pulled.reference}
	}
	return nil
}

// scanImages tells central what scanners found.
func (w *world) scanImages() error {
	for name, found := range findings {
		found.ImageID = w.images[name].id
		found.Scanner, found.ScannedAt, found.Scanned = verdict.Scanner{Name: "lab"}, time.Now(), verdict.Kinds()
		var file bytes.Buffer
		if err := verdict.Write(&file, &found); err != nil {
			return fmt.Errorf("verdict of %s: %w", name, err)
		}
		if err := w.central.Upload(context.Background(), found.ImageID, file.Bytes()); err != nil {
			return err
		}
	}
	return nil
}

// tearDown ends the pods and the daemons in good order; the lab would end them all the same.
func (w *world) tearDown() error {
	w.hook.Close()
	return errors.Join(
		w.cri.Close(), w.direct.RemovePods(context.Background()), w.direct.Close(), w.portcullisd.Stop(), w.central.Stop(), w.provider.Shutdown(),
		w.containerd.Stop(), w.registry.Close(),
	)
}
