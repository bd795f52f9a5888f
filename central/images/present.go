package images

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"connectrpc.com/connect"

	portcullisv1 "portcullis/api/portcullis/v1"
	"portcullis/central/store"
	scanner "portcullis/scanner-client"
	"portcullis/scanner-client/reports"
)

const (
	maxOfNode = 5_000
	maxOfKind = 100 // names of one image that are kept, tags and digests each
)

// addedAtATime bounds one transaction, so that others need not wait for long.
const addedAtATime = 250

// Present takes in which images a node has.
func (s *Service) Present(ctx context.Context, nodeID string, request *portcullisv1.ReportInventoryRequest) error {
	now := s.options.Now()
	err := s.store.Tx(ctx, func(tx *store.Tx) error {
		_, present, err := inventory(ctx, tx, nodeID, now)
		if err != nil {
			return err
		}
		return tx.RemoveNodeImages(ctx, nodeID, gone(present, request), now)
	})
	if err != nil {
		return err
	}
	for part := range slices.Chunk(request.GetAdded(), addedAtATime) {
		err := s.store.Tx(ctx, func(tx *store.Tx) error {
			node, present, err := inventory(ctx, tx, nodeID, now)
			if err != nil {
				return err
			}
			return s.add(ctx, tx, &node, present, part, now)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// inventory is a node and the IDs of its images.
func inventory(ctx context.Context, tx *store.Tx, nodeID string, now time.Time) (store.Node, map[string]bool, error) {
	node, err := tx.Node(ctx, nodeID, now)
	if err != nil {
		return node, nil, err
	}
	has, err := tx.NodeImages(ctx, nodeID)
	present := make(map[string]bool, len(has))
	for _, id := range has {
		present[id] = true
	}
	return node, present, err
}

// gone takes out of present what the node does not have any more, and returns it.
func gone(present map[string]bool, request *portcullisv1.ReportInventoryRequest) (ids []string) {
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
		if present[id] {
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

// add takes in images that the node has. Those beyond the limit are left out: a node that has too many is still
// told of the others.
func (s *Service) add(ctx context.Context, tx *store.Tx, node *store.Node, present map[string]bool, added []*portcullisv1.PresentImage, now time.Time) error {
	var known []*portcullisv1.PresentImage
	var fresh []string
	for _, image := range added {
		if !present[image.GetId()] {
			if len(present) >= maxOfNode {
				s.options.Log.WithField("node", node.ID).Warn("node has more images than are kept of one")
				break
			}
			present[image.GetId()] = true
			fresh = append(fresh, image.GetId())
		}
		known = append(known, image)
	}
	if err := s.learn(ctx, tx, node.Platform, known, now); err != nil {
		return err
	}
	return tx.AddNodeImages(ctx, node.ID, fresh)
}

// learn takes in images and their names, and looks for reports about what is new.
func (s *Service) learn(ctx context.Context, tx *store.Tx, platform string, images []*portcullisv1.PresentImage, now time.Time) error {
	ids := make([]string, len(images))
	for i, image := range images {
		ids[i] = image.GetId()
	}
	names, err := tx.ImageNames(ctx, ids)
	if err != nil {
		return err
	}
	var created []store.Image
	var added []store.ImageName
	var changed, renamed []string
	for _, image := range images {
		id := image.GetId()
		before := names[id]
		more := newNames(image, before)
		if len(more) == 0 {
			continue
		}
		names[id] = append(before, more...)
		if len(before) == 0 {
			created = append(created, store.Image{
				ID: id, Platform: platform, LastSeenTime: now, Search: search(id, names[id]),
				ImageSummary: store.ImageSummary{ScanState: int64(portcullisv1.ScanState_SCAN_STATE_UNSCANNED)},
			})
		} else {
			renamed = append(renamed, id)
		}
		added, changed = append(added, more...), append(changed, id)
	}
	if err := errors.Join(tx.AddImages(ctx, created), tx.AddImageNames(ctx, added)); err != nil {
		return err
	}
	for _, id := range renamed {
		if err := tx.SetImageSearch(ctx, id, search(id, names[id])); err != nil {
			return err
		}
	}
	return s.summarise(ctx, tx, changed, false)
}

// newNames are those of an image that are not kept yet, its ID among them.
func newNames(image *portcullisv1.PresentImage, before []store.ImageName) (added []store.ImageName) {
	count := map[string]int{}
	known := map[[2]string]bool{}
	for _, n := range before {
		count[n.Kind]++
		known[[2]string{n.Kind, n.Name}] = true
	}
	take := func(kind, name string, names scanner.Image) {
		if key := [2]string{kind, name}; !known[key] && count[kind] < maxOfKind {
			known[key] = true
			count[kind]++
			keys := reports.KeysOfImage(names)
			added = append(added, store.ImageName{Image: image.GetId(), Kind: kind, Name: name, Key: keys[len(keys)-1]})
		}
	}
	take("id", image.GetId(), scanner.Image{ID: image.GetId()})
	for _, tag := range image.GetTags() {
		take("tag", tag, scanner.Image{Tags: []string{tag}})
	}
	for _, digest := range image.GetDigests() {
		take("digest", digest, scanner.Image{Digests: []string{digest}})
	}
	return added
}

func search(id string, names []store.ImageName) string {
	texts := []string{id}
	for _, n := range names {
		if n.Kind != "id" {
			texts = append(texts, n.Name)
		}
	}
	return strings.ToLower(strings.Join(texts, "\n"))
}

// summarise brings up to date what is known of images in short. Images without reports are passed over unless
// they may have had some.
func (s *Service) summarise(ctx context.Context, tx *store.Tx, ids []string, had bool) error {
	if len(ids) == 0 {
		return nil
	}
	known, err := tx.Images(ctx, ids)
	if err != nil {
		return err
	}
	names, err := tx.ImageNames(ctx, ids)
	if err != nil {
		return err
	}
	images := make([]scanner.Image, len(known))
	for i := range known {
		images[i] = asScanner(known[i].ID, names[known[i].ID])
	}
	found, err := filed(ctx, tx, images)
	if err != nil {
		return err
	}
	for i, image := range images {
		if len(found[image.ID]) == 0 && !had {
			continue
		}
		v, err := s.judge.verdict(ctx, tx, image, known[i].Platform, found[image.ID])
		if err != nil && !errors.Is(err, scanner.ErrUnscanned) && !errors.Is(err, scanner.ErrUnreadable) {
			return err
		}
		if err := tx.Summarise(ctx, image.ID, summary(v)); err != nil {
			return err
		}
	}
	return nil
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
	missing := func(tx *store.Tx) (node store.Node, present map[string]bool, fresh []*portcullisv1.PresentImage, err error) {
		node, present, err = inventory(ctx, tx, nodeID, s.options.Now())
		platform = node.Platform
		for _, image := range asked {
			if !present[image.GetId()] {
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
