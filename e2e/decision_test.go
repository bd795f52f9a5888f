package e2e

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"portcullis/e2e/lab"
)

func TestCleanImageRuns(t *testing.T) {
	onEachRuntime(t, noCriticals, func(n *node) {
		id, _ := n.image("clean")
		n.scanned(id)

		n.runs(n.pod(lab.Pod{Name: "shop"}), lab.Container{Name: "web", Image: id})

		require.Empty(t, n.events())
	})
}

func TestUnscannedImageRuns(t *testing.T) {
	onEachRuntime(t, noCriticals, func(n *node) {
		id, _ := n.image("unscanned")
		n.runs(n.pod(lab.Pod{Name: "shop"}), lab.Container{Name: "web", Image: id})
	})
}

func TestRiskyImageIsBlocked(t *testing.T) {
	onEachRuntime(t, noCriticals, func(n *node) {
		id, reference := n.image("risky")
		n.scannedRisky(id)
		pod := n.pod(lab.Pod{Name: "shop", Namespace: "sales"})
		container := lab.Container{Name: "web", Image: id, Reference: reference}

		_, err := n.cri.Create(n.ctx, pod, container)

		text := n.refused(err)
		for _, word := range []string{"no criticals", reference, "CVE-2021-44228", "Critical", "log4j-core", "2.14.1", "2.17.1"} {
			require.Contains(n.t, text, word)
		}
		require.Zero(n.t, n.containers(pod), "the runtime has made a container all the same")
	})
}

func TestObservedImageRunsAndIsAlerted(t *testing.T) {
	onEachRuntime(t, observed, func(n *node) {
		id, reference := n.image("risky")
		n.scannedRisky(id)

		n.runs(n.pod(lab.Pod{Name: "shop"}), lab.Container{Name: "web", Image: id, Reference: reference})

		require.Len(n.t, n.events("PORTCULLIS_ACTION=alert", "PORTCULLIS_POLICY=watch criticals", "PORTCULLIS_IMAGE_ID="+id), 1)
		require.Empty(n.t, n.events("PORTCULLIS_ACTION=block"))
	})
}

func TestPrivilegesAreBlocked(t *testing.T) {
	onEachRuntime(t, noPrivilege, func(n *node) {
		id, _ := n.image("tool")
		pod := n.pod(lab.Pod{Name: "shop", Privileged: true})
		for parameter, container := range map[string]lab.Container{
			"privileged": {Name: "privileged", Privileged: true},
			"SYS_ADMIN":  {Name: "sys-admin", AddCapabilities: []string{"SYS_ADMIN"}},
			"NET_ADMIN":  {Name: "net-admin", AddCapabilities: []string{"NET_RAW", "cap_net_admin"}},
		} {
			container.Image = id
			_, err := n.cri.Create(n.ctx, pod, container)
			require.Contains(n.t, n.refused(err), parameter)
		}
	})
}

func TestSandboxPrivilegesCountForItsContainers(t *testing.T) {
	onEachRuntime(t, noPrivilege, func(n *node) {
		id, _ := n.image("tool")
		pod := n.pod(lab.Pod{Name: "shop", Privileged: true})
		// What the request says of the sandbox is the client's word only.
		pod.Config.Linux.SecurityContext.Privileged = false

		_, err := n.cri.Create(n.ctx, pod, lab.Container{Name: "web", Image: id})

		require.Contains(n.t, n.refused(err), "privileged")
	})
}

func TestRiskyImageVolumeIsBlocked(t *testing.T) {
	onEachRuntime(t, noCriticals, func(n *node) {
		clean, _ := n.image("clean")
		risky, _ := n.image("risky")
		n.scannedRisky(risky)

		_, err := n.cri.Create(n.ctx, n.pod(lab.Pod{Name: "shop"}), lab.Container{Name: "web", Image: clean, ImageVolume: risky})

		require.Contains(n.t, n.refused(err), "CVE-2021-44228")
	})
}

func TestAbbreviatedIDsAreJudgedToo(t *testing.T) {
	onEachRuntime(t, observed, func(n *node) {
		id, _ := n.image("risky")
		n.scannedRisky(id)
		pod := n.pod(lab.Pod{Name: "shop"})
		created := n.create(pod, lab.Container{Name: "early", Image: id})
		n.setPolicies(noCriticals)
		n.eventually(pod, lab.Container{Name: "web", Image: id}, codes.PermissionDenied)

		digits := strings.TrimPrefix(id, "sha256:")
		for _, abbreviated := range []string{digits, digits[:12]} {
			_, err := n.cri.Create(n.ctx, pod, lab.Container{Name: "web", Image: abbreviated})
			n.refused(err)
		}
		n.refused(n.cri.Start(n.ctx, created[:12]))
	})
}

func TestRefusalIsTheSameOnEveryRetry(t *testing.T) {
	onEachRuntime(t, bundle(noCriticals, noPrivilege), func(n *node) {
		id, reference := n.image("risky")
		n.scannedRisky(id)
		pod := n.pod(lab.Pod{Name: "shop"})
		container := lab.Container{Name: "web", Image: id, Reference: reference, Privileged: true}
		texts := map[string]int{}
		for range 5 {
			_, err := n.cri.Create(n.ctx, pod, container)
			texts[n.refused(err)]++
		}
		require.NoError(n.t, n.Stop())
		n.startAgain()
		require.Eventually(n.t, func() bool { // until the verdict files are read again
			_, err := n.cri.Create(n.ctx, pod, container)
			texts[n.refused(err)]++
			return texts[status.Convert(err).Message()] > 1
		}, patience, 20*time.Millisecond)
		require.Len(n.t, texts, 1)
	})
}

func TestImageIsWhatTheTagPointsAt(t *testing.T) {
	onEachRuntime(t, noCriticals, func(n *node) {
		pod := n.pod(lab.Pod{Name: "shop"})
		clean, tag := n.image("moving")
		created := n.create(pod, lab.Container{Name: "before", Image: tag})

		_, err := world.push(n.Node+"/moving:v1", n.Node+" moved", "print", "hello")
		require.NoError(n.t, err)
		risky := n.pull(tag)
		require.NotEqual(n.t, clean, risky)
		n.scannedRisky(risky)

		require.NoError(n.t, n.cri.Start(n.ctx, created), "it runs the image that the tag was, which is clean")
		_, err = n.cri.Create(n.ctx, pod, lab.Container{Name: "after", Image: tag})
		n.refused(err)
	})
}

func TestTagThatMovedDoesNotHideARiskyImage(t *testing.T) {
	onEachRuntime(t, noCriticals, func(n *node) {
		pod := n.pod(lab.Pod{Name: "shop"})
		risky, tag := n.image("moving")
		created := n.create(pod, lab.Container{Name: "before", Image: tag})

		_, err := world.push(n.Node+"/moving:v1", n.Node+" moved", "print", "hello")
		require.NoError(n.t, err)
		require.NotEqual(n.t, risky, n.pull(tag))
		n.scannedRisky(risky)
		n.eventually(pod, lab.Container{Name: "probe", Image: risky}, codes.PermissionDenied)

		n.refused(n.cri.Start(n.ctx, created))
	})
}

func TestEventTellsTheWholeStory(t *testing.T) {
	onEachRuntime(t, bundle(noCriticals, observed, noPrivilege), func(n *node) {
		id, reference := n.image("risky")
		n.scannedRisky(id)
		pod := n.pod(lab.Pod{Name: "shop", Namespace: "sales"})
		_, err := n.cri.Create(n.ctx, pod, lab.Container{Name: "web", Image: id, Reference: reference})
		n.refused(err)
		clean, _ := n.image("clean")
		n.runs(pod, lab.Container{Name: "clean", Image: clean})

		blocked := n.events("PORTCULLIS_ACTION=block")

		require.Len(n.t, blocked, 1)
		require.Empty(n.t, n.events("PORTCULLIS_ACTION=alert"))
		for field, want := range map[string]string{
			"POLICY": "no criticals", "REASON": "policy", "IMAGE": reference, "IMAGE_ID": id, "NAMESPACE": "sales",
			"POD": "shop", "POD_UID": pod.Config.GetMetadata().GetUid(), "CONTAINER": "web", "COUNT": "1",
		} {
			require.Equal(n.t, want, blocked[0]["PORTCULLIS_"+field], field)
		}
		require.NotEmpty(n.t, blocked[0]["PORTCULLIS_REVISION"])
		var findings []json.RawMessage
		require.NoError(n.t, json.Unmarshal([]byte(blocked[0]["PORTCULLIS_FINDINGS"]), &findings))
		require.NotEmpty(n.t, findings)
		require.Contains(n.t, string(findings[0]), "CVE-2021-44228")
	})
}
