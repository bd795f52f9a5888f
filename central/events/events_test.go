package events_test

import (
	"context"
	"encoding/csv"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"connectrpc.com/connect"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	portcullisv1 "portcullis/api/portcullis/v1"
	"portcullis/central/store"
	"portcullis/central/store/storetest"
)

func TestAnEventSaysAllThatTheNodeSaid(t *testing.T) {
	run(t, func(t *testing.T, f *fixture) {
		sent := blocked("web-1", func(e *portcullisv1.Event) {
			e.EnforceAt, e.Summarised = timestamppb.New(noon.Add(-time.Hour)), true
		})
		f.upload(t, sent)
		listed := f.list(t, &portcullisv1.ListEventsRequest{}).GetEvents()
		require.Len(t, listed, 1)
		want := proto.CloneOf(sent)
		want.Id, want.Template, want.Registry, want.Cluster = listed[0].GetId(), "RiskyImage", "registry.example.com", "east"
		want.Node, want.NodeId, want.NodeAddresses = "worker-n", "n", []string{"10.0.0.1"}
		require.True(t, proto.Equal(want, listed[0]), "%v", listed[0])
		got, err := f.client.GetEvent(ctx, &portcullisv1.GetEventRequest{Id: want.GetId()})
		require.NoError(t, err)
		require.True(t, proto.Equal(want, got.GetEvent()))
		for _, part := range []string{"Update log4j-core from 2.14.1 to 2.15.0 (CVE-2021-44228)", "/x (Eicar)", "/key (rsa-key)", `exemption from the policy "no criticals"`} {
			require.Contains(t, got.GetRemedy(), part)
		}
		_, err = f.client.GetEvent(ctx, &portcullisv1.GetEventRequest{Id: "'; --"})
		require.Equal(t, connect.CodeNotFound, connect.CodeOf(err))
	})
}

func TestEventsAreFoundByEveryFinding(t *testing.T) {
	run(t, func(t *testing.T, f *fixture) {
		f.upload(t, blocked("a", func(e *portcullisv1.Event) { e.Asks = []*portcullisv1.Ask{{Parameter: "host-path", Detail: "/"}} }))
		for _, finding := range []string{"cve-2021-44228", "GHSA-jfh8-c2jp-5v3q", "44d88612fea8a8f36de82e1278abb02f", "rsa-key", "host-path"} {
			require.Len(t, f.list(t, &portcullisv1.ListEventsRequest{Filter: &portcullisv1.EventFilter{Finding: finding}}).GetEvents(), 1, finding)
		}
	})
}

// TestARecordThatMakesNoSenseDoesNotStopASpool uploads what a broken or hostile node may send.
func TestARecordThatMakesNoSenseDoesNotStopASpool(t *testing.T) {
	run(t, func(t *testing.T, f *fixture) {
		long := strings.Repeat("界\x00\x1b[31m", 10_000)
		f.upload(t,
			nil,
			blocked("a", func(e *portcullisv1.Event) { e.Action = 9 }),
			blocked("a", func(e *portcullisv1.Event) { e.Count = 0 }),
			blocked("a", func(e *portcullisv1.Event) { e.Count = 1 << 62 }),
			blocked("a", func(e *portcullisv1.Event) {
				e.Pod, e.PodUid, e.Namespace, e.Policy, e.Image, e.ImageId, e.Because, e.Message, e.PodAddress, e.Container = long, long, long, long, long, long, long, long, long, long
				e.Severity, e.Template, e.Reason = long, long, long
				e.FirstTime, e.LastTime, e.EnforceAt = &timestamppb.Timestamp{Seconds: -1 << 62}, timestamppb.New(noon.Add(time.Hour)), &timestamppb.Timestamp{Nanos: -1}
				for range 300 {
					e.Asks = append(e.Asks, &portcullisv1.Ask{Parameter: long})
					e.Matches = append(e.Matches, &structpb.Struct{Fields: map[string]*structpb.Value{"Evidence": structpb.NewStringValue(long[:4000])}})
				}
			}),
		)
		response := f.list(t, &portcullisv1.ListEventsRequest{})
		require.Len(t, response.GetEvents(), 1)
		e := response.GetEvents()[0]
		require.Less(t, proto.Size(e), 300<<10)
		require.Equal(t, noon, e.GetLastTime().AsTime(), "what has not happened yet happens now")
		require.Equal(t, noon, e.GetFirstTime().AsTime())
		require.NotContains(t, e.GetPod()+e.GetBecause()+e.GetMessage(), "\x1b")
		require.Equal(t, map[string]float64{"counted": 1, "refused": 4}, f.decisions(t))
	})
}

func TestUploadsThatMakeNoSenseAreRefused(t *testing.T) {
	f := newFixture(t, storetest.Open(t, storetest.SQLite(t)))
	many := make([]*portcullisv1.FoldedDecision, 1001)
	for _, r := range []*portcullisv1.UploadDecisionsRequest{
		{}, {Spool: strings.Repeat("s", 129)}, {Spool: "s", After: 2, Through: 1}, {Spool: "s", After: -1}, {Spool: "s", Through: 5000, Decisions: many}, {Spool: "s", Through: 1, Decisions: many[:2]},
	} {
		_, err := f.Ingest(ctx, "n", r)
		require.Equal(t, connect.CodeInvalidArgument, connect.CodeOf(err), "%v", err)
	}
	_, err := f.Ingest(ctx, "gone", &portcullisv1.UploadDecisionsRequest{Spool: "s"})
	require.ErrorIs(t, err, store.ErrNotFound)
}

func TestUploadsOfManyNodesAtOnceAreAllCounted(t *testing.T) {
	ignored := goleak.IgnoreCurrent()
	run(t, func(t *testing.T, f *fixture) {
		var uploading sync.WaitGroup
		for n := range 20 {
			uploading.Go(func() {
				for record := int64(0); record < 10; {
					r := &portcullisv1.UploadDecisionsRequest{Spool: "s", After: record, Through: record + 1, Decisions: []*portcullisv1.FoldedDecision{{Event: blocked("a", nil)}}}
					if through, err := f.Ingest(ctx, fmt.Sprint("n", n), r); err == nil {
						record = through
					}
				}
			})
		}
		uploading.Wait()
		response := f.list(t, &portcullisv1.ListEventsRequest{})
		require.EqualValues(t, 20, response.GetTotal())
		for _, e := range response.GetEvents() {
			require.EqualValues(t, 10, e.GetCount())
		}
		overview, err := f.client.GetEventOverview(ctx, &portcullisv1.GetEventOverviewRequest{})
		require.NoError(t, err)
		require.EqualValues(t, 200, overview.GetBlockedToday())
	})
	goleak.VerifyNone(t, ignored)
}

func TestPagesFollowEachOther(t *testing.T) {
	run(t, func(t *testing.T, f *fixture) {
		for i := range 5 {
			f.upload(t, blocked(fmt.Sprint(i), func(e *portcullisv1.Event) { e.Count = int64(i + 1) }))
		}
		var pods []string
		r := &portcullisv1.ListEventsRequest{PageSize: 2, Order: portcullisv1.EventOrder_EVENT_ORDER_COUNT_DESC}
		for {
			response := f.list(t, r)
			require.EqualValues(t, 5, response.GetTotal())
			for _, e := range response.GetEvents() {
				pods = append(pods, e.GetPod())
			}
			if r.PageToken = response.GetNextPageToken(); r.GetPageToken() == "" {
				break
			}
		}
		require.Equal(t, []string{"4", "3", "2", "1", "0"}, pods)
	})
}

func TestListsThatMakeNoSenseSayWhy(t *testing.T) {
	f := newFixture(t, storetest.Open(t, storetest.SQLite(t)))
	for text, r := range map[string]*portcullisv1.ListEventsRequest{
		"filter.actions[0]":    {Filter: &portcullisv1.EventFilter{Actions: []portcullisv1.Action{7}}},
		"filter.severities[0]": {Filter: &portcullisv1.EventFilter{Severities: []string{"bad"}}},
		"filter.image":         {Filter: &portcullisv1.EventFilter{Image: strings.Repeat("x", 201)}},
		"filter.pod":           {Filter: &portcullisv1.EventFilter{Pod: "\x00"}},
		"filter.policies":      {Filter: &portcullisv1.EventFilter{Policies: make([]string, 101)}},
		"filter.from":          {Filter: &portcullisv1.EventFilter{From: &timestamppb.Timestamp{Nanos: -1}}},
		"order":                {Order: 77},
		"page_size":            {PageSize: 501},
		"page_token":           {PageToken: "x"},
	} {
		_, err := f.client.ListEvents(ctx, r)
		require.Equal(t, connect.CodeInvalidArgument, connect.CodeOf(err), text)
		require.ErrorContains(t, err, text+":")
	}
	for _, r := range []*portcullisv1.GetEventOverviewRequest{{Days: 181}, {Days: -1}, {TimeZone: "Local"}, {TimeZone: "../../etc/passwd"}, {TimeZone: "Mars/Base"}} {
		_, err := f.client.GetEventOverview(ctx, r)
		require.Equal(t, connect.CodeInvalidArgument, connect.CodeOf(err), "%v", r)
	}
}

func TestDaysBeginAtMidnightOfTheZone(t *testing.T) {
	run(t, func(t *testing.T, f *fixture) {
		f.upload(t, blocked("a", func(e *portcullisv1.Event) { // 23:20 of the 22nd in India, 01:50 UTC+8
			e.LastTime = timestamppb.New(time.Date(2026, 11, 22, 17, 50, 0, 0, time.UTC))
		}))
		for zone, want := range map[string]string{"": "2026-11-22", "Asia/Kolkata": "2026-11-22", "Asia/Shanghai": "2026-11-23", "Asia/Kathmandu": "2026-11-22"} {
			overview, err := f.client.GetEventOverview(ctx, &portcullisv1.GetEventOverviewRequest{TimeZone: zone, Days: 3})
			require.NoError(t, err)
			require.Len(t, overview.GetDays(), 3)
			for _, day := range overview.GetDays() {
				require.Equal(t, day.GetDate() == want, day.GetBlocked() == 1, "%s %s", zone, day)
			}
			require.EqualValues(t, 1, overview.GetBlocked())
		}
		hits, err := f.PolicyHits(ctx, []string{"no criticals", "another"}, noon.Add(-7*24*time.Hour))
		require.NoError(t, err)
		require.Equal(t, map[string]store.EventTotals{"no criticals": {Blocked: 1}}, hits)
	})
}

func TestFollowersOfAnotherReplicaSeeWhatIsUploaded(t *testing.T) {
	database := storetest.Postgres(t)
	here, there := newFixture(t, storetest.Open(t, database)), newFixture(t, storetest.Open(t, database))
	following, end := context.WithCancel(ctx)
	defer end()
	stream, err := there.client.FollowEvents(following, &portcullisv1.FollowEventsRequest{Filter: &portcullisv1.EventFilter{Namespaces: []string{"shop"}}})
	require.NoError(t, err)
	here.upload(t, blocked("other", func(e *portcullisv1.Event) { e.Namespace = "other" }))
	here.upload(t, blocked("a", nil), blocked("a", nil))
	require.True(t, stream.Receive(), "%v", stream.Err())
	require.Equal(t, "a", stream.Msg().GetEvent().GetPod())
	require.EqualValues(t, 2, stream.Msg().GetEvent().GetCount())
	end()
	for stream.Receive() {
	}
	require.Equal(t, connect.CodeCanceled, connect.CodeOf(stream.Err()))
}

func TestWhoFollowsTooOftenMayAgainWhenOneHasEnded(t *testing.T) {
	f := newFixture(t, storetest.Open(t, storetest.SQLite(t)))
	following, endAll := context.WithCancel(ctx)
	defer endAll()
	follow := func(ctx context.Context) error {
		stream, err := f.client.FollowEvents(ctx, &portcullisv1.FollowEventsRequest{})
		if err != nil {
			return err
		}
		f.upload(t, blocked("a", nil)) // what it sees if it may
		stream.Receive()
		return stream.Err()
	}
	one, end := context.WithCancel(following)
	require.NoError(t, follow(one))
	for range 19 {
		require.NoError(t, follow(following))
	}
	require.Equal(t, connect.CodeResourceExhausted, connect.CodeOf(follow(following)))
	end()
	for began := time.Now(); follow(following) != nil; {
		require.Less(t, time.Since(began), 30*time.Second)
	}
}

func TestFollowersSeeOnceWhatIsUploadedLateWhileTheDatabaseDoesNotTell(t *testing.T) {
	database := storetest.Postgres(t)
	f := newFixture(t, storetest.Open(t, database))
	following, end := context.WithTimeout(ctx, 30*time.Second)
	defer end()
	stream, err := f.client.FollowEvents(following, &portcullisv1.FollowEventsRequest{Filter: &portcullisv1.EventFilter{Namespaces: []string{"shop"}}})
	require.NoError(t, err)
	next := func() string {
		require.True(t, stream.Receive(), "%v", stream.Err())
		return fmt.Sprint(stream.Msg().GetEvent().GetPod(), " ", stream.Msg().GetEvent().GetCount())
	}
	for i := range 2 {
		f.upload(t, blocked("a", nil))
		require.Equal(t, fmt.Sprint("a ", i+1), next())
	}
	storetest.DropListeners(t, database)
	f.upload(t, blocked("late", func(e *portcullisv1.Event) {
		e.FirstTime, e.LastTime = timestamppb.New(noon.Add(-time.Hour)), timestamppb.New(noon.Add(-time.Hour))
	}))
	f.upload(t, blocked("a", nil))
	require.Equal(t, "late 1", next())
	require.Equal(t, "a 3", next())
	f.upload(t, blocked("b", nil))
	require.Equal(t, "b 1", next())
}

func (f *fixture) csv(t *testing.T, query string) (int, string) {
	t.Helper()
	response, err := f.server.Client().Get(f.server.URL + "/api/v1/events.csv" + query)
	require.NoError(t, err)
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	return response.StatusCode, string(body)
}

func TestCSVHoldsEveryPageAndNoFormula(t *testing.T) {
	run(t, func(t *testing.T, f *fixture) {
		var all []*portcullisv1.Event
		for i := range 600 {
			all = append(all, blocked(fmt.Sprint("pod-", i), nil))
		}
		f.upload(t, all...)
		for _, name := range []string{"=cmd|' /C calc'!A0", "+1", "-1", "@SUM(A1)", "＝1", "<script>,\"x\"\n"} {
			f.upload(t, blocked(name, func(e *portcullisv1.Event) { e.Namespace = "evil" }))
		}
		status, body := f.csv(t, "")
		require.Equal(t, http.StatusOK, status)
		rows, err := csv.NewReader(strings.NewReader(body)).ReadAll()
		require.NoError(t, err)
		require.Len(t, rows, 607)
		_, body = f.csv(t, "?namespace=evil&action=block&order=-count&from=2026-11-23T12:00:00Z")
		rows, err = csv.NewReader(strings.NewReader(body)).ReadAll()
		require.NoError(t, err)
		require.Len(t, rows, 7)
		for _, row := range rows[1:] {
			pod := row[15]
			require.NotContains(t, "=+-@＝", string([]rune(pod)[:1]), pod)
		}
	})
}

func TestCSVSaysWhatIsWrongWithTheQuery(t *testing.T) {
	f := newFixture(t, storetest.Open(t, storetest.SQLite(t)))
	for query, text := range map[string]string{
		"?x=1": "x:", "?action=allow": "action:", "?from=today": "from:", "?pod=a&pod=b": "pod:", "?order=x": "order:", "?severity=x": "severities[0]:",
	} {
		status, body := f.csv(t, query)
		require.Equal(t, http.StatusBadRequest, status)
		require.Contains(t, body, text)
	}
}
