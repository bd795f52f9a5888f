package store_test

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/sirupsen/logrus"
	"github.com/stretchr/testify/require"

	"portcullis/central/store"
	"portcullis/central/store/storetest"
)

// eventsTable gathers what is measured of both databases: rows of Markdown.
type eventsTable struct {
	rows  []string
	cells map[string]string
}

func (t *eventsTable) add(row, database, cell string) {
	if !slices.Contains(t.rows, row) {
		t.rows = append(t.rows, row)
	}
	t.cells[row+database] = cell
}

func (t *eventsTable) print(title string) {
	fmt.Printf("\n| %s | SQLite | PostgreSQL |\n| --- | --- | --- |\n", title)
	for _, row := range t.rows {
		fmt.Printf("| %s | %s | %s |\n", row, t.cells[row+"SQLite"], t.cells[row+"PostgreSQL"])
	}
}

func machineLoad(b *testing.B) string {
	text, err := os.ReadFile("/proc/loadavg")
	require.NoError(b, err)
	return strings.Fields(string(text))[0]
}

// BenchmarkEvents measures, on both databases with as many events as PORTCULLIS_BENCH_EVENTS says (default
// 20,000), how fast decisions are counted and what a page of events costs, and prints a table.
func BenchmarkEvents(b *testing.B) {
	events := 20_000
	if text := os.Getenv("PORTCULLIS_BENCH_EVENTS"); text != "" {
		var err error
		events, err = strconv.Atoi(text)
		require.NoError(b, err)
	}
	table := &eventsTable{cells: map[string]string{}}
	before := machineLoad(b)
	for _, database := range []struct {
		name string
		url  func(testing.TB) string
	}{
		{"SQLite", func(tb testing.TB) string { return "sqlite:" + filepath.Join(tb.TempDir(), "central.db") }},
		{"PostgreSQL", storetest.DurablePostgres},
	} {
		b.Run(database.name, func(b *testing.B) {
			log := logrus.New()
			log.SetOutput(io.Discard)
			s, err := store.Open(ctx, store.Options{URL: database.url(b), Log: log})
			require.NoError(b, err)
			defer func() { require.NoError(b, s.Close()) }()
			m := &measure{table: table, database: database.name, store: s, load: storetest.NewEventLoad(time.Now(), 1)}
			m.rate(b, "while these were added", events, func() { require.NoError(b, storetest.LoadEvents(ctx, s, m.load, events)) })
			m.lists(b)
			m.ingest(b)
		})
	}
	table.print(fmt.Sprintf("%d events, load %s to %s", events, before, machineLoad(b)))
}

// measure measures one database.
type measure struct {
	table    *eventsTable
	database string
	store    *store.Store
	load     *storetest.EventLoad
}

// rate measures how fast decisions are counted, and the processor time that this process takes for one: on a
// machine that does other things, too, that says more. PostgreSQL's own is not in it.
func (m *measure) rate(b *testing.B, row string, decisions int, count func()) {
	began, before := time.Now(), processor(b)
	count()
	took, used := time.Since(began), processor(b)-before
	m.table.add("accepted, "+row, m.database, fmt.Sprintf("%.0f/s, %d µs", float64(decisions)/took.Seconds(), used.Microseconds()/int64(decisions)))
}

// processor is the processor time that this process has used.
func processor(b *testing.B) time.Duration {
	var usage syscall.Rusage
	require.NoError(b, syscall.Getrusage(syscall.RUSAGE_SELF, &usage))
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

// lists measures first pages of 50, with the count of all.
func (m *measure) lists(b *testing.B) {
	m.read(b, "overview and trend of 7 days", func(tx *store.Tx) error {
		_, _, err := tx.Trend(ctx, time.Now().Add(-7*24*time.Hour))
		return err
	})
	for _, list := range []struct {
		name   string
		filter store.EventFilter
	}{
		{"all", store.EventFilter{}},
		{"of 7 days", store.EventFilter{From: time.Now().Add(-7 * 24 * time.Hour)}},
		{"by policy", store.EventFilter{Policies: []string{"policy-3"}}},
		{"by action", store.EventFilter{Actions: []int{2}}},
		{"by severity", store.EventFilter{Severities: []int{6}}},
		{"by namespace", store.EventFilter{Namespaces: []string{"team-150"}}},
		{"by policy and namespace", store.EventFilter{Policies: []string{"policy-4"}, Namespaces: []string{"team-2"}}},
		{"by node", store.EventFilter{Nodes: []string{"worker-0007"}}},
		{"by node and policy", store.EventFilter{Nodes: []string{"worker-0007"}, Policies: []string{"policy-3"}}},
		{"by cluster", store.EventFilter{Clusters: []string{"cluster-3"}}},
		{"by a node's address", store.EventFilter{Address: "10.0.0.7"}},
		{"by a pod's address", store.EventFilter{Address: "10.64.7.7"}},
		{"by part of an image's name", store.EventFilter{Image: "app-199"}},
		{"by image", store.EventFilter{ImageID: fmt.Sprintf("sha256:%064x", 1999)}},
		{"by finding", store.EventFilter{Finding: "CVE-2025-00031"}},
		{"by part of a pod's name", store.EventFilter{Pod: "p-1999"}},
		{"by part of many pods' names", store.EventFilter{Pod: "pp-1"}},
		{"by part of a container's name", store.EventFilter{Container: "pp"}},
		{"by what nothing has", store.EventFilter{Pod: "nothing"}},
	} {
		for _, order := range []store.EventOrder{{}, {ByCount: true}} {
			name := "first page " + list.name + map[bool]string{true: ", by count"}[order.ByCount]
			m.read(b, name, func(tx *store.Tx) error {
				_, _, err := tx.Events(ctx, list.filter, order, nil, 50, 10_000)
				return err
			})
		}
	}
}

// read measures a transaction that was run before: the median.
func (m *measure) read(b *testing.B, name string, do func(tx *store.Tx) error) {
	var times []time.Duration
	b.Run(name, func(b *testing.B) {
		require.NoError(b, m.store.Read(ctx, do))
		for b.Loop() {
			began := time.Now()
			require.NoError(b, m.store.Read(ctx, do))
			times = append(times, time.Since(began))
		}
	})
	if len(times) == 0 { // -bench leaves it out
		return
	}
	slices.Sort(times)
	m.table.add(name, m.database, fmt.Sprintf("%.1f ms", times[len(times)/2].Seconds()*1000))
}

const (
	uploads = 8  // that one transaction counts, as central does when many wait
	groups  = 10 // of uploads that are counted to measure how fast that goes
)

func (m *measure) ingest(b *testing.B) {
	var known []store.Batch
	m.count(b, "all distinct", func() store.Batch {
		known = append(known, m.load.Distinct(1000))
		return known[len(known)-1]
	})
	m.count(b, "distinct, and nothing in common", func() store.Batch { return m.load.Strange(1000) })
	m.count(b, "repeats", func() store.Batch {
		known = append(known[1:], known[0])
		return m.load.Again(known[0])
	})
}

// count measures once how fast decisions are counted by as many writers as central has.
func (m *measure) count(b *testing.B, name string, next func() store.Batch) {
	waiting := make(chan []store.Batch, groups)
	for range groups {
		var group []store.Batch
		for range uploads {
			group = append(group, next())
		}
		waiting <- group
	}
	close(waiting)
	m.rate(b, name, groups*uploads*1000, func() {
		var writing sync.WaitGroup
		for range map[bool]int{false: 1, true: 2}[m.store.Shared()] {
			writing.Go(func() {
				for group := range waiting {
					if _, err := m.store.AddDecisions(ctx, time.Now(), group); err != nil {
						b.Error(err)
					}
				}
			})
		}
		writing.Wait()
	})
}
