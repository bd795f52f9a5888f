package main

import (
	"bufio"
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	portcullisv1 "portcullis/api/portcullis/v1"
)

func TestFollowedEventsAreThoseBeforeAndThoseThatArriveUntilItIsInterrupted(t *testing.T) {
	k, err := newKnown(t, t.TempDir())
	require.NoError(t, err)
	command := exec.Command("portcullis", "events", "--follow", "--since", "1d", "--policy", "no privileges", "-o", "json")
	command.Env = append(os.Environ(), k.environment...)
	command.Stderr = t.Output()
	out, err := command.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, command.Start())
	t.Cleanup(func() { _ = command.Process.Kill() }) // it has ended, unless the test failed
	lines := bufio.NewScanner(out)
	next := func() (event struct{ Pod string }) {
		require.True(t, lines.Scan(), lines.Err())
		require.NoError(t, json.Unmarshal(lines.Bytes(), &event))
		return event
	}
	require.Equal(t, "cart-0", next().Pod, "cart-1 was before")
	_, err = k.events.Ingest(context.Background(), "n1", &portcullisv1.UploadDecisionsRequest{
		Spool: "s", After: 8, Through: 9,
		Decisions: []*portcullisv1.FoldedDecision{decision("cart-2", portcullisv1.Action_ACTION_BLOCK, 1, time.Now())},
	})
	require.NoError(t, err)
	require.Equal(t, "cart-2", next().Pod)
	require.NoError(t, command.Process.Signal(unix.SIGINT))
	require.NoError(t, command.Wait(), "to be interrupted is no failure")
}
