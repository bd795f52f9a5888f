package fleet_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"portcullis/central/store/storetest"
	"portcullis/internal/fleet"
	"portcullis/uplink"
)

// quick makes nodes come back at once.
var quick = uplink.Times{
	RetryMin: 10 * time.Millisecond, RetryMax: 100 * time.Millisecond, Report: 10 * time.Millisecond, Upload: 10 * time.Millisecond,
}

func TestAFleetFollowsCentralAndIsCountedExactly(t *testing.T) {
	const nodes, decisions = 20, 30
	for name, database := range map[string]func(testing.TB) string{"SQLite": storetest.SQLite, "PostgreSQL": storetest.Postgres} {
		t.Run(name, func(t *testing.T) {
			c := newCentral(t, database(t))
			c.create(3)
			f, err := fleet.Join(ctx, fleet.Options{Address: c.url, Token: c.token(nodes), Dir: t.TempDir(), Nodes: nodes, Images: 5, Times: quick}, 8)
			require.NoError(t, err)
			ctx, cancel := context.WithCancel(ctx)
			var running sync.WaitGroup
			running.Go(func() { f.Run(ctx, 100) })
			defer func() { cancel(); running.Wait() }()
			settled := func() bool {
				count := f.Count()
				return count.Connected == nodes && count.InForce == nodes && count.Mirrored == nodes && count.Waiting == 0
			}
			require.Eventually(t, func() bool { return f.Arrivals.Newest() > 0 && settled() }, time.Minute, 10*time.Millisecond)

			recorded := f.Record(decisions, nodes)
			c.stop()
			require.Eventually(t, func() bool { return f.Count().Connected == 0 }, time.Minute, 10*time.Millisecond)
			c.start()
			newest := f.Arrivals.Newest()
			c.change(false)
			require.Eventually(t, func() bool { return f.Arrivals.Newest() > newest && settled() }, time.Minute, 10*time.Millisecond)
			require.NoError(t, recorded(ctx))
			require.EqualValues(t, nodes*decisions, c.blocked())
		})
	}
}
