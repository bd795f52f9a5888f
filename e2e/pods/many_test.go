package pods

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	core "k8s.io/api/core/v1"
	runtime "k8s.io/cri-api/pkg/apis/runtime/v1"

	"portcullis/e2e/lab"
)

func TestHundredsOfContainersAreListed(t *testing.T) {
	const pods, containers = 4, 80
	n := newNode(t, noCriticals)
	clean, risky := n.image("clean", "pause"), n.riskyImage("risky", "pause")
	for i := range pods {
		var all []core.Container
		for j := range containers {
			all = append(all, container(fmt.Sprintf("c%02d", j), clean))
		}
		n.run(newPod(fmt.Sprintf("crowd-%d", i), all...))
	}
	for i := range pods {
		n.awaitReady(fmt.Sprintf("crowd-%d", i))
	}

	through, err := lab.Dial(n.portcullisd.Socket)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, through.Close()) })
	list, err := through.Runtime.ListContainers(n.ctx, &runtime.ListContainersRequest{})
	require.NoError(t, err)
	require.Len(t, list.GetContainers(), pods*containers)
	n.run(newPod("risky", container("web", risky)))
	n.awaitStates("risky", waitsRisky("web", risky))
	for i := range pods {
		pod, err := n.pod(fmt.Sprintf("crowd-%d", i))
		require.NoError(t, err)
		require.NoError(t, ready(pod))
		for _, status := range pod.Status.ContainerStatuses {
			require.Zero(t, status.RestartCount, "%s %s", pod.Name, status.Name)
		}
	}
	n.neverDown()
}
