package uplink

import (
	"context"
	"sync"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	portcullisv1 "portcullis/api/portcullis/v1"
	"portcullis/api/portcullis/v1/portcullisv1connect"
	"portcullis/policy"
)

const (
	// maxStarts bounds the starts that are told apart between two reports; further ones are not reported.
	maxStarts = 1000
	// maxAsks bounds the privileged parameters of one; the most dangerous come first.
	maxAsks = 50
)

// starts are those that were let pass and not reported yet, folded. They are for previews of policies and
// may get lost.
type starts struct {
	mu    sync.Mutex
	folds map[startKey]*portcullisv1.Start
	lost  int64
}

type startKey struct{ namespace, container, imageID, asks string }

// Started counts one start. It keeps nobody waiting.
func (u *Uplink) Started(at time.Time, c *policy.Container) { u.starts.add(at, c) }

func (s *starts) add(at time.Time, c *policy.Container) {
	list := asks(printable(c.Asks))
	key := startKey{policy.Printable(c.Namespace), policy.Printable(c.Name), policy.Printable(c.Image.ID), ""}
	for _, a := range list {
		key.asks += a.GetParameter() + "=" + a.GetDetail() + "\n"
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	start := s.folds[key]
	if start == nil {
		if len(s.folds) >= maxStarts {
			s.lost++
			return
		}
		start = &portcullisv1.Start{Namespace: key.namespace, Container: key.container, ImageId: key.imageID, Asks: list}
		s.folds[key] = start
	}
	start.Count++
	start.Pod, start.Image, start.LastTime = policy.Printable(c.Pod), policy.Printable(c.Image.Requested), timestamppb.New(at)
}

func printable(list []policy.Ask) []policy.Ask {
	var some []policy.Ask
	for _, a := range list[:min(len(list), maxAsks)] {
		some = append(some, policy.Ask{Parameter: policy.Printable(a.Parameter), Detail: policy.Printable(a.Detail)})
	}
	return some
}

func (s *starts) lostSoFar() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.lost
}

// take returns what was counted and begins anew.
func (s *starts) take() []*portcullisv1.Start {
	s.mu.Lock()
	defer s.mu.Unlock()
	var list []*portcullisv1.Start
	for _, start := range s.folds {
		list = append(list, start)
	}
	s.folds = map[startKey]*portcullisv1.Start{}
	return list
}

// reportStarts reports now and then.
func (u *Uplink) reportStarts(ctx context.Context, c portcullisv1connect.SyncServiceClient) error {
	for {
		wait(ctx, vary(u.options.Times.Starts), nil)
		if ctx.Err() != nil {
			return nil
		}
		list := u.starts.take()
		if len(list) == 0 {
			continue
		}
		err := u.insist(ctx, "ReportStarts", func(ctx context.Context) error {
			_, err := c.ReportStarts(ctx, &portcullisv1.ReportStartsRequest{Starts: list})
			return err
		})
		if err != nil {
			return err
		}
	}
}
