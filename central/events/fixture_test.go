package events_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"connectrpc.com/connect"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/sirupsen/logrus"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	portcullisv1 "portcullis/api/portcullis/v1"
	api "portcullis/api/portcullis/v1/portcullisv1connect"
	"portcullis/central/events"
	"portcullis/central/rpc"
	"portcullis/central/store"
	"portcullis/central/store/storetest"
)

func TestMain(m *testing.M) { storetest.Main(m) }

var (
	ctx  = context.Background()
	noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
)

type nodes struct{}

func (nodes) EventNode(_ context.Context, id string) (store.EventNode, error) {
	if id == "gone" {
		return store.EventNode{}, store.ErrNotFound
	}
	return store.EventNode{ID: id, Name: "worker-" + id, Cluster: "east", Addresses: []string{"10.0.0.1"}}, nil
}

// fixture is the service on an HTTP server, without the guard.
type fixture struct {
	*events.Service
	store    *store.Store
	registry *prometheus.Registry
	server   *httptest.Server
	client   api.EventServiceClient
	after    int64 // what is counted of the spool
}

// run runs a test on both databases.
func run(t *testing.T, test func(t *testing.T, f *fixture)) {
	storetest.Run(t, func(t *testing.T, s *store.Store) { test(t, newFixture(t, s)) })
}

func newFixture(t *testing.T, s *store.Store) *fixture {
	log := logrus.New()
	log.SetOutput(t.Output())
	f := &fixture{store: s, registry: prometheus.NewRegistry()}
	f.Service = events.New(s, events.Options{Nodes: nodes{}, FollowGap: time.Millisecond, Now: func() time.Time { return noon }, Log: log, Metrics: f.registry})
	t.Cleanup(f.Close)
	mux := http.NewServeMux()
	mux.Handle(api.NewEventServiceHandler(f.Service, connect.WithInterceptors(rpc.Errors(log))))
	mux.HandleFunc(events.CSVPath, f.CSV)
	f.server = httptest.NewUnstartedServer(mux)
	f.server.EnableHTTP2 = true
	f.server.StartTLS()
	t.Cleanup(f.server.Close)
	f.client = api.NewEventServiceClient(f.server.Client(), f.server.URL)
	return f
}

// upload counts decisions of the node n, each a record of its spool.
func (f *fixture) upload(t *testing.T, decisions ...*portcullisv1.Event) {
	t.Helper()
	r := &portcullisv1.UploadDecisionsRequest{Spool: "s", After: f.after, Through: f.after + int64(len(decisions))}
	for _, e := range decisions {
		r.Decisions = append(r.Decisions, &portcullisv1.FoldedDecision{Event: e})
	}
	through, err := f.Ingest(ctx, "n", r)
	require.NoError(t, err)
	require.Equal(t, r.GetThrough(), through)
	f.after = through
}

func (f *fixture) list(t *testing.T, r *portcullisv1.ListEventsRequest) *portcullisv1.ListEventsResponse {
	t.Helper()
	response, err := f.client.ListEvents(ctx, r)
	require.NoError(t, err)
	return response
}

// blocked is a decision as a node tells it.
func blocked(pod string, more func(e *portcullisv1.Event)) *portcullisv1.Event {
	match, err := structpb.NewStruct(map[string]any{
		"Policy": "no criticals", "Template": "RiskyImage", "Action": 2, "Omitted": 0,
		"Evidence": []any{
			map[string]any{"vulnerability": map[string]any{"id": "CVE-2021-44228", "aliases": []any{"GHSA-jfh8-c2jp-5v3q"}, "severity": "Critical", "package": "log4j-core", "version": "2.14.1", "fixedVersion": "2.15.0"}},
			map[string]any{"malware": map[string]any{"path": "/x", "md5": "44d88612fea8a8f36de82e1278abb02f", "signature": "Eicar", "type": "test-file", "severity": "High"}},
			map[string]any{"secret": map[string]any{"path": "/key", "rule": "rsa-key", "type": "private-key", "level": "High"}},
		},
	})
	if err != nil {
		panic(err)
	}
	e := &portcullisv1.Event{
		Action: portcullisv1.Action_ACTION_BLOCK, Policy: "no criticals", Reason: "policy", Because: "because", Message: "told\nthe owner", Severity: "Critical",
		Matches: []*structpb.Struct{match}, Operation: "CreateContainer", Image: "registry.example.com/shop/web:1", ImageId: "sha256:1",
		Namespace: "shop", Pod: pod, PodUid: "uid-" + pod, PodAddress: "10.1.0.1", Container: "web", BundleRevision: "7",
		FirstTime: timestamppb.New(noon), LastTime: timestamppb.New(noon), Count: 1,
	}
	if more != nil {
		more(e)
	}
	return e
}

// decisions is the metric of that name, by result.
func (f *fixture) decisions(t *testing.T) map[string]float64 {
	t.Helper()
	families, err := f.registry.Gather()
	require.NoError(t, err)
	results := map[string]float64{}
	for _, family := range families {
		for _, metric := range family.GetMetric() {
			for _, label := range metric.GetLabel() {
				results[label.GetValue()] = metric.GetCounter().GetValue()
			}
		}
	}
	return results
}
