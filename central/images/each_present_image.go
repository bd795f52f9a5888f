package images

import (
	"context"
	"errors"

	"portcullis/central/store"
	"portcullis/policy"
	scanner "portcullis/scanner-client"
	"portcullis/scanner-client/verdict"
)

// Present is one image with the nodes that have it.
type Present struct {
	Image   policy.Image
	Verdict *verdict.Verdict // nil when it was not scanned
	Nodes   []store.NodeName
}

// pageOfImages is how many images are looked at in one transaction, so that none is open for long.
const pageOfImages = 100

// EachPresentImage calls do for every image that some node has, by ID, until do fails.
func (s *Service) EachPresentImage(ctx context.Context, do func(*Present) error) error {
	after := ""
	for {
		var page []*Present
		err := s.store.Read(ctx, func(tx *store.Tx) (err error) {
			page, err = s.present(ctx, tx, after)
			return err
		})
		if err != nil || len(page) == 0 {
			return err
		}
		for _, image := range page {
			if err := do(image); err != nil {
				return err
			}
		}
		after = page[len(page)-1].Image.ID
	}
}

func (s *Service) present(ctx context.Context, tx *store.Tx, after string) ([]*Present, error) {
	found, err := tx.PresentImages(ctx, after, pageOfImages)
	if err != nil {
		return nil, err
	}
	page := make([]*Present, len(found))
	for i := range found {
		image, v, err := s.judged(ctx, tx, &found[i])
		if err != nil {
			return nil, err
		}
		page[i] = &Present{Image: image, Verdict: v}
		if page[i].Nodes, err = tx.NodesOfImage(ctx, image.ID); err != nil {
			return nil, err
		}
	}
	return page, nil
}

func (s *Service) judged(ctx context.Context, tx *store.Tx, known *store.Image) (policy.Image, *verdict.Verdict, error) {
	names, err := tx.ImageNames(ctx, []string{known.ID})
	if err != nil {
		return policy.Image{}, nil, err
	}
	image := asScanner(known.ID, names[known.ID])
	v, _, _, err := s.known(ctx, tx, image, known.Platform)
	return toPolicy(image), v, err
}

func toPolicy(image scanner.Image) policy.Image {
	return policy.Image{ID: image.ID, Tags: image.Tags, Digests: image.Digests}
}

// KnownImage returns the names of an image and its verdict, nil when it was not scanned. Of an image that is not
// known it returns no names and no error.
func (s *Service) KnownImage(ctx context.Context, id string) (image policy.Image, v *verdict.Verdict, err error) {
	return image, v, s.store.Read(ctx, func(tx *store.Tx) error {
		known, err := tx.Image(ctx, id)
		if errors.Is(err, store.ErrNotFound) {
			image = policy.Image{ID: id}
			return nil
		}
		if err != nil {
			return err
		}
		image, v, err = s.judged(ctx, tx, &known)
		return err
	})
}
