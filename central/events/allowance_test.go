package events

import (
	"context"
	"testing"
	"time"

	"connectrpc.com/connect"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/sirupsen/logrus/hooks/test"
	"github.com/stretchr/testify/require"

	portcullisv1 "portcullis/api/portcullis/v1"
	"portcullis/central/store"
	"portcullis/central/store/storetest"
)

type anyNode struct{}

func (anyNode) EventNode(_ context.Context, id string) (store.EventNode, error) {
	return store.EventNode{ID: id, Name: id}, nil
}

func TestANodeThatTellsTooMuchIsSentAwayAndLosesNothing(t *testing.T) {
	log, hook := test.NewNullLogger()
	now := time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC)
	s := New(storetest.Open(t, storetest.SQLite(t)), Options{Nodes: anyNode{}, Now: func() time.Time { return now }, Log: log, Metrics: prometheus.NewRegistry()})
	t.Cleanup(s.Close)
	upload := func(node string) error {
		one := &portcullisv1.FoldedDecision{Event: &portcullisv1.Event{Action: portcullisv1.Action_ACTION_BLOCK, Count: 1}}
		_, err := s.Ingest(t.Context(), node, &portcullisv1.UploadDecisionsRequest{Spool: node, Through: 1, Decisions: []*portcullisv1.FoldedDecision{one}})
		return err
	}
	_, err := s.allowances.take("much", atOnce, now)
	require.NoError(t, err)
	for range 3 {
		err = upload("much")
		require.Equal(t, connect.CodeUnavailable, connect.CodeOf(err), "%v: the node keeps it and tries again", err)
	}
	require.Len(t, hook.AllEntries(), 1, "it is told once")
	require.NoError(t, upload("other"))

	now = now.Add(time.Second)
	require.NoError(t, upload("much"), "it was not taken out of the allowance when it was sent away")
	_, err = s.allowances.take("much", aSecond, now)
	require.Error(t, err)
	_, err = s.allowances.take("much", aSecond-1, now)
	require.NoError(t, err)
}
