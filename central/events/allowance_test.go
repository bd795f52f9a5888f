package events

import (
	"context"
	"testing"
	"time"

	"connectrpc.com/connect"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/sirupsen/logrus/hooks/test"
	"github.com/stretchr/testify/require"
	"google.golang.org/genproto/googleapis/rpc/errdetails"

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
	uploads := map[string]int64{}
	upload := func(node string) error {
		one := &portcullisv1.FoldedDecision{Event: &portcullisv1.Event{Action: portcullisv1.Action_ACTION_BLOCK, Count: 1, Pod: "p"}}
		through, err := s.Ingest(t.Context(), node, &portcullisv1.UploadDecisionsRequest{
			Spool: node, After: uploads[node], Through: uploads[node] + 1, Decisions: []*portcullisv1.FoldedDecision{one},
		})
		if err == nil {
			uploads[node] = through
		}
		return err
	}
	spend := func(cost int) error {
		_, err := s.allowances.take("much", cost, now)
		return err
	}
	require.NoError(t, spend(atOnce))
	for range 3 {
		err := upload("much")
		require.Equal(t, connect.CodeUnavailable, connect.CodeOf(err), "%v: the node keeps it and tries again", err)
		var told *connect.Error
		require.ErrorAs(t, err, &told)
		require.Len(t, told.Details(), 1)
		again, err := told.Details()[0].Value()
		require.NoError(t, err)
		require.Equal(t, 2*time.Second/aSecond, again.(*errdetails.RetryInfo).GetRetryDelay().AsDuration(), "what one small upload costs")
	}
	require.Len(t, hook.AllEntries(), 1, "it is told once")
	require.NoError(t, upload("other"))

	now = now.Add(2 * time.Second / aSecond)
	require.NoError(t, upload("much"), "it was not taken out of the allowance when it was sent away")
	require.Equal(t, map[string]int64{"much": 1, "other": 1}, uploads)
	require.Error(t, spend(1))
}

func TestWhatIsNotCountedCostsNothing(t *testing.T) {
	log, _ := test.NewNullLogger()
	now := time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC)
	s := New(storetest.Open(t, storetest.SQLite(t)), Options{Nodes: anyNode{}, Now: func() time.Time { return now }, Log: log, Metrics: prometheus.NewRegistry()})
	t.Cleanup(s.Close)
	known, err := s.Ingest(t.Context(), "n", &portcullisv1.UploadDecisionsRequest{Spool: "s", After: 7, Through: 8})
	require.NoError(t, err)
	require.Zero(t, known, "it does not begin where the spool ends")
	_, err = s.allowances.take("n", atOnce, now)
	require.NoError(t, err)
}
