package uplink

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/types/known/durationpb"
)

func TestANodeReportsOnceInTheTimeThatCentralNames(t *testing.T) {
	times := Times{Report: 2 * time.Second, State: time.Minute}
	for name, c := range map[string]struct{ within, sinceLast, least, most time.Duration }{
		"central does not say":            {0, time.Hour, time.Second, 3 * time.Second},
		"the last report was long ago":    {20 * time.Second, time.Hour, 0, 20 * time.Second},
		"the last report was a while ago": {20 * time.Second, 15 * time.Second, 5 * time.Second, 20 * time.Second},
		"a report was just made":          {20 * time.Second, 0, 20 * time.Second, 20 * time.Second},
		"later than reports are due":      {time.Hour, 0, time.Minute, time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			var b bundles
			b.reportWithin(durationpb.New(c.within))
			early, late := time.Hour, time.Duration(0)
			for range 1000 {
				after := b.reportAfter(times, c.sinceLast)
				require.GreaterOrEqual(t, after, c.least)
				require.LessOrEqual(t, after, c.most)
				early, late = min(early, after), max(late, after)
			}
			if c.least != c.most {
				require.Greater(t, late-early, (c.most-c.least)/2, "nodes do not call together")
			}
		})
	}
}

func TestWhatWaitsIsSpreadNoFurtherThanAMinute(t *testing.T) {
	var b bundles
	require.Zero(t, b.spread(), "central has not said")
	b.reportWithin(durationpb.New(24 * time.Hour))
	for range 1000 {
		require.Less(t, b.spread(), maxSpread)
	}
}
