package e2e

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"portcullis/e2e/lab"
)

func TestPolicyChangeTakesEffectWhileRunning(t *testing.T) {
	onEachRuntime(t, observed, func(n *node) {
		id, _ := n.image("risky")
		n.scannedRisky(id)
		pod := n.pod(lab.Pod{Name: "shop"})
		container := lab.Container{Name: "web", Image: id}
		n.eventually(pod, container, codes.OK)

		n.setPolicies(noCriticals)
		n.eventually(pod, container, codes.PermissionDenied)

		n.setPolicies(strings.Replace(noCriticals, "enabled: true", "enabled: false", 1))
		n.eventually(pod, container, codes.OK)

		require.NoError(n.t, n.WritePolicies("second.yaml", strings.Replace(noCriticals, "no criticals", "another", 1)))
		n.eventually(pod, container, codes.PermissionDenied)

		require.NoError(n.t, n.RemovePolicies("second.yaml"))
		n.eventually(pod, container, codes.OK)
	})
}

func TestBrokenPolicyChangesNothingAndIsLoud(t *testing.T) {
	onEachRuntime(t, noCriticals, func(n *node) {
		id, _ := n.image("risky")
		n.scannedRisky(id)
		pod := n.pod(lab.Pod{Name: "shop"})
		container := lab.Container{Name: "web", Image: id}
		require.Equal(n.t, 1.0, n.metric("portcullis_bundle_reload_success"))

		require.NoError(n.t, n.WritePolicies("broken.yaml", noCriticals+"---\nkind: ImagePolicy\nmetadata: {name: broken}\nspek: {}\n"))

		require.Eventually(n.t, func() bool { return n.metric("portcullis_bundle_reload_success") == 0 }, patience, 20*time.Millisecond)
		require.Eventually(n.t, func() bool {
			return strings.Contains(n.Log(), "broken.yaml:14: spek")
		}, patience, 20*time.Millisecond)
		_, err := n.cri.Create(n.ctx, pod, container)
		n.refused(err)

		require.NoError(n.t, n.RemovePolicies("broken.yaml"))
		require.Eventually(n.t, func() bool { return n.metric("portcullis_bundle_reload_success") == 1 }, patience, 20*time.Millisecond)
	})
}

func TestVerdictIsPickedUpAndDroppedWhileRunning(t *testing.T) {
	onEachRuntime(t, noCriticals, func(n *node) {
		id, _ := n.image("risky")
		pod := n.pod(lab.Pod{Name: "shop"})
		container := lab.Container{Name: "web", Image: id}
		n.eventually(pod, container, codes.OK)

		n.scanned(id, log4shell)
		n.eventually(pod, container, codes.PermissionDenied)

		n.scanned(id)
		n.eventually(pod, container, codes.OK)

		n.scanned(id, log4shell)
		n.eventually(pod, container, codes.PermissionDenied)

		require.NoError(n.t, n.RemoveVerdict(id))
		n.eventually(pod, container, codes.OK)
	})
}

func TestContainerCreatedBeforeAStricterPolicyDoesNotStart(t *testing.T) {
	onEachRuntime(t, observed, func(n *node) {
		id, reference := n.image("risky")
		n.scannedRisky(id)
		pod := n.pod(lab.Pod{Name: "shop"})
		created := n.create(pod, lab.Container{Name: "early", Image: id, Reference: reference})

		n.setPolicies(noCriticals)
		n.eventually(pod, lab.Container{Name: "probe", Image: id}, codes.PermissionDenied)

		require.Contains(n.t, n.refused(n.cri.Start(n.ctx, created)), reference)
	})
}

func TestRepeatsFoldIntoOneEventWithACount(t *testing.T) {
	// Long enough for all repeats to fall into the first interval or the second.
	options := lab.PortcullisdOptions{FoldInterval: 2 * time.Second}
	onEachRuntimeWith(t, noCriticals, options, func(n *node) {
		id, _ := n.image("risky")
		n.scannedRisky(id)
		pod := n.pod(lab.Pod{Name: "shop"})
		const repeats = 20
		for range repeats {
			_, err := n.cri.Create(n.ctx, pod, lab.Container{Name: "web", Image: id})
			require.Equal(n.t, codes.PermissionDenied, status.Code(err))
		}
		var counts []int
		require.Eventually(n.t, func() bool {
			counts = nil
			sum := 0
			for _, entry := range n.recorded("PORTCULLIS_ACTION=block") {
				count, err := strconv.Atoi(entry["PORTCULLIS_COUNT"])
				require.NoError(n.t, err)
				counts = append(counts, count)
				sum += count
			}
			return sum == repeats
		}, patience, 100*time.Millisecond, "%v", counts)
		require.Equal(n.t, 1, counts[0], "the first at once")
		require.Less(n.t, len(counts), repeats/2, "and then few")
	})
}
