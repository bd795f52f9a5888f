package node_test

import (
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
)

// clock is a clock that the test sets.
type clock struct{ seconds atomic.Int64 }

func (c *clock) now() time.Time          { return time.Unix(c.seconds.Load(), 0) }
func (c *clock) advance(d time.Duration) { c.seconds.Add(int64(d / time.Second)) }

const (
	day      = 24 * time.Hour
	observe7 = "Observe, days: 7"
)

// observing starts a daemon whose only policy observes for seven days an image with a critical finding.
func observing(t *testing.T) (*daemon, *clock) {
	t.Helper()
	c := &clock{}
	c.seconds.Store(time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC).Unix())
	d := start(t, map[string]string{"policies/a.yaml": riskyImage("Immediate"), "reports/r.json": report})
	d.eventually(t, codes.PermissionDenied) // the verdict has been read
	require.NoError(t, d.Stop())
	d.now = c.now
	d.write(t, "policies/a.yaml", riskyImage(observe7))
	d.run(t)
	d.eventually(t, codes.OK)
	return d, c
}

// restart ends the daemon and starts it again on what it left.
func (d *daemon) restart(t *testing.T) {
	t.Helper()
	require.NoError(t, d.Stop())
	d.run(t)
}

// change replaces the policies and makes the daemon look at them now, so that the order of changes is certain.
func (d *daemon) change(t *testing.T, policies string) {
	t.Helper()
	d.write(t, "policies/a.yaml", policies)
	d.Reload()
}

func TestObservingTurnsToBlockingAtTheExactTimeByItself(t *testing.T) {
	d, c := observing(t)
	c.advance(7*day - time.Second)
	require.Equal(t, codes.OK, d.create())
	c.advance(time.Second)
	require.Equal(t, codes.PermissionDenied, d.create())
}

func TestARestartDoesNotStopTheCountdown(t *testing.T) {
	d, c := observing(t)
	c.advance(4 * day)
	d.restart(t)
	d.eventually(t, codes.OK)
	c.advance(3 * day)
	require.Equal(t, codes.PermissionDenied, d.create())
	d.restart(t)
	d.eventually(t, codes.PermissionDenied)
}

func TestSwitchingOffAndOnBeginsTheCountdownAnew(t *testing.T) {
	d, c := observing(t)
	c.advance(6 * day)
	d.change(t, "# none\n"+disabled(riskyImage(observe7)))
	d.change(t, riskyImage(observe7))
	c.advance(6 * day)
	require.Equal(t, codes.OK, d.create())
	c.advance(day)
	require.Equal(t, codes.PermissionDenied, d.create())
}

func TestEditingTheEffectBeginsAnewAndOtherEditsDoNot(t *testing.T) {
	d, c := observing(t)
	c.advance(6 * day)
	d.change(t, "# reviewed\n"+riskyImage(observe7)+"  description: now with a description\n")
	c.advance(day)
	require.Equal(t, codes.PermissionDenied, d.create(), "a description is no reason to wait longer")
	d.change(t, riskyImage("Observe, days: 2"))
	require.Equal(t, codes.OK, d.create())
	c.advance(2 * day)
	require.Equal(t, codes.PermissionDenied, d.create())
}

func TestAClockThatJumpsBackNeitherRestartsNorStretchesTheCountdown(t *testing.T) {
	d, c := observing(t)
	c.advance(3 * day)
	d.Reload()
	c.advance(-2 * day)
	d.Reload()
	c.advance(6*day - time.Second)
	require.Equal(t, codes.OK, d.create())
	c.advance(time.Second)
	require.Equal(t, codes.PermissionDenied, d.create())

	// Begun by a clock that was a year ahead: the countdown runs from when that was put right.
	c.advance(365 * day)
	d.change(t, riskyImage("Observe, days: 1"))
	c.advance(-365 * day)
	d.restart(t)
	d.eventually(t, codes.OK)
	c.advance(day)
	require.Equal(t, codes.PermissionDenied, d.create())
}

func TestAMachineThatWakesUpIn1970DoesNotEndTheObservation(t *testing.T) {
	d, c := observing(t)
	c.advance(day)
	today := c.seconds.Load()
	c.seconds.Store(0)
	d.restart(t)
	d.eventually(t, codes.OK)
	c.seconds.Store(today) // the network has told the time
	require.Equal(t, codes.OK, d.create())
	d.restart(t)
	d.eventually(t, codes.OK)
	c.advance(6 * day)
	require.Equal(t, codes.PermissionDenied, d.create())
}

func TestACountdownBegunByAFastClockIsPutRightWithoutARestart(t *testing.T) {
	d, c := observing(t)
	c.advance(365 * day)
	d.change(t, riskyImage("Observe, days: 1"))
	c.advance(-365 * day)
	d.Reload()
	c.advance(day)
	require.Equal(t, codes.PermissionDenied, d.create())
}

func TestAStateFileThatCannotBeReadBeginsAnewAndIsLoud(t *testing.T) {
	d, c := observing(t)
	c.advance(6 * day)
	require.NoError(t, d.Stop())
	require.NoError(t, os.WriteFile(filepath.Join(d.dir, "state/observations.json"), []byte("{"), 0o600))
	d.run(t)
	require.Contains(t, d.hook.AllEntries()[0].Data["error"].(error).Error(), "observation periods begin anew")
	c.advance(day)
	d.eventually(t, codes.OK)
}

func TestAWrittenStartCountsWhateverTheNodeHasSeen(t *testing.T) {
	d, c := observing(t)
	d.change(t, riskyImage("Observe, days: 7, since: 2026-11-20T00:00:00Z"))
	c.advance(4*day - time.Second)
	require.Equal(t, codes.OK, d.create())
	c.advance(time.Second)
	require.Equal(t, codes.PermissionDenied, d.create())
	d.change(t, riskyImage(observe7))
	require.Equal(t, codes.OK, d.create(), "without it the effect is another, and the countdown begins anew")
}
