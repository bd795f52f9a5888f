package images

import (
	"context"
	"errors"
	"slices"
	"time"

	"connectrpc.com/connect"

	portcullisv1 "portcullis/api/portcullis/v1"
	"portcullis/central/store"
	scanner "portcullis/scanner-client"
)

// maxOfNode bounds the images that are kept of one node.
const maxOfNode = 5_000

// addedAtATime bounds one transaction, so that others need not wait for long.
const addedAtATime = 250

// Present takes in which images a node has. Of what is known already, as when thousands of nodes come back to a central
// that was started anew, nothing is written.
func (s *Service) Present(ctx context.Context, nodeID string, request *portcullisv1.ReportInventoryRequest) error {
	now := s.options.Now()
	news := false
	err := s.store.Read(ctx, func(tx *store.Tx) error {
		_, present, err := inventory(ctx, tx, nodeID, now)
		news = len(gone(present, request)) > 0 || slices.ContainsFunc(request.GetAdded(), func(image *portcullisv1.PresentImage) bool {
			return present[image.GetId()] != nameImage(image).hash
		})
		return err
	})
	if err != nil || !news {
		return err
	}
	parts := slices.Collect(slices.Chunk(request.GetAdded(), addedAtATime))
	for i := range max(1, len(parts)) {
		err := s.store.Tx(ctx, func(tx *store.Tx) error {
			node, present, err := inventory(ctx, tx, nodeID, now)
			if err != nil {
				return err
			}
			if i == 0 {
				if err := s.remove(ctx, tx, nodeID, gone(present, request), now); err != nil || len(parts) == 0 {
					return err
				}
			}
			return s.add(ctx, tx, &node, present, parts[i], now)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// inventory is a node and its images, with the names that it has for them.
func inventory(ctx context.Context, tx *store.Tx, nodeID string, now time.Time) (node store.Node, present map[string]string, err error) {
	if node, err = tx.Node(ctx, nodeID, now); err != nil {
		return node, nil, err
	}
	present, err = tx.NamedImages(ctx, nodeID)
	return node, present, err
}

// gone takes out of present what the node does not have any more, and returns it.
func gone(present map[string]string, request *portcullisv1.ReportInventoryRequest) (ids []string) {
	if request.GetComplete() {
		still := map[string]bool{}
		for _, image := range request.GetAdded() {
			still[image.GetId()] = true
		}
		for id := range present {
			if !still[id] {
				ids = append(ids, id)
			}
		}
	}
	for _, id := range request.GetRemovedIds() {
		if _, has := present[id]; has {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	ids = slices.Compact(ids)
	for _, id := range ids {
		delete(present, id)
	}
	return ids
}

// remove notes that a node does not have images any more.
func (s *Service) remove(ctx context.Context, tx *store.Tx, nodeID string, ids []string, now time.Time) error {
	if err := tx.RemoveNodeImages(ctx, nodeID, ids, now); err != nil {
		return err
	}
	return s.settle(ctx, tx, ids)
}

// Leave forgets what a node that is removed said of images.
func (s *Service) Leave(ctx context.Context, tx *store.Tx, nodeID string) error {
	ids, err := tx.NodeImages(ctx, nodeID)
	if err != nil {
		return err
	}
	if err := s.remove(ctx, tx, nodeID, ids, s.options.Now()); err != nil {
		return err
	}
	return s.forget(ctx, tx, ids)
}

// maxAnswer bounds the verdicts of one answer; a node takes 64 MiB.
const maxAnswer = 40 << 20

// Verdicts tells what is known of images by the names that the node holds for them. Images that the node had not
// reported it is from now on taken to have, so that it is told when their verdicts change.
func (s *Service) Verdicts(ctx context.Context, nodeID string, asked []*portcullisv1.PresentImage) ([]*portcullisv1.ImageVerdict, error) {
	platform, err := s.note(ctx, nodeID, asked)
	if err != nil {
		return nil, err
	}
	images := make([]scanner.Image, len(asked))
	for i, image := range asked {
		images[i] = scanner.Image{ID: image.GetId(), Tags: image.GetTags(), Digests: image.GetDigests()}
	}
	var answers []*portcullisv1.ImageVerdict
	err = s.store.Read(ctx, func(tx *store.Tx) error {
		answers = nil
		found, err := filed(ctx, tx, images)
		if err != nil {
			return err
		}
		size := 0
		for _, image := range images {
			answer, err := s.judge.answer(ctx, tx, image, platform, found[image.ID])
			if err != nil {
				return err
			}
			answers = append(answers, answer)
			if size += len(answer.GetVerdict()); size > maxAnswer && len(images) > 1 {
				return connect.NewError(connect.CodeResourceExhausted, errors.New("the verdicts are too large for one answer; ask for fewer images"))
			}
		}
		return nil
	})
	return answers, err
}

// note takes in images that the node was not known to have, and returns the node's platform.
func (s *Service) note(ctx context.Context, nodeID string, asked []*portcullisv1.PresentImage) (platform string, err error) {
	missing := func(tx *store.Tx) (node store.Node, present map[string]string, fresh []*portcullisv1.PresentImage, err error) {
		node, present, err = inventory(ctx, tx, nodeID, s.options.Now())
		platform = node.Platform
		for _, image := range asked {
			if _, has := present[image.GetId()]; !has {
				fresh = append(fresh, image)
			}
		}
		return node, present, fresh, err
	}
	some := false
	err = s.store.Read(ctx, func(tx *store.Tx) error {
		_, _, fresh, err := missing(tx)
		some = len(fresh) > 0
		return err
	})
	if err != nil || !some {
		return platform, err
	}
	return platform, s.store.Tx(ctx, func(tx *store.Tx) error {
		node, present, fresh, err := missing(tx)
		if err != nil {
			return err
		}
		return s.add(ctx, tx, &node, present, fresh, s.options.Now())
	})
}

// VerdictNumber is of the last change of any verdict.
func (s *Service) VerdictNumber(ctx context.Context) (number int64, err error) {
	return number, s.store.Read(ctx, func(tx *store.Tx) error {
		number, _, err = tx.VerdictNumber(ctx)
		return err
	})
}

// Changed returns which images of nodes have verdicts that changed after a number, and the number of the last
// change. Where it is not known what changed since, as when a database was restored, it may be all.
func (s *Service) Changed(ctx context.Context, after int64, nodeIDs []string) (changed map[string][]string, number int64, err error) {
	err = s.store.Read(ctx, func(tx *store.Tx) error {
		changed = map[string][]string{}
		var oldest int64
		if number, oldest, err = tx.VerdictNumber(ctx); err != nil || after == number {
			return err
		}
		if after < oldest-1 || after > number {
			for _, id := range nodeIDs {
				if changed[id], err = tx.NodeImages(ctx, id); err != nil {
					return err
				}
			}
			return nil
		}
		changed, err = since(ctx, tx, after, nodeIDs)
		return err
	})
	return changed, number, err
}

func since(ctx context.Context, tx *store.Tx, after int64, nodeIDs []string) (map[string][]string, error) {
	var found []store.NodeImage
	var err error
	if len(nodeIDs) == 1 {
		found, err = tx.ChangedImagesOf(ctx, nodeIDs[0], after)
	} else {
		found, err = tx.ChangedImages(ctx, after)
	}
	wanted := make(map[string]bool, len(nodeIDs))
	for _, id := range nodeIDs {
		wanted[id] = true
	}
	changed := map[string][]string{}
	for _, f := range found {
		if wanted[f.Node] {
			changed[f.Node] = append(changed[f.Node], f.Image)
		}
	}
	return changed, err
}
