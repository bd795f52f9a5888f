package e2e

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"
	"github.com/stretchr/testify/require"

	portcullisv1 "portcullis/api/portcullis/v1"
	"portcullis/e2e/lab"
)

// refuse has the node refuse so many containers of different names.
func (c *chaos) refuse(names string, count int) {
	c.t.Helper()
	for i := range count {
		container := c.risky
		container.Name = fmt.Sprintf("%s-%d", names, i)
		c.attempt(container, "block")
	}
	require.Empty(c.t, c.wrong)
}

// complete expects that central counts every decision whose answer was seen, and no others.
func (c *chaos) complete() {
	c.t.Helper()
	require.Empty(c.t, c.possible, "every call was answered")
	require.Equal(c.t, sum(c.certain), c.counted(c.central))
}

func (c *chaos) ready(daemon interface {
	Ready(context.Context) (string, error)
}, want string) {
	c.t.Helper()
	text, err := daemon.Ready(c.ctx)
	require.NoError(c.t, err)
	require.Equal(c.t, want, text)
}

func (c *chaos) says(daemon interface{ Log() string }, text string) {
	c.t.Helper()
	require.Eventually(c.t, func() bool { return strings.Contains(daemon.Log(), text) }, patience, 20*time.Millisecond, text)
}

func TestAFullDiskOfTheNodeIsSaidAndLosesNothing(t *testing.T) {
	needLab(t)
	t.Parallel()
	c := newChaos(govern(t, startCentral(t, lab.CentralOptions{}), lab.PortcullisdOptions{StateSize: 8 << 20, SpoolSize: 1 << 20}))
	require.NoError(t, c.central.Stop())
	c.refuse("before", 20)
	writable := func(want float64) {
		t.Helper()
		require.Eventually(t, func() bool { return c.metric("portcullis_spool_writable") == want }, patience, 20*time.Millisecond)
	}

	require.NoError(t, c.StateDisk.Fill())
	c.refuse("full", 50)
	writable(0)
	c.says(c, "spool cannot be written; decisions are merged in memory until it can, and would be lost with the process")
	require.Positive(t, c.metric("portcullis_spool_held_decisions"))
	c.ready(c, "ok\nbut the spool cannot be written: decisions are held in memory\n")
	require.NoError(t, c.StateDisk.MakeRoom())
	writable(1)
	c.says(c, "spool can be written again")
	require.Zero(t, c.metric("portcullis_spool_held_decisions"))
	c.ready(c, "ok\n")
	c.refuse("after", 20)

	require.NoError(t, c.StateDisk.Fill())
	require.NoError(t, c.Kill())
	c.startAgain()
	c.refuse("restarted", 50)
	writable(0)
	require.NoError(t, c.StateDisk.MakeRoom())
	writable(1)
	require.NoError(t, c.central.Start())
	c.settles()
	c.complete()
}

func TestAFullDiskOfCentralIsSaidAndLosesNothing(t *testing.T) {
	needLab(t)
	t.Parallel()
	c := newChaos(govern(t, startCentral(t, lab.CentralOptions{DataSize: 32 << 20}), lab.PortcullisdOptions{}))
	c.refuse("before", 20)
	c.create(numbered(0))

	require.NoError(t, c.central.Data.Fill())
	policies := c.createUntilFull(1)
	c.refuse("full", 50)
	c.says(c, "decisions could not be delivered; they stay in the spool")
	c.says(c.central, "there is no space left")
	c.ready(c.central, "ok, but there is no space left for the database, and nothing can be changed\n")
	c.has(policies)
	require.NoError(t, c.central.Data.MakeRoom())
	c.create(numbered(policies))
	require.Eventually(t, func() bool { return c.metric("portcullis_spool_records") == 0 }, patience, 20*time.Millisecond)
	c.complete()

	require.NoError(t, c.central.Data.Fill())
	policies = c.createUntilFull(policies + 1)
	require.NoError(t, c.central.Kill())
	require.NoError(t, c.central.Start())
	c.refuse("restarted", 50)
	c.has(policies)
	require.NoError(t, c.central.Data.MakeRoom())
	c.create(numbered(policies))
	c.lastKill()
	c.settles()
	c.has(policies + 1)
	c.complete()
}

// numbered is one of many policies.
func numbered(n int) string {
	return policy(fmt.Sprint("policy ", n), "Immediate", "template: RiskyImage\n  risk: {secrets: {}}")
}

// createUntilFull creates policies until central has no space for another, and says so. It returns how many there are.
func (c *chaos) createUntilFull(accepted int) int {
	c.t.Helper()
	for ; ; accepted++ {
		_, err := c.policies.CreatePolicy(c.ctx, &portcullisv1.CreatePolicyRequest{Document: numbered(accepted)})
		if err == nil {
			continue
		}
		require.Equal(c.t, connect.CodeUnavailable, connect.CodeOf(err))
		require.ErrorContains(c.t, err, "the database cannot be used at the moment: there is no space left for it; try again later")
		return accepted
	}
}

// has expects that central has the policies that it has accepted, and no others.
func (c *chaos) has(accepted int) {
	c.t.Helper()
	exported, err := c.policies.ExportDocuments(c.ctx, &portcullisv1.ExportDocumentsRequest{})
	require.NoError(c.t, err)
	require.Equal(c.t, accepted, strings.Count(exported.GetDocuments(), "name: policy "))
}
