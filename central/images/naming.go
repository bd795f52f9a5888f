package images

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"time"

	portcullisv1 "portcullis/api/portcullis/v1"
	"portcullis/central/store"
	scanner "portcullis/scanner-client"
	"portcullis/scanner-client/reports"
)

const (
	// maxNames bounds the names of all images of one node, beyond which only the IDs are kept.
	maxNames = 20_000
	// maxOfKind bounds the names of one image that are kept of one node, tags and digests each.
	maxOfKind = 100
	// maxSearched bounds the names that an image is found by, whatever how many nodes say.
	maxSearched = 300
	// enoughHolders is when names are held by many nodes, and are not counted further.
	enoughHolders = 16
)

// naming is what one node calls an image.
type naming struct {
	image string
	hash  string
	names []store.ImageName
}

func nameImage(image *portcullisv1.PresentImage) *naming {
	n := &naming{image: image.GetId()}
	n.take("id", []string{image.GetId()}, func(id string) scanner.Image { return scanner.Image{ID: id} })
	n.take("tag", image.GetTags(), func(tag string) scanner.Image { return scanner.Image{Tags: []string{tag}} })
	n.take("digest", image.GetDigests(), func(digest string) scanner.Image { return scanner.Image{Digests: []string{digest}} })
	text, _ := json.Marshal(n.names) // strings always can be
	sum := sha256.Sum256(text)
	n.hash = hex.EncodeToString(sum[:16])
	for i := range n.names {
		n.names[i].Names = n.hash
	}
	return n
}

func (n *naming) take(kind string, names []string, image func(name string) scanner.Image) {
	names = slices.Compact(slices.Sorted(slices.Values(names)))
	for _, name := range names[:min(len(names), maxOfKind)] {
		keys := reports.KeysOfImage(image(name))
		n.names = append(n.names, store.ImageName{Image: n.image, Kind: kind, Name: name, Key: keys[len(keys)-1]})
	}
}

// add takes in images that the node has. Those beyond the limit are left out: a node that has too many is still
// told of the others.
func (s *Service) add(ctx context.Context, tx *store.Tx, node *store.Node, present map[string]string, added []*portcullisv1.PresentImage, now time.Time) error {
	room, err := tx.CountNodeNames(ctx, node.ID)
	if err != nil {
		return err
	}
	room = maxNames - room
	var all []*naming
	changed, moved := map[string]string{}, []string{}
	for _, image := range added {
		n := nameImage(image)
		before, has := present[n.image]
		if !has && len(present) >= maxOfNode {
			s.options.Log.WithField("node", node.ID).Warn("node has more images than are kept of one")
			break
		}
		if before == n.hash {
			continue
		}
		if room -= len(n.names); room < 0 {
			n = nameImage(&portcullisv1.PresentImage{Id: n.image})
		}
		if has {
			moved = append(moved, n.image)
		}
		present[n.image], changed[n.image] = n.hash, n.hash
		all = append(all, n)
	}
	others, err := s.learn(ctx, tx, node.Platform, all, now)
	if err != nil {
		return err
	}
	if err := tx.AddNodeImages(ctx, node.ID, changed); err != nil {
		return err
	}
	moved = append(moved, others...)
	slices.Sort(moved)
	return s.settle(ctx, tx, slices.Compact(moved))
}

// learn takes in images that were not known and looks for reports about them. It returns those of the others
// that are called something else by this node than what counts.
func (s *Service) learn(ctx context.Context, tx *store.Tx, platform string, all []*naming, now time.Time) (others []string, err error) {
	ids := make([]string, len(all))
	for i, n := range all {
		ids[i] = n.image
	}
	images, err := tx.Images(ctx, ids)
	if err != nil {
		return nil, err
	}
	counts := map[string]string{}
	for _, i := range images {
		counts[i.ID] = i.Names
	}
	var created []store.Image
	var names []store.ImageName
	var fresh []string
	for _, n := range all {
		count, known := counts[n.image]
		if known && count == n.hash {
			continue
		}
		names = append(names, n.names...)
		if known {
			others = append(others, n.image)
			continue
		}
		counts[n.image], fresh = n.hash, append(fresh, n.image)
		created = append(created, store.Image{
			ID: n.image, Platform: platform, LastSeenTime: now, Names: n.hash, Search: search(n.image, n.names),
			ImageSummary: store.ImageSummary{ScanState: int64(portcullisv1.ScanState_SCAN_STATE_UNSCANNED)},
		})
	}
	if err := errors.Join(tx.AddImages(ctx, created), tx.AddImageNames(ctx, names)); err != nil {
		return nil, err
	}
	return others, s.summarise(ctx, tx, fresh, false)
}

// settle decides which names of images count where nodes do not agree: those that the most nodes have, or as
// before where as many have others. So no node alone decides what is told of an image that others have. Names
// that no node has any more are forgotten, but for the last ones of an image.
func (s *Service) settle(ctx context.Context, tx *store.Tx, ids []string) error {
	images, err := tx.Images(ctx, ids)
	if err != nil {
		return err
	}
	namings, err := tx.NamesOfImages(ctx, ids)
	if err != nil {
		return err
	}
	var changed []string
	for i := range images {
		image := &images[i]
		if all := namings[image.ID]; len(all) == 1 && all[0] == image.Names {
			continue
		}
		names, err := elect(ctx, tx, image, namings[image.ID])
		if err != nil {
			return err
		}
		if names != image.Names {
			changed = append(changed, image.ID)
		}
		if err := count(ctx, tx, image.ID, names); err != nil {
			return err
		}
	}
	return s.summarise(ctx, tx, changed, true)
}

// elect returns which names of an image count, and forgets those that nobody has.
func elect(ctx context.Context, tx *store.Tx, image *store.Image, namings []string) (string, error) {
	best, most := image.Names, 0
	var unheld []string
	for _, names := range namings {
		holders, err := tx.CountHolders(ctx, image.ID, names, enoughHolders)
		if err != nil {
			return "", err
		}
		if holders == 0 {
			unheld = append(unheld, names)
		}
		if holders > most || holders == most && names == image.Names {
			best, most = names, holders
		}
	}
	for _, names := range unheld {
		if most == 0 && names == best {
			continue
		}
		if err := tx.DeleteImageNames(ctx, image.ID, names); err != nil {
			return "", err
		}
	}
	return best, nil
}

// count lets names of an image count.
func count(ctx context.Context, tx *store.Tx, id, names string) error {
	all, err := tx.AllImageNames(ctx, id, names, maxSearched)
	if err != nil {
		return err
	}
	return tx.SetImageNames(ctx, id, names, search(id, all))
}

// forget leaves nothing but their IDs of those of the images that no node has.
func (s *Service) forget(ctx context.Context, tx *store.Tx, ids []string) error {
	images, err := tx.Images(ctx, ids)
	if err != nil {
		return err
	}
	var forgotten []string
	for _, image := range images {
		holders, err := tx.CountHolders(ctx, image.ID, image.Names, 1)
		if err != nil {
			return err
		}
		if holders > 0 {
			continue
		}
		bare := nameImage(&portcullisv1.PresentImage{Id: image.ID})
		if bare.hash == image.Names {
			continue
		}
		forgotten = append(forgotten, image.ID)
		err = errors.Join(tx.DeleteImageNames(ctx, image.ID, image.Names), tx.AddImageNames(ctx, bare.names), count(ctx, tx, image.ID, bare.hash))
		if err != nil {
			return err
		}
	}
	return s.summarise(ctx, tx, forgotten, true)
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
