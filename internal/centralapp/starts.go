package centralapp

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	portcullisv1 "portcullis/api/portcullis/v1"
	"portcullis/central/events"
	"portcullis/central/policies"
	"portcullis/central/store"
	"portcullis/policy"
)

// mostStarts is one more than a preview looks at, so that it knows that there are more. They are gathered
// before they are judged: that takes its time, and reads the database itself.
const mostStarts = 100_001

// allowedStarts tells policies which containers were let start.
type allowedStarts struct {
	store *store.Store
	now   func() time.Time
}

var errMostStarts = errors.New("there are more starts")

func (a allowedStarts) EachStart(ctx context.Context, since time.Time, each func(*policies.Start) error) error {
	var found []store.Start
	var names map[string]string
	err := a.store.Read(ctx, func(tx *store.Tx) (err error) {
		found = found[:0]
		err = tx.EachStart(ctx, since, func(start store.Start) error {
			if len(found) == mostStarts {
				return errMostStarts
			}
			found = append(found, start)
			return nil
		})
		if err != nil && !errors.Is(err, errMostStarts) {
			return err
		}
		names, err = a.nodeNames(ctx, tx, found)
		return err
	})
	if err != nil {
		return err
	}
	for i := range found {
		if err := each(startOf(&found[i], names)); err != nil {
			return err
		}
	}
	return nil
}

// nodeNames are of the nodes that are members still.
func (a allowedStarts) nodeNames(ctx context.Context, tx *store.Tx, found []store.Start) (map[string]string, error) {
	names := map[string]string{}
	for i := range found {
		id := found[i].NodeID
		if _, known := names[id]; known {
			continue
		}
		node, err := tx.Node(ctx, id, a.now())
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return nil, err
		}
		names[id] = node.Name
	}
	return names, nil
}

func startOf(s *store.Start, names map[string]string) *policies.Start {
	start := &policies.Start{
		Container: policy.Container{
			Cluster: s.Cluster, Namespace: s.Namespace, Pod: s.Pod, Name: s.Container,
			Image: policy.Image{ID: s.ImageID, Requested: s.Image},
		},
		Node: names[s.NodeID], Count: s.Count, Last: s.LastTime,
	}
	for _, ask := range s.Asks {
		start.Container.Asks = append(start.Container.Asks, policy.Ask{Parameter: ask.Parameter, Detail: ask.Detail})
	}
	return start
}

// blockedStarts tells policies which containers were not. What was alerted did start and is among the others.
type blockedStarts struct{ events *events.Service }

func (b blockedStarts) EachStart(ctx context.Context, since time.Time, each func(*policies.Start) error) error {
	var found []*policies.Start
	err := b.events.EachBlocked(ctx, since, mostStarts, func() { found = nil }, func(e *portcullisv1.Event) { found = append(found, blockedStart(e)) })
	if err != nil {
		return err
	}
	slices.SortStableFunc(found, func(a, b *policies.Start) int { return strings.Compare(a.Container.Image.ID, b.Container.Image.ID) })
	for _, start := range found {
		if err := each(start); err != nil {
			return err
		}
	}
	return nil
}

func blockedStart(e *portcullisv1.Event) *policies.Start {
	start := &policies.Start{
		Container: policy.Container{
			Cluster: e.GetCluster(), Namespace: e.GetNamespace(), Pod: e.GetPod(), PodUID: e.GetPodUid(), Name: e.GetContainer(),
			Image: policy.Image{ID: e.GetImageId(), Requested: e.GetImage()},
		},
		Node: e.GetNode(), Count: e.GetCount(), Last: e.GetLastTime().AsTime(),
	}
	for _, ask := range e.GetAsks() {
		start.Container.Asks = append(start.Container.Asks, policy.Ask{Parameter: ask.GetParameter(), Detail: ask.GetDetail()})
	}
	return start
}
