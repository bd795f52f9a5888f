package fleet_test

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"portcullis/central/store/storetest"
	"portcullis/internal/fleet"
	"portcullis/uplink"
)

// BenchmarkCentral runs a central with PORTCULLIS_BENCH_NODES nodes (default 500), on both databases, and prints what that
// costs. The central is a process of its own, the nodes are this one.
//
//	make bench-central
func BenchmarkCentral(b *testing.B) {
	// The nodes' garbage is collected on the processors that central has, which real nodes' is not.
	defer debug.SetGCPercent(debug.SetGCPercent(300))
	for name, database := range map[string]func(testing.TB) string{"SQLite": storetest.SQLite, "PostgreSQL": storetest.Postgres} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				l := &load{B: b, nodes: setting(b, "PORTCULLIS_BENCH_NODES", 500)}
				l.run(database(b))
				fmt.Printf("\n%d nodes, %s:\n\n%s\n", l.nodes, name, l.table.String())
			}
		})
	}
}

func setting(b *testing.B, name string, value int) int {
	if text := os.Getenv(name); text != "" {
		var err error
		value, err = strconv.Atoi(text)
		require.NoError(b, err)
	}
	return value
}

// load is one run.
type load struct {
	*testing.B
	nodes   int
	central *central
	fleet   *fleet.Fleet
	changed int // changes of policy until now
	table   strings.Builder
}

const (
	imagesOfNode = 20
	policies     = 100
	started      = 200 // nodes a second
	away         = 90 * time.Second
)

func (l *load) run(database string) {
	l.table.WriteString("| what | measured | bar | processor time of central |\n| --- | --- | --- | --- |\n")
	l.central = newCentral(l, database)
	l.central.create(policies)
	l.row("memory before there is a node", l.memory("VmRSS"), "", 0)
	l.join()
	ctx, cancel := context.WithCancel(ctx)
	var running sync.WaitGroup
	running.Go(func() { l.fleet.Run(ctx, started) })
	defer func() { cancel(); running.Wait() }()
	l.timed(fmt.Sprintf("%d nodes a second are started: until the last is connected", started), func() { l.until(connected) })
	l.timed("until the last has told of its images and knows their verdicts", func() { l.until(settled) })
	l.complaints()
	l.changes()
	l.record()
	l.row("memory, most until now", l.memory("VmHWM"), "< 1.5 GiB", 0)
	l.restart("restart", 0)
	l.restart("back after 90 s", away)
	l.changes()
	l.row("memory at rest, all connected", l.memory("VmRSS"), "", 0)
	l.row("memory, most since the last start", l.memory("VmHWM"), "< 1.5 GiB", 0)
}

func (l *load) row(what, measured, bar string, processor time.Duration) {
	used := ""
	if processor > 0 {
		used = processor.String()
	}
	fmt.Fprintf(os.Stderr, "%s: %s %s\n", what, measured, used)
	fmt.Fprintf(&l.table, "| %s | %s | %s | %s |\n", what, measured, bar, used)
}

func (l *load) memory(field string) string { return fmt.Sprintf("%.0f MiB", l.central.status(field)) }

// timed is a row about how long do took.
func (l *load) timed(what string, do func()) {
	began, before := time.Now(), l.central.processor()
	do()
	l.row(what, seconds(time.Since(began)), "", l.central.processor()-before)
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.2f s", d.Seconds()) }

// patience is how long a fleet may take for anything.
const patience = 20 * time.Minute

// until waits for all nodes, and looks at them seldom: that, too, takes processor time of what is measured.
func (l *load) until(reached func(l *load, c fleet.Count) bool) {
	l.Helper()
	l.await(500*time.Millisecond, func() bool { return reached(l, l.fleet.Count()) })
}

func (l *load) await(every time.Duration, reached func() bool) {
	l.Helper()
	deadline := time.Now().Add(patience)
	tick := time.NewTicker(every)
	defer tick.Stop()
	for !reached() {
		if time.Now().After(deadline) {
			require.Fail(l, "too late", "%+v", l.fleet.Count())
		}
		<-tick.C
	}
}

func connected(l *load, c fleet.Count) bool { return c.Connected == l.nodes }
func gone(_ *load, c fleet.Count) bool      { return c.Connected == 0 }
func settled(l *load, c fleet.Count) bool   { return c.Mirrored == l.nodes && c.InForce == l.nodes }

func (l *load) join() {
	options := fleet.Options{
		Address: l.central.url, Token: l.central.token(l.nodes), Dir: l.TempDir(), Nodes: l.nodes, Images: imagesOfNode, Times: uplink.Times{},
	}
	l.timed("joins, 32 at a time", func() {
		var err error
		l.fleet, err = fleet.Join(ctx, options, 32)
		require.NoError(l, err)
	})
}

// changes changes a policy some times, and says how long after that nodes had the bundle.
func (l *load) changes() {
	var all []time.Duration
	before := l.central.processor()
	changes := setting(l.B, "PORTCULLIS_BENCH_CHANGES", 10)
	for range changes {
		runtime.GC() // of the nodes, not while the change is on its way
		next := l.fleet.Arrivals.Newest() + 1
		began := time.Now()
		l.central.change(l.changed%2 == 1)
		l.changed++
		l.await(100*time.Millisecond, func() bool { return len(l.fleet.Arrivals.Of(next)) >= l.nodes })
		for _, at := range l.fleet.Arrivals.Of(next) {
			all = append(all, at.Sub(began))
		}
	}
	slices.Sort(all)
	l.row(fmt.Sprintf("a change of policy, the mean of %d", changes), "", "", (l.central.processor()-before)/time.Duration(changes))
	l.row("… until a node has it, p50", seconds(all[len(all)/2]), "", 0)
	l.row("… p99", seconds(all[len(all)*99/100]), "< 2 s", 0)
	l.row("… the last", seconds(all[len(all)-1]), "", 0)
}

// uploading is how many nodes upload at a time where central's pace is measured: to encode what they have to tell takes
// thousands of nodes as much processor time as central, which they do not share with it.
const uploading = 500

// record lets all nodes upload a decision at once, and then more of them after each other.
func (l *load) record() {
	l.timed(fmt.Sprintf("%d decisions, one of each node at the same moment, until all are counted", l.nodes), func() { l.decide(1, l.nodes) })
	l.complaints()
	each, together := max(1, setting(l.B, "PORTCULLIS_BENCH_DECISIONS", 200_000)/l.nodes), min(uploading, l.nodes)
	began, before := time.Now(), l.central.processor()
	l.decide(each, together)
	took := time.Since(began)
	require.EqualValues(l, (1+each)*l.nodes, l.central.blocked())
	l.row(fmt.Sprintf("%d decisions, %d of each node, %d nodes at a time", each*l.nodes, each, together), fmt.Sprintf("%.0f/s", float64(each*l.nodes)/took.Seconds()),
		"≥ 5,000/s, PostgreSQL 10,000/s", l.central.processor()-before)
	l.complaints()
}

func (l *load) decide(each, together int) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	require.NoError(l, l.fleet.Record(each, together)(ctx))
}

// restart stops central, and starts it again after a while.
func (l *load) restart(what string, after time.Duration) {
	l.central.stop()
	l.until(gone)
	timer := time.NewTimer(after)
	<-timer.C
	l.fleet.Log.Take() // that it is away
	began := time.Now()
	l.central.start()
	l.row(what+": central answers", seconds(time.Since(began)), "", 0)
	for _, quota := range []int{50, 99, 100} {
		l.until(func(l *load, c fleet.Count) bool { return c.Connected >= (l.nodes*quota+99)/100 })
		bar := ""
		if quota == 100 {
			bar = "< 60 s"
		}
		l.row(fmt.Sprintf("%s: %d %% are connected", what, quota), seconds(time.Since(began)), bar, l.central.processor())
	}
	l.complaints()
}

// complaints are a row each, the most frequent first.
func (l *load) complaints() {
	found := l.fleet.Log.Take()
	for _, text := range slices.SortedFunc(maps.Keys(found), func(a, b string) int { return cmp.Compare(found[b], found[a]) }) {
		l.row("nodes say: "+strings.ReplaceAll(text, "|", "\\|"), fmt.Sprintf("%d times", found[text]), "", 0)
	}
}
