package uplink

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"connectrpc.com/connect"

	portcullisv1 "portcullis/api/portcullis/v1"
	"portcullis/api/portcullis/v1/portcullisv1connect"
	scanner "portcullis/scanner-client"
	"portcullis/scanner-client/verdict"
)

// ErrAway says that central cannot be asked and has never told of an image.
var ErrAway = errors.New("central is away and has not told of this image")

// fetched is how many images are asked for at a time; central takes 100.
const fetched = 50

// changes are the images whose verdict changed and was not fetched yet.
type changes struct {
	wake chan struct{}

	mu      sync.Mutex
	ids     map[string]bool
	version int64
}

func (c *changes) add(told *portcullisv1.VerdictChanges) {
	c.mu.Lock()
	for _, id := range told.GetImageIds() {
		if verdict.ValidImageID(id) {
			c.ids[id] = true
		}
	}
	c.version = told.GetVerdicts()
	c.mu.Unlock()
	wake(c.wake)
}

// any says whether there is something to be fetched.
func (c *changes) any() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.ids) > 0
}

func (c *changes) wakeUp() { wake(c.wake) }

// take returns what is to be fetched; what is added from then on is for the next time.
func (c *changes) take() (map[string]bool, int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	ids := c.ids
	c.ids = map[string]bool{}
	return ids, c.version
}

// giveBack is for what could not be fetched.
func (c *changes) giveBack(ids []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, id := range ids {
		c.ids[id] = true
	}
}

// fetch brings the mirror up to date: what has changed, and what central has never told.
func (u *Uplink) fetch(ctx context.Context, c portcullisv1connect.SyncServiceClient, present map[string]*portcullisv1.PresentImage) error {
	changed, version := u.changes.take()
	wanted := slices.Compact(slices.Sorted(slices.Values(slices.Concat(slices.Collect(maps.Keys(changed)), u.mirror.missing(present)))))
	for most := fetched; len(wanted) > 0; {
		some, large := wanted[:min(len(wanted), most)], false
		err := u.insist(ctx, "GetVerdicts", func(ctx context.Context) error {
			err := u.ask(ctx, c, some, present)
			if large = tooLarge(err); large {
				return u.divide(some)
			}
			return err
		})
		switch {
		case err != nil:
			u.changes.giveBack(wanted)
			return err
		case large && len(some) > 1:
			most = len(some) / 2
		default:
			wanted = wanted[len(some):]
		}
	}
	if version == 0 {
		return nil
	}
	return u.insist(ctx, "mirror", func(context.Context) error { return u.mirror.upToDate(version) })
}

// divide is for images whose verdicts are too large for one answer: of several, fewer are asked for, and
// of one it is noted.
func (u *Uplink) divide(ids []string) error {
	if len(ids) > 1 {
		return nil
	}
	_, err := u.mirror.put([]*portcullisv1.ImageVerdict{{ImageId: ids[0], Incomplete: "central's verdict is too large"}})
	return err
}

// ask asks central for the verdicts of some images and takes them into the mirror.
func (u *Uplink) ask(ctx context.Context, c portcullisv1connect.SyncServiceClient, ids []string, present map[string]*portcullisv1.PresentImage) error {
	request := &portcullisv1.GetVerdictsRequest{}
	for _, id := range ids {
		image := present[id]
		if image == nil {
			image = &portcullisv1.PresentImage{Id: id}
		}
		request.Images = append(request.Images, image)
	}
	answer, err := c.GetVerdicts(ctx, request)
	if err != nil {
		return err
	}
	if len(answer.GetVerdicts()) != len(ids) {
		return fmt.Errorf("central tells of %d images instead of %d", len(answer.GetVerdicts()), len(ids))
	}
	changed, err := u.mirror.put(answer.GetVerdicts())
	if len(changed) > 0 {
		u.options.VerdictsChanged(changed)
	}
	return err
}

// Verdict is what central has told of an image, or tells now of one that it has not told of. It makes the
// uplink a scanner.Source.
func (u *Uplink) Verdict(ctx context.Context, image scanner.Image) (*verdict.Verdict, error) {
	wanted := presentImage(image)
	if !verdict.ValidImageID(wanted.GetId()) {
		return nil, scanner.ErrUnscanned
	}
	if v, known, err := u.mirror.get(wanted.GetId()); known {
		return v, err
	}
	select {
	case <-u.tried:
	case <-ctx.Done():
	}
	c := u.client.Load()
	if c == nil {
		return nil, fmt.Errorf("%w: %w", scanner.ErrUnreadable, ErrAway) // of this image only: others are in the mirror
	}
	asked := u.mirror.now()
	answer, err := c.GetVerdicts(ctx, &portcullisv1.GetVerdictsRequest{Images: []*portcullisv1.PresentImage{wanted}})
	if err == nil && (len(answer.GetVerdicts()) != 1 || answer.GetVerdicts()[0].GetImageId() != wanted.GetId()) {
		err = errors.New("central tells of another image")
	}
	if err != nil {
		return nil, fmt.Errorf("%w: central: %w", scanner.ErrUnreadable, err)
	}
	if err := u.mirror.putAnswer(answer.GetVerdicts()[0], asked); err != nil {
		return nil, fmt.Errorf("%w: %w", scanner.ErrUnreadable, err)
	}
	v, _, err := u.mirror.get(wanted.GetId())
	return v, err
}

// ChangedSince says whether what central has told of an image may have changed since t: what was remembered
// of it then may be wrong.
func (u *Uplink) ChangedSince(imageID string, t time.Time) bool {
	return u.mirror.changedSince(canonicalID(imageID), t)
}

var _ scanner.Source = (*Uplink)(nil)

func tooLarge(err error) bool { return connect.CodeOf(err) == connect.CodeResourceExhausted }
