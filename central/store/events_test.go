package store_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"portcullis/central/store"
	"portcullis/central/store/storetest"
)

// decided is one block by policy p of the container c of a pod.
func decided(pod string, more func(d *store.Decision)) store.Decision {
	d := store.Decision{
		Action: 2, Severity: 6, Template: "RiskyImage", Policy: "p", Namespace: "shop", Pod: pod, PodUID: "uid-" + pod, Container: "c",
		Image: "docker.io/library/nginx:1", ImageID: "sha256:1", Registry: "docker.io", Operation: "CreateContainer", Revision: "1",
		Evidence: []byte("evidence"), Findings: words("CVE-2021-44228"), Count: 1, First: noon, Last: noon,
	}
	if more != nil {
		more(&d)
	}
	return d
}

func words(all ...string) func() []string { return func() []string { return all } }

func node(id string) store.EventNode {
	return store.EventNode{ID: id, Name: "name-" + id, Cluster: "east", Addresses: []string{"10.0.0.1", "fd00::1"}}
}

func add(t *testing.T, s *store.Store, batches ...store.Batch) []int64 {
	t.Helper()
	through, err := s.AddDecisions(ctx, noon, batches)
	require.NoError(t, err)
	return through
}

func batch(after, through int64, decisions ...store.Decision) store.Batch {
	return store.Batch{Node: node("n"), Spool: "s", After: after, Through: through, Decisions: decisions}
}

func list(t *testing.T, s *store.Store, f store.EventFilter, order store.EventOrder) []store.Event {
	t.Helper()
	var all []store.Event
	var after *store.EventPosition
	for {
		var page []store.Event
		require.NoError(t, s.Read(ctx, func(tx *store.Tx) (err error) {
			page, _, err = tx.Events(ctx, f, order, after, 3, 10_000)
			return err
		}))
		if len(page) == 0 {
			return all
		}
		all = append(all, page...)
		after = &page[len(page)-1].Position
	}
}

func TestANodeThatInventsSpoolsFillsNoDatabase(t *testing.T) {
	storetest.Run(t, func(t *testing.T, s *store.Store) {
		const most = 1000
		rows := func() (n int) {
			inTx(t, s, func(tx *store.Tx) { require.NoError(t, tx.QueryRow(ctx, "SELECT COUNT(*) FROM event_spools").Scan(&n)) })
			return n
		}
		require.Equal(t, []int64{0}, add(t, s, batch(0, 0)))
		require.Equal(t, []int64{0}, add(t, s, batch(7, 8)))
		require.Zero(t, rows(), "nothing was told, or nothing that begins")
		for i := range most + 10 {
			b := batch(0, 1)
			b.Spool = fmt.Sprint(i)
			_, err := s.AddDecisions(ctx, noon.Add(time.Duration(i)*time.Second), []store.Batch{b})
			require.NoError(t, err)
		}
		require.Equal(t, most, rows())
		last := batch(0, 0)
		last.Spool = fmt.Sprint(most + 9)
		require.Equal(t, []int64{1}, add(t, s, last), "the newest are known")
	})
}

func TestAnEventIsReadAsItWasDecided(t *testing.T) {
	storetest.Run(t, func(t *testing.T, s *store.Store) {
		d := decided("a", func(d *store.Decision) {
			d.Pod, d.PodAddress = `<b>'; DROP TABLE events; --`, "10.1.0.9"
			d.First = noon.Add(-time.Hour)
		})
		require.Equal(t, []int64{7}, add(t, s, batch(0, 7, d)))
		events := list(t, s, store.EventFilter{}, store.EventOrder{})
		require.Len(t, events, 1)
		d.Findings = nil
		require.Equal(t, d, events[0].Decision)
		require.Equal(t, node("n"), events[0].Node)
		inTx(t, s, func(tx *store.Tx) {
			one, err := tx.Event(ctx, events[0].ID)
			require.NoError(t, err)
			require.Equal(t, events[0], one)
			for _, id := range []string{"", "x", "ffffffffffffffff", "' OR 1=1", "1"} {
				_, err = tx.Event(ctx, id)
				require.ErrorIs(t, err, store.ErrNotFound, id)
			}
		})
	})
}

func TestAPageOfManyGoesAlongTheOrder(t *testing.T) {
	storetest.Run(t, func(t *testing.T, s *store.Store) {
		at := func(hours int, pod string, through int64) {
			when := noon.Add(time.Duration(hours) * time.Hour)
			d := decided(pod, func(d *store.Decision) { d.First, d.Last = when, when })
			_, err := s.AddDecisions(ctx, when, []store.Batch{batch(through-1, through, d)})
			require.NoError(t, err)
		}
		other := decided("other", func(d *store.Decision) { d.Policy, d.Last = "another", noon.Add(1000*time.Hour) })
		add(t, s, store.Batch{Node: node("m"), Spool: "m", Through: 1, Decisions: []store.Decision{other}})
		for i, hours := range []int{0, 1, 23, 47, 30 * 24} { // some just before it is noted again that what they share is used
			at(hours, fmt.Sprint(i), int64(i+1))
		}
		at(31*24-1, "0", 6) // and one counts on
		for order, want := range map[store.EventOrder][]string{
			{}: {"0", "4", "3", "2", "1"}, {Ascending: true}: {"1", "2", "3", "4", "0"}, {ByCount: true}: {"0", "4", "3", "2", "1"},
		} {
			inTx(t, s, func(tx *store.Tx) {
				page, count, err := tx.Events(ctx, store.EventFilter{Policies: []string{decided("a", nil).Policy}}, order, nil, 10, 1)
				require.NoError(t, err)
				require.Equal(t, 1, count, "counted no further")
				var pods []string
				for _, e := range page {
					pods = append(pods, e.Pod)
				}
				require.Equal(t, want, pods, "%+v", order)
			})
		}
	})
}

func TestRepeatsFoldAndTheNewestEvidenceStays(t *testing.T) {
	storetest.Run(t, func(t *testing.T, s *store.Store) {
		late := decided("a", func(d *store.Decision) {
			d.Count, d.Last, d.Revision, d.Severity, d.Evidence, d.Findings = 3, noon.Add(time.Hour), "2", 5, []byte("newer"), words("CVE-2")
		})
		early := decided("a", func(d *store.Decision) {
			d.First, d.Last = noon.Add(-2*time.Hour), noon.Add(-time.Hour)
			d.Evidence = []byte("older")
		})
		add(t, s, batch(0, 2, decided("a", nil), late))
		add(t, s, batch(2, 3, early))
		events := list(t, s, store.EventFilter{}, store.EventOrder{})
		require.Len(t, events, 1)
		e := events[0]
		require.EqualValues(t, 5, e.Count)
		require.Equal(t, "newer", string(e.Evidence))
		require.Equal(t, "2", e.Revision)
		require.Equal(t, 5, e.Severity)
		require.Equal(t, []time.Time{early.First, late.Last}, []time.Time{e.First, e.Last})
		require.Len(t, list(t, s, store.EventFilter{Finding: "cve-2"}, store.EventOrder{}), 1)
	})
}

func TestABatchIsCountedOnlyWhereTheSpoolEnds(t *testing.T) {
	storetest.Run(t, func(t *testing.T, s *store.Store) {
		one := decided("a", nil)
		require.Equal(t, []int64{0}, add(t, s, batch(5, 6, one)), "nothing is known of it")
		require.Equal(t, []int64{2}, add(t, s, batch(0, 2, one)))
		require.Equal(t, []int64{2}, add(t, s, batch(0, 2, one)), "repeated")
		require.Equal(t, []int64{2}, add(t, s, batch(0, 3, one)), "overlaps")
		require.Equal(t, []int64{2}, add(t, s, batch(3, 4, one)), "leaves out")
		require.Equal(t, []int64{2}, add(t, s, batch(2, 2)))
		require.Equal(t, []int64{3, 3, 4}, add(t, s, batch(2, 3, one), batch(2, 3, one), batch(3, 4)))
		other := batch(0, 1, one)
		other.Node = node("m")
		require.Equal(t, []int64{1}, add(t, s, other), "another node's spool of the same name")
		require.EqualValues(t, 3, total(t, s).Blocked)
	})
}

func total(t *testing.T, s *store.Store) (totals store.EventTotals) {
	t.Helper()
	require.NoError(t, s.Read(ctx, func(tx *store.Tx) (err error) {
		totals, _, err = tx.Trend(ctx, noon)
		return err
	}))
	return totals
}

var errCrash = errors.New("crash")

// TestCountsAreExactWhateverIsRepeatedAndWhateverCrashes sends the spools of some nodes by several
// senders at once, which repeat, skip, overtake each other and lose answers.
func TestCountsAreExactWhateverIsRepeatedAndWhateverCrashes(t *testing.T) {
	storetest.Run(t, func(t *testing.T, s *store.Store) {
		random := rand.New(rand.NewPCG(1, 2))
		want := map[string]int64{}
		spools := map[string][]store.Decision{}
		for n := range 3 {
			for range 60 {
				d := decided(fmt.Sprint(random.IntN(4)), func(d *store.Decision) {
					d.Action, d.Count = 1+random.IntN(2), 1+random.Int64N(5)
					d.Policy = []string{"p", "ü'\"", ""}[random.IntN(3)]
					d.Last = noon.Add(time.Duration(random.IntN(86_400)) * time.Second)
				})
				id := fmt.Sprint("n", n)
				spools[id] = append(spools[id], d)
				want[fmt.Sprint(id, d.Pod, d.Policy, d.Action)] += d.Count
			}
		}
		var senders sync.WaitGroup
		for id, spool := range spools {
			for sender := range 2 {
				senders.Go(func() { send(s, id, spool, rand.New(rand.NewPCG(uint64(sender), 3))) })
			}
		}
		senders.Wait()
		got, sum := map[string]int64{}, store.EventTotals{}
		for _, e := range list(t, s, store.EventFilter{}, store.EventOrder{ByCount: true}) {
			got[fmt.Sprint(e.Node.ID, e.Pod, e.Policy, e.Action)] = e.Count
			if e.Action == 2 {
				sum.Blocked += e.Count
			} else {
				sum.Alerted += e.Count
			}
		}
		require.Equal(t, want, got)
		require.Equal(t, sum, total(t, s))
	})
}

func send(s *store.Store, id string, spool []store.Decision, random *rand.Rand) {
	at := int64(0)
	for at < int64(len(spool)) {
		after := max(0, at-int64(random.IntN(2)*random.IntN(4)))
		through := min(int64(len(spool)), after+1+int64(random.IntN(9)))
		b := store.Batch{Node: node(id), Spool: "s", After: after, Through: through, Decisions: spool[after:through]}
		sent, crash := context.WithCancelCause(ctx)
		if random.IntN(4) == 0 {
			time.AfterFunc(time.Duration(random.IntN(3000))*time.Microsecond, func() { crash(errCrash) })
		}
		known, err := s.AddDecisions(sent, noon, []store.Batch{b})
		crash(nil)
		if err == nil {
			at = known[0]
		}
	}
}

func TestEventsAreFilteredByEverything(t *testing.T) {
	storetest.Run(t, func(t *testing.T, s *store.Store) {
		other := decided("Web-2%_", func(d *store.Decision) {
			*d = store.Decision{
				Action: 1, Severity: 3, Template: "PrivilegedStart", Policy: "q", Namespace: "kube", Pod: d.Pod, PodUID: "u", PodAddress: "10.1.1.1", Container: "Init",
				Image: "Example.com/Team/tool:2", ImageID: "sha256:2", Findings: words("SYS_ADMIN"), Evidence: []byte("x"), Count: 9, First: noon, Last: noon.Add(time.Minute),
			}
		})
		add(t, s, batch(0, 1, decided("web-1", nil)))
		second := batch(0, 1, other)
		second.Node = store.EventNode{ID: "m", Name: "name-m", Cluster: "west", Addresses: []string{"10.0.0.2"}}
		add(t, s, second)
		for i, f := range []store.EventFilter{
			{Actions: []int{1}},
			{Severities: []int{3, 4}},
			{Templates: []string{"PrivilegedStart"}},
			{Policies: []string{"q", "'; --"}},
			{Nodes: []string{"m"}},
			{Nodes: []string{"name-m"}},
			{Clusters: []string{"west"}},
			{Namespaces: []string{"kube"}},
			{Address: "10.0.0.2"},
			{Address: "10.1.1.1"},
			{Image: "example.COM/team"},
			{ImageID: "sha256:2"},
			{Pod: "WEB-2%_"},
			{Pod: "%_"},
			{Container: "init"},
			{Finding: "sys_admin"},
			{From: noon.Add(time.Second)},
			{Clusters: []string{"west"}, Nodes: []string{"m"}, Image: "tool", Pod: "web", To: noon.Add(time.Hour)},
		} {
			for _, order := range []store.EventOrder{{}, {Ascending: true}, {ByCount: true}, {ByCount: true, Ascending: true}} {
				found := list(t, s, f, order)
				require.Len(t, found, 1, "filter %d", i)
				require.Equal(t, "q", found[0].Policy)
				require.NoError(t, s.Read(ctx, func(tx *store.Tx) error { // as if there were many
					many, count, err := tx.Events(ctx, f, order, nil, 5, 1)
					require.Equal(t, 1, count)
					require.Equal(t, found, many)
					return err
				}))
			}
		}
		require.Len(t, list(t, s, store.EventFilter{To: noon.Add(time.Second)}, store.EventOrder{}), 1)
		for _, f := range []store.EventFilter{{Pod: "!%"}, {Image: "_"}, {Finding: "SYS"}, {Address: "10.0.0"}, {Policies: []string{"p"}, Actions: []int{1}}} {
			require.Empty(t, list(t, s, f, store.EventOrder{}), "%+v", f)
		}
	})
}

func TestAPartOfAPodsNameIsFoundWithoutWhatWasGenerated(t *testing.T) {
	pods := []string{"Shop-API-7d9f8b6c5-x2x4z", "shop-cron-28391820-b7kqv", "shop-db-0", "web", "web-https", "kube-proxy-2xkvs"}
	var decisions []store.Decision
	for _, pod := range pods {
		decisions = append(decisions, decided(pod, nil))
	}
	storetest.Run(t, func(t *testing.T, s *store.Store) {
		add(t, s, batch(0, int64(len(pods)), decisions...))
		for part, want := range map[string][]string{
			"shop": {pods[0], pods[1], pods[2]}, "p-c": {pods[1]}, "API": {pods[0]}, "kube-proxy": {pods[5]}, "web": {pods[3], pods[4]}, "web-https": {pods[4]},
			"shop-api-7d9": {pods[0]}, "SHOP-API-7d9f8b6c5-X2x4z": {pods[0]}, "shop-api-7d9f8b6c5-x2x4zz": nil, "shop-api-8": nil,
			"shop-cron-28391820": {pods[1]}, "shop-db-0": {pods[2]}, "shop-db-1": nil, "x2x4z": nil,
		} {
			var found []string
			for _, e := range list(t, s, store.EventFilter{Pod: part}, store.EventOrder{}) {
				found = append(found, e.Pod)
			}
			require.ElementsMatch(t, want, found, part)
		}
	})
}

func TestPagesAreInOrderAndLeaveNothingOut(t *testing.T) {
	storetest.Run(t, func(t *testing.T, s *store.Store) {
		var all []store.Decision
		for i := range 10 {
			all = append(all, decided(fmt.Sprint(i), func(d *store.Decision) { d.Count, d.Last = int64(i%3+1), noon.Add(time.Duration(i%4)*time.Hour) }))
		}
		add(t, s, batch(0, 10, all...))
		for _, order := range []store.EventOrder{{}, {Ascending: true}, {ByCount: true}, {ByCount: true, Ascending: true}} {
			events := list(t, s, store.EventFilter{}, order)
			pods := map[string]bool{}
			var values []int64
			for _, e := range events {
				pods[e.Pod] = true
				values = append(values, e.Position.Value)
			}
			require.Len(t, slices.Collect(maps.Keys(pods)), 10)
			if !order.Ascending {
				slices.Reverse(values)
			}
			require.True(t, slices.IsSorted(values))
		}
	})
}

func TestTrendAndHitsAreByTime(t *testing.T) {
	storetest.Run(t, func(t *testing.T, s *store.Store) {
		at := func(d time.Duration, action int, count int64) store.Decision {
			return decided(fmt.Sprint(d, action), func(e *store.Decision) { e.Action, e.Count, e.Last = action, count, noon.Add(d) })
		}
		add(t, s, batch(0, 4, at(-20*time.Minute, 2, 5), at(0, 1, 7), at(14*time.Minute, 1, 1), at(15*time.Minute, 2, 2)))
		require.NoError(t, s.Read(ctx, func(tx *store.Tx) error {
			totals, trend, err := tx.Trend(ctx, noon)
			require.NoError(t, err)
			require.Equal(t, store.EventTotals{Alerted: 8, Blocked: 7}, totals)
			require.Equal(t, []store.EventTrend{
				{Start: noon, EventTotals: store.EventTotals{Alerted: 8}},
				{Start: noon.Add(15 * time.Minute), EventTotals: store.EventTotals{Blocked: 2}},
			}, trend)
			hits, err := tx.PolicyHits(ctx, []string{"p", "q"}, noon)
			require.Equal(t, map[string]store.EventTotals{"p": {Alerted: 8, Blocked: 2}}, hits)
			return err
		}))
	})
}

func TestWhatIsOldIsSweptAndWhatIsUsedStays(t *testing.T) {
	storetest.Run(t, func(t *testing.T, s *store.Store) {
		old := func(pod string) store.Decision {
			return decided(pod, func(d *store.Decision) {
				d.First, d.Last = noon.Add(-200*24*time.Hour), noon.Add(-200*24*time.Hour)
				d.Image, d.Evidence, d.Findings = "old", []byte("old"), words("old")
			})
		}
		add(t, s, batch(0, 3, old("a"), old("b"), decided("b", nil)))
		before, now := noon.Add(-180*24*time.Hour), noon.Add(72*time.Hour)
		deleted, more, err := s.SweepEvents(ctx, before, now)
		require.NoError(t, err)
		require.Equal(t, 1, deleted)
		require.True(t, more)
		_, more, err = s.SweepEvents(ctx, before, now)
		require.NoError(t, err)
		require.False(t, more)
		events := list(t, s, store.EventFilter{}, store.EventOrder{})
		require.Len(t, events, 1)
		require.EqualValues(t, 2, events[0].Count, "what goes on is kept with its whole count")
		require.Equal(t, store.EventTotals{Blocked: 1}, total(t, s))
		add(t, s, batch(3, 4, old("a")))
		require.Len(t, list(t, s, store.EventFilter{Image: "old", Finding: "OLD"}, store.EventOrder{}), 1, "it comes again with all that it had")
	})
}

func TestFollowersAreToldWhatIsNew(t *testing.T) {
	storetest.Run(t, func(t *testing.T, s *store.Store) {
		told := s.Subscribe(store.EventsTopic)
		defer told.End()
		require.Eventually(t, func() bool { // PostgreSQL's listener says at first that it may have missed something
			add(t, s, store.Batch{Node: node("n"), Spool: store.NewID(), Through: 1, Decisions: []store.Decision{decided("a", nil)}})
			<-told.Ready()
			payloads, _ := told.Take()
			return len(payloads) == 1 && strings.Count(payloads[0], ",") == 0
		}, 10*time.Second, time.Millisecond)
		var many []store.Decision
		for i := range 1000 {
			many = append(many, decided(fmt.Sprint("many", i), func(d *store.Decision) { d.Last = noon.Add(time.Duration(i) * time.Second) }))
		}
		add(t, s, batch(0, 1000, many...))
		var newest []string
		require.Eventually(t, func() bool {
			<-told.Ready()
			payloads, _ := told.Take()
			newest = strings.Split(payloads[len(payloads)-1], ",")
			return len(newest) == 400
		}, 10*time.Second, time.Millisecond)
		require.NoError(t, s.Read(ctx, func(tx *store.Tx) error {
			events, err := tx.EventsOf(ctx, newest, store.EventFilter{Policies: []string{"p"}})
			require.Len(t, events, 400)
			require.Equal(t, "many999", events[399].Pod)
			return err
		}))
	})
}

func TestANewEventIsFoundByWhenItArrived(t *testing.T) {
	storetest.Run(t, func(t *testing.T, s *store.Store) {
		for i, pod := range []string{"early", "late", "other", "later"} {
			late := decided(pod, func(d *store.Decision) {
				d.First, d.Last, d.Policy = noon.Add(-time.Hour), noon.Add(-time.Hour), strings.Repeat("q", i%3)
			})
			_, err := s.AddDecisions(ctx, noon.Add(time.Duration(i)*time.Second), []store.Batch{batch(int64(i), int64(i+1), late)})
			require.NoError(t, err)
		}
		find := func(f store.EventFilter, limit int) (pods []string) {
			inTx(t, s, func(tx *store.Tx) {
				for _, e := range must(tx.NewEvents(ctx, f, noon.Add(time.Second), limit)) {
					pods = append(pods, e.Pod)
				}
			})
			return pods
		}
		require.ElementsMatch(t, []string{"late", "other", "later"}, find(store.EventFilter{}, 9))
		require.Equal(t, []string{"later"}, find(store.EventFilter{}, 1))
		require.Equal(t, []string{"other"}, find(store.EventFilter{Policies: []string{"qq"}}, 9))
	})
}
