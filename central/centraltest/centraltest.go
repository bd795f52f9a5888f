// Package centraltest answers: which time is it for a central under test, and did it answer as it should?
package centraltest

import (
	"sync"
	"testing"
	"time"

	"connectrpc.com/connect"
	"github.com/stretchr/testify/require"
)

// Clock is what the time is until a test moves it.
type Clock struct {
	mu  sync.Mutex
	now time.Time
}

// NewClock stands at a time.
func NewClock(now time.Time) *Clock { return &Clock{now: now} }

// Now is the time.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// Add moves the time.
func (c *Clock) Add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// Code wants a call to have failed with a code.
func Code(t *testing.T, err error, want connect.Code) {
	t.Helper()
	require.Error(t, err)
	require.Equal(t, want, connect.CodeOf(err), err.Error())
}

// Eventually waits until what is true.
func Eventually(t *testing.T, what func() bool, message string) {
	t.Helper()
	require.Eventually(t, what, 30*time.Second, 10*time.Millisecond, message)
}
