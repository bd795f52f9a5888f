package pods

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestSwitchingTheKubeletOverLeavesRunningContainersAlone(t *testing.T) {
	n := newNode(t, noCriticals)
	clean, risky := n.image("clean", "pause"), n.riskyImage("risky", "pause")
	require.NoError(t, n.kubelet.Stop())
	require.NoError(t, n.kubelet.Start(n.containerd.Socket))
	n.run(newPod("clean", container("web", clean)))
	n.run(newPod("before", container("web", risky)))
	ids := map[string]string{}
	for _, name := range []string{"clean", "before"} {
		ids[name] = n.awaitReady(name).Status.ContainerStatuses[0].ContainerID
	}

	for _, endpoint := range []string{n.portcullisd.Socket, n.containerd.Socket} {
		require.NoError(t, n.kubelet.Stop())
		require.NoError(t, n.kubelet.Start(endpoint))

		if endpoint == n.portcullisd.Socket {
			n.run(newPod("after", container("web", risky)))
			n.awaitStates("after", waitsRisky("web", risky))
		} else {
			n.awaitReady("after")
		}
		for name, id := range ids {
			status := n.awaitReady(name).Status.ContainerStatuses[0]
			require.Equal(t, id, status.ContainerID, name)
			require.Zero(t, status.RestartCount, name)
		}
	}
}

func TestKubeletRestartsWhilePodsAreRefused(t *testing.T) {
	n := newNode(t, noCriticals)
	clean, risky := n.image("clean", "pause"), n.riskyImage("risky", "pause")
	n.run(newPod("clean", container("web", clean)))
	n.run(newPod("risky", container("web", risky)))
	id := n.awaitReady("clean").Status.ContainerStatuses[0].ContainerID
	n.awaitStates("risky", waitsRisky("web", risky))

	require.NoError(t, n.kubelet.Kill())
	require.NoError(t, n.kubelet.Start(n.portcullisd.Socket))

	require.Equal(t, id, n.awaitReady("clean").Status.ContainerStatuses[0].ContainerID)
	n.awaitStates("risky", waitsRisky("web", risky))
	require.Empty(t, n.containers(risky))
}
