package pods

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"portcullis/e2e/lab"
)

func TestUpgradesAreNotNoticedByTheKubelet(t *testing.T) {
	for name, test := range map[string]struct {
		options lab.PortcullisdOptions
		upgrade func(*lab.Portcullisd) error
	}{
		"by hand-over": {upgrade: (*lab.Portcullisd).Upgrade},
		"by restart on a socket that is held": {options: lab.PortcullisdOptions{Activated: true}, upgrade: func(d *lab.Portcullisd) error {
			if err := d.Stop(); err != nil {
				return err
			}
			return d.Start()
		}},
	} {
		t.Run(name, func(t *testing.T) {
			n := newNodeWith(t, test.options, noCriticals)
			clean, risky := n.image("clean", "pause"), n.riskyImage("risky", "pause")
			const upgrades = 10
			for i := range upgrades {
				n.run(newPod(fmt.Sprintf("clean-%d", i), container("web", clean)))
				n.run(newPod(fmt.Sprintf("risky-%d", i), container("web", risky)))
				require.NoError(t, test.upgrade(n.portcullisd))
			}

			for i := range upgrades {
				require.Zero(t, n.awaitReady(fmt.Sprintf("clean-%d", i)).Status.ContainerStatuses[0].RestartCount)
				n.awaitStates(fmt.Sprintf("risky-%d", i), waitsRisky("web", risky))
			}
			require.Empty(t, n.containers(risky))
			for line := range strings.Lines(n.kubelet.Log()) {
				require.NotContains(t, line, "code = Unavailable")
				require.NotContains(t, line, "code = Canceled")
			}
			n.neverDown()
		})
	}
}

func TestBreakGlassOpensTheNodeAndClosesItAgain(t *testing.T) {
	n := newNodeWith(t, lab.PortcullisdOptions{Activated: true}, noCriticals)
	risky := n.riskyImage("risky", "pause")
	n.run(newPod("before", container("web", risky)))
	n.awaitStates("before", waitsRisky("web", risky))

	require.NoError(t, n.portcullisd.Stop())
	require.NoError(t, n.portcullisd.Bypass())
	id := n.awaitReady("before").Status.ContainerStatuses[0].ContainerID

	require.NoError(t, n.portcullisd.Stop())
	require.NoError(t, n.portcullisd.Start())
	n.run(newPod("after", container("web", risky)))
	n.awaitStates("after", waitsRisky("web", risky))
	require.Equal(t, id, n.awaitReady("before").Status.ContainerStatuses[0].ContainerID, "what runs, runs on")
	n.neverDown()
}
