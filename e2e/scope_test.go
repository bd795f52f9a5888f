package e2e

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"

	"portcullis/e2e/lab"
)

func TestPolicyAppliesToItsNamespacesOnly(t *testing.T) {
	scope := "{images: {all: true}, namespaces: {select: [shop-*], exclude: [shop-test]}}"
	onEachRuntime(t, within(scope, noCriticals), func(n *node) {
		id, _ := n.image("risky")
		n.scannedRisky(id)
		container := lab.Container{Name: "web", Image: id}
		inside := n.pod(lab.Pod{Name: "cart", Namespace: "shop-eu"})
		// What the request says of the pod is the client's word only.
		inside.Config.Metadata.Namespace = "default"
		refuses := func() {
			_, err := n.cri.Create(n.ctx, inside, container)
			n.refused(err)
			for _, namespace := range []string{"default", "shop", "shop-test"} {
				n.runs(n.pod(lab.Pod{Name: "cart", Namespace: namespace}), container)
			}
		}
		refuses()
		n.restart()
		refuses()
	})
}

func TestUnscannedImageIsBlockedWhereAPolicySaysSo(t *testing.T) {
	onEachRuntime(t, noCriticals+"  unscanned: Block\n", func(n *node) {
		id, reference := n.image("unscanned")
		pod := n.pod(lab.Pod{Name: "shop"})
		container := lab.Container{Name: "web", Image: id, Reference: reference}

		_, err := n.cri.Create(n.ctx, pod, container)

		text := n.refused(err)
		for _, words := range []string{reference, `policy "no criticals"`, "vulnerabilities", "Have the image scanned", "exemption"} {
			require.Contains(n.t, text, words)
		}
		n.scanned(id)
		n.eventually(pod, container, codes.OK)

		require.NotEmpty(n.t, n.events("PORTCULLIS_REASON=unscanned", "PORTCULLIS_ACTION=block", "PORTCULLIS_IMAGE_ID="+id))
	})
}

func TestUnscannedImageIsNotBlockedWhileObserving(t *testing.T) {
	onEachRuntime(t, observed+"  unscanned: Block\n", func(n *node) {
		id, _ := n.image("unscanned")
		n.runs(n.pod(lab.Pod{Name: "shop"}), lab.Container{Name: "web", Image: id})

		alerts := n.events("PORTCULLIS_ACTION=alert", "PORTCULLIS_REASON=unscanned")
		require.Len(n.t, alerts, 1)
		require.True(n.t, strings.Contains(alerts[0]["MESSAGE"], "watch criticals"), alerts[0]["MESSAGE"])
	})
}
