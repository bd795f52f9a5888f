package policies

import (
	"context"
	"time"

	portcullisv1 "portcullis/api/portcullis/v1"
	"portcullis/central/store"
	"portcullis/policy"
	"portcullis/scanner-client/verdict"
)

// Images knows what is on nodes and what was found in it.
type Images interface {
	// EachPresentImage calls each for every image that some node has, until each fails. What it is given
	// is not used after it returned.
	EachPresentImage(ctx context.Context, each func(*PresentImage) error) error
	// KnownImage returns the names of an image and its verdict, nil when it was not scanned. Of an image that
	// is not known it returns no names and no error.
	KnownImage(ctx context.Context, id string) (policy.Image, *verdict.Verdict, error)
}

// PresentImage is one image with the nodes that have it.
type PresentImage struct {
	Image   policy.Image
	Verdict *verdict.Verdict // nil when it was not scanned
	Nodes   []Node
}

// Node is one node.
type Node struct{ Name, Cluster string }

// Starts knows which containers were to start.
type Starts interface {
	// EachStart calls each for every kind of start since a time, sorted by the image's ID, until each fails.
	// What it is given is not used after it returned.
	EachStart(ctx context.Context, since time.Time, each func(*Start) error) error
}

// Start is starts that are the same for every policy.
type Start struct {
	// Container has the ID of its image and the requested name; other names are those of Images.
	Container policy.Container
	Node      string
	Count     int64
	Last      time.Time
}

// PreviewPolicy judges images and starts by a draft.
func (s *Service) PreviewPolicy(ctx context.Context, request *portcullisv1.PreviewPolicyRequest) (*portcullisv1.PreviewPolicyResponse, error) {
	e, err := s.one(ctx, policy.KindImagePolicy, request.GetDocument())
	if err != nil {
		return nil, err
	}
	if err := s.previews.Acquire(ctx, 1); err != nil {
		return nil, err
	}
	defer s.previews.Release(1)
	exemptions, err := s.exemptions(ctx)
	if err != nil {
		return nil, err
	}
	p, err := newPreview(e.policy, exemptions, s.options.Now())
	if err != nil {
		return nil, err
	}
	if err := p.run(ctx, &s.options); err != nil {
		return nil, err
	}
	return p.result(), nil
}

func (s *Service) exemptions(ctx context.Context) (exemptions []policy.Exemption, err error) {
	var docs []store.Document
	err = s.store.Read(ctx, func(tx *store.Tx) error {
		docs, err = tx.Documents(ctx, policy.KindExemption)
		return err
	})
	for i := range docs {
		x, err := readExemption(&docs[i])
		if err != nil {
			return nil, err
		}
		exemptions = append(exemptions, *x)
	}
	return exemptions, err
}
