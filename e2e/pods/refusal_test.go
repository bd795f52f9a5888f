package pods

import (
	"testing"

	"github.com/stretchr/testify/require"
	core "k8s.io/api/core/v1"
	runtime "k8s.io/cri-api/pkg/apis/runtime/v1"
)

func TestCleanPodRunsAndRefusedOnesSayWhy(t *testing.T) {
	n := newNode(t, noCriticals, noPrivilege)
	clean, risky := n.image("clean", "pause"), n.riskyImage("risky", "pause")

	n.run(newPod("clean", container("web", clean)))
	n.run(newPod("risky", container("web", risky)))
	n.run(newPod("privileged", privileged(container("web", clean))))

	n.awaitReady("clean")
	n.awaitStates("risky", waitsRisky("web", risky))
	n.awaitStates("privileged", waitsPrivileged("web", clean))
	require.Empty(t, n.containers(risky), "the runtime has a container of a refused image")
	require.Len(t, n.containers(clean), 1, "the runtime has the container of the privileged pod")
}

func TestRefusedInitContainerHoldsThePod(t *testing.T) {
	n := newNode(t, noCriticals)
	clean, once, risky := n.image("clean", "pause"), n.image("once", "exit", "0"), n.riskyImage("risky", "exit", "0")

	refused := newPod("refused", container("web", clean))
	refused.Spec.InitContainers = []core.Container{container("first", once), container("second", risky)}
	allowed := newPod("allowed", container("web", clean))
	allowed.Spec.InitContainers = []core.Container{container("first", once)}
	n.run(refused)
	n.run(allowed)

	n.awaitReady("allowed")
	n.awaitStates("refused", "first terminated: Completed: 0", waitsRisky("second", risky), "web waiting: PodInitializing: ")
	require.Len(t, n.containers(clean), 1, "that of the allowed pod alone")
}

func TestOneRefusedContainerDoesNotStopTheOthers(t *testing.T) {
	n := newNode(t, noCriticals)
	clean, risky := n.image("clean", "pause"), n.riskyImage("risky", "pause")

	n.run(newPod("shop", container("a-web", clean), container("b-cache", risky), container("c-log", clean)))

	n.awaitStates("shop", "a-web running", waitsRisky("b-cache", risky), "c-log running")
	pod, err := n.pod("shop")
	require.NoError(t, err)
	for _, status := range pod.Status.ContainerStatuses {
		require.Zero(t, status.RestartCount, status.Name)
	}
}

func TestImageVolumeIsJudged(t *testing.T) {
	n := newNode(t, noCriticals)
	clean, data, risky := n.image("clean", "/volume/payload", "pause"), n.image("data"), n.riskyImage("risky-data")

	n.run(withImageVolume(newPod("allowed", container("web", clean)), data))
	n.run(withImageVolume(newPod("refused", container("web", clean)), risky))

	n.awaitReady("allowed")
	n.awaitStates("refused", waitsRisky("web", risky))
}

func withImageVolume(pod *core.Pod, volume image) *core.Pod {
	pod.Spec.Volumes = []core.Volume{{Name: "data", VolumeSource: core.VolumeSource{Image: &core.ImageVolumeSource{Reference: volume.reference}}}}
	pod.Spec.Containers[0].VolumeMounts = []core.VolumeMount{{Name: "data", MountPath: "/volume"}}
	pod.Spec.Containers[0].Command = []string{"/volume/payload", "pause"}
	return pod
}

func TestPodRunsByItselfOnceThePolicyIsOff(t *testing.T) {
	n := newNode(t, noCriticals)
	risky := n.riskyImage("risky", "pause")
	n.run(newPod("shop", container("web", risky)))
	n.awaitStates("shop", waitsRisky("web", risky))

	n.changePolicies(off(noCriticals))

	pod := n.awaitReady("shop")
	require.Zero(t, pod.Status.ContainerStatuses[0].RestartCount, "refusals are no restarts")
}

func TestCrashedContainerIsJudgedAgain(t *testing.T) {
	n := newNode(t, off(noCriticals))
	risky := n.riskyImage("risky", "pause")
	n.run(newPod("shop", container("web", risky)))
	n.awaitReady("shop")
	n.changePolicies(noCriticals)

	running := n.containers(risky)
	require.Len(t, running, 1)
	_, err := n.direct.Runtime.StopContainer(n.ctx, &runtime.StopContainerRequest{ContainerId: running[0].GetId()})
	require.NoError(t, err)

	n.awaitStates("shop", waitsRisky("web", risky))
}
