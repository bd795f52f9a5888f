package centralapp

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/sirupsen/logrus"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	portcullisv1 "portcullis/api/portcullis/v1"
	"portcullis/central/events"
	"portcullis/central/images"
	"portcullis/central/policies"
	"portcullis/central/store"
	"portcullis/central/store/storetest"
)

const aboutPrivileged = `{apiVersion: portcullis/v1, kind: ImagePolicy, metadata: {name: draft}, spec: {template: PrivilegedStart, enabled: true,
  privileges: {parameters: [privileged]}, effect: {mode: Immediate}, scope: {images: {all: true}}}}`

// previewOf says what a draft about privileged containers would do, after the starts in a database.
func previewOf(t *testing.T, s *store.Store, now time.Time) *portcullisv1.PreviewPolicyResponse {
	log := logrus.New()
	log.SetOutput(t.Output())
	clock := func() time.Time { return now }
	known, err := images.New(s, policies.NewBundles(s), images.Options{Dir: t.TempDir(), Now: clock, Log: log})
	require.NoError(t, err)
	counted := events.New(s, events.Options{Nodes: eventNodes{s, clock}, Now: clock, Log: log, Metrics: prometheus.NewRegistry()})
	defer counted.Close()
	service := policies.NewService(s, policies.Options{
		Images: presentImages{known}, Now: clock, Starts: []policies.Starts{allowedStarts{s, clock}, blockedStarts{counted}},
	})
	preview, err := service.PreviewPolicy(context.Background(), &portcullisv1.PreviewPolicyRequest{Document: aboutPrivileged})
	require.NoError(t, err)
	return preview
}

func TestAPreviewCountsEveryStartOnceWhetherItWasAllowedOrNot(t *testing.T) {
	storetest.Run(t, func(t *testing.T, s *store.Store) {
		ctx, now := context.Background(), time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
		node := store.Node{ID: "n-1", Name: "worker", Cluster: "east", JoinTime: now, LastContactTime: now, ExpireTime: now.Add(time.Hour)}
		start := func(container, nodeID string, at time.Time, asks ...store.StartAsk) store.Start {
			return store.Start{
				Day: at.Truncate(24 * time.Hour), NodeID: nodeID, Cluster: "east", Namespace: "shop", Pod: "web-1", Container: container,
				Image: "registry.example.com/web:1", ImageID: "sha256:" + strings.Repeat("a", 64), Asks: asks, Count: 3, LastTime: at,
			}
		}
		privileged := store.StartAsk{Parameter: "privileged"}
		require.NoError(t, s.Tx(ctx, func(tx *store.Tx) error {
			if err := tx.CreateNode(ctx, node); err != nil {
				return err
			}
			return tx.AddStarts(ctx, []store.Start{
				start("allowed", "n-1", now.Add(-time.Hour), privileged), start("removed-node", "n-0", now.Add(-time.Hour), privileged),
				start("harmless", "n-1", now), start("long-ago", "n-1", now.Add(-9*24*time.Hour), privileged),
			}, 100)
		}))
		evidence, err := proto.Marshal(&portcullisv1.Event{Asks: []*portcullisv1.Ask{{Parameter: "privileged"}}})
		require.NoError(t, err)
		decision := func(container, image string, action int, at time.Time) store.Decision {
			return store.Decision{
				Action: action, Template: "PrivilegedStart", Policy: "p", Namespace: "shop", Pod: "web-1", Container: container, Evidence: evidence,
				Image: "registry.example.com/web:1", ImageID: "sha256:" + strings.Repeat(image, 64), Count: 2, First: at, Last: at,
			}
		}
		_, err = s.AddDecisions(ctx, now, []store.Batch{{
			Node: store.EventNode{ID: "n-1", Name: "worker", Cluster: "east"}, Spool: "s", Through: 4, Decisions: []store.Decision{
				decision("blocked", "b", 2, now.Add(-2*time.Hour)), decision("blocked-too", "a", 2, now.Add(-3*time.Hour)),
				decision("allowed", "a", 1, now.Add(-time.Hour)), decision("blocked-long-ago", "a", 2, now.Add(-8*24*time.Hour)),
			},
		}})
		require.NoError(t, err)

		preview := previewOf(t, s, now)

		nodes, counts := map[string]string{}, map[string]int64{}
		for _, listed := range preview.GetStarts() {
			nodes[listed.GetContainer()], counts[listed.GetContainer()] = listed.GetNode(), listed.GetCount()
		}
		require.Equal(t, map[string]string{"allowed": "worker", "removed-node": "", "blocked": "worker", "blocked-too": "worker"}, nodes)
		require.Equal(t, map[string]int64{"allowed": 3, "removed-node": 3, "blocked": 2, "blocked-too": 2}, counts)
		require.EqualValues(t, 10, preview.GetStartsTotal())
		require.False(t, preview.GetIncomplete())
	})
}
