package centralapp

import (
	"context"
	"time"

	"portcullis/central/events"
	"portcullis/central/images"
	"portcullis/central/policies"
	"portcullis/central/store"
	"portcullis/policy"
	"portcullis/scanner-client/verdict"
)

// The services stand side by side and do not know each other. What one wants of another it says in an
// interface of its own; here is how the other gives it.

// eventNodes tells events how nodes are called.
type eventNodes struct {
	store *store.Store
	now   func() time.Time
}

func (n eventNodes) EventNode(ctx context.Context, id string) (known store.EventNode, err error) {
	err = n.store.Read(ctx, func(tx *store.Tx) error {
		node, err := tx.Node(ctx, id, n.now())
		known = store.EventNode{ID: id, Name: node.Name, Cluster: node.Cluster, Addresses: node.Addresses}
		return err
	})
	return known, err
}

// presentImages tells policies which images are on nodes.
type presentImages struct{ images *images.Service }

func (p presentImages) EachPresentImage(ctx context.Context, each func(*policies.PresentImage) error) error {
	return p.images.EachPresentImage(ctx, func(present *images.Present) error {
		image := policies.PresentImage{Image: present.Image, Verdict: present.Verdict}
		for _, node := range present.Nodes {
			image.Nodes = append(image.Nodes, policies.Node{Name: node.Name, Cluster: node.Cluster})
		}
		return each(&image)
	})
}

func (p presentImages) KnownImage(ctx context.Context, id string) (policy.Image, *verdict.Verdict, error) {
	return p.images.KnownImage(ctx, id)
}

// policyHits tells policies how often they matched.
type policyHits struct{ events *events.Service }

func (h policyHits) PolicyHits(ctx context.Context, names []string, since time.Time) (map[string]policies.Hits, error) {
	counted, err := h.events.PolicyHits(ctx, names, since)
	if err != nil {
		return nil, err
	}
	hits := map[string]policies.Hits{}
	for name, count := range counted {
		hits[name] = policies.Hits{Blocked: count.Blocked, Alerted: count.Alerted}
	}
	return hits, nil
}
