package e2e

import (
	"context"
	"net"
	"os/exec"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	runtime "k8s.io/cri-api/pkg/apis/runtime/v1"

	"portcullis/e2e/lab"
)

func TestContainerCreatedBeforeARestartStarts(t *testing.T) {
	onEachRuntime(t, noCriticals, func(n *node) {
		id, _ := n.image("clean")
		pod := n.pod(lab.Pod{Name: "shop"})
		created := n.create(pod, lab.Container{Name: "web", Image: id})

		require.NoError(n.t, n.Stop())
		n.startAgain()

		require.NoError(n.t, n.cri.Start(n.ctx, created))
	})
}

func TestAfterARestartTheFactsComeFromTheRuntime(t *testing.T) {
	onEachRuntime(t, observed, func(n *node) {
		id, reference := n.image("risky")
		n.scannedRisky(id)
		pod := n.pod(lab.Pod{Name: "shop", Namespace: "sales"})
		created := n.create(pod, lab.Container{Name: "web", Image: id, Reference: reference})

		require.NoError(n.t, n.Kill())
		n.setPolicies(noCriticals)
		n.startAgain()

		require.Contains(n.t, n.refused(n.cri.Start(n.ctx, created)), reference)
		blocked := n.events("PORTCULLIS_ACTION=block")
		require.Len(n.t, blocked, 1)
		for field, want := range map[string]string{
			"IMAGE": reference, "IMAGE_ID": id, "NAMESPACE": "sales", "POD": "shop",
			"POD_UID": pod.Config.GetMetadata().GetUid(), "CONTAINER": "web",
		} {
			require.Equal(n.t, want, blocked[0]["PORTCULLIS_"+field], field)
		}
	})
}

func TestPrivilegesAreKnownAfterARestart(t *testing.T) {
	onEachRuntime(t, noCriticals, func(n *node) {
		id, _ := n.image("tool")
		pod := n.pod(lab.Pod{Name: "shop", Privileged: true})
		privileged := n.create(pod, lab.Container{Name: "privileged", Image: id, Privileged: true})
		plainPod := n.pod(lab.Pod{Name: "plain"})
		capable := n.create(plainPod, lab.Container{Name: "capable", Image: id, AddCapabilities: []string{"SYS_ADMIN"}})
		plain := n.create(plainPod, lab.Container{Name: "plain", Image: id})

		require.NoError(n.t, n.Stop())
		n.setPolicies(noPrivilege)
		n.startAgain()

		require.Contains(n.t, n.refused(n.cri.Start(n.ctx, privileged)), "privileged")
		require.Contains(n.t, n.refused(n.cri.Start(n.ctx, capable)), "SYS_ADMIN")
		require.NoError(n.t, n.cri.Start(n.ctx, plain))
	})
}

func TestRemovedImageDoesNotHideARiskyContainer(t *testing.T) {
	onEachRuntime(t, observed, func(n *node) {
		id, _ := n.image("risky")
		n.scannedRisky(id)
		pod := n.pod(lab.Pod{Name: "shop"})
		created := n.create(pod, lab.Container{Name: "web", Image: id})
		require.NoError(n.t, n.Stop())
		n.setPolicies(noCriticals)
		n.startAgain()

		_, err := n.cri.Images.RemoveImage(n.ctx, &runtime.RemoveImageRequest{Image: &runtime.ImageSpec{Image: id}})
		require.NoError(n.t, err)

		require.Error(n.t, n.cri.Start(n.ctx, created), "it runs without having been judged")
	})
}

func TestSecondInstanceFailsClearly(t *testing.T) {
	onEachRuntime(t, noCriticals, func(n *node) {
		ctx, cancel := context.WithTimeout(n.ctx, patience)
		defer cancel()
		output, err := exec.CommandContext(ctx, n.Path, "--config", n.Config).CombinedOutput()

		var exit *exec.ExitError
		require.ErrorAs(n.t, err, &exit)
		require.NotEqual(n.t, -1, exit.ExitCode(), "it did not end by itself")
		require.Contains(n.t, string(output), "another portcullisd is running")
		_, err = n.cri.Runtime.Version(n.ctx, &runtime.VersionRequest{})
		require.NoError(n.t, err, "the first serves on")
	})
}

func TestStaleSocketIsTakenOver(t *testing.T) {
	onEachRuntime(t, noCriticals, func(n *node) {
		require.NoError(n.t, n.Kill())
		_, err := net.Dial("unix", n.Socket)
		require.ErrorContains(n.t, err, "refused", "a socket without a daemon is left")

		n.startAgain()
	})
}

func TestRuntimeMayGoAndComeBack(t *testing.T) {
	needLab(t)
	t.Parallel()
	for _, flavour := range lab.Containerds() {
		t.Run(flavour.Name, func(t *testing.T) {
			t.Parallel()
			containerd, err := lab.StartContainerd(flavour.Name+"-restarted", flavour, world.sandbox)
			require.NoError(t, err)
			t.Cleanup(func() { require.NoError(t, containerd.Stop()) })
			n := newNode(t, containerd, noCriticals, lab.PortcullisdOptions{})
			id, _ := n.image("clean")
			pod := n.pod(lab.Pod{Name: "shop"})

			require.NoError(t, containerd.Stop())

			began := time.Now()
			_, err = n.cri.Runtime.Version(n.ctx, &runtime.VersionRequest{})
			require.Equal(t, codes.Unavailable, status.Code(err), "%v", err)
			_, err = n.cri.Create(n.ctx, pod, lab.Container{Name: "web", Image: id})
			require.Equal(t, codes.Unavailable, status.Code(err), "%v", err)
			require.Less(t, time.Since(began), patience, "at once, not after a connect timeout")

			require.NoError(t, containerd.Start())
			require.Eventually(t, func() bool {
				_, err := n.cri.Runtime.Version(n.ctx, &runtime.VersionRequest{})
				return err == nil
			}, patience, 20*time.Millisecond)
			n.runs(pod, lab.Container{Name: "web", Image: id})
		})
	}
}
