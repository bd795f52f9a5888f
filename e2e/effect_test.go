package e2e

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"

	"portcullis/e2e/lab"
)

// soon is how far ahead a test puts a moment at which something changes by itself: far enough for the
// daemon to start, and for a few pods before it.
const soon = 5 * time.Second

func TestObservingTurnsToBlockingWhilePodsAreCreated(t *testing.T) {
	onEachRuntime(t, observed, func(n *node) {
		id, _ := n.image("risky")
		n.scannedRisky(id)
		ends := n.observationEndsIn(soon)
		early := n.create(n.pod(lab.Pod{Name: "early"}), lab.Container{Name: "web", Image: id})

		n.allowedUntil(ends, lab.Container{Name: "web", Image: id})

		n.refused(n.cri.Start(n.ctx, early))
		require.Equal(n.t, 1.0, n.metric(reloads), "nobody reloaded the policies")
		for _, alert := range n.events("PORTCULLIS_ACTION=alert") {
			require.True(n.t, eventTime(n.t, alert, "LAST").Before(ends), "%s: %v", ends, alert)
		}
		for _, block := range n.recorded("PORTCULLIS_ACTION=block") {
			require.False(n.t, eventTime(n.t, block, "FIRST").Before(ends), "%s: %v", ends, block)
		}
	})
}

func TestRestartsDoNotMoveTheEndOfObserving(t *testing.T) {
	onEachRuntime(t, observed, func(n *node) {
		id, _ := n.image("risky")
		n.scannedRisky(id)
		ends := n.observationEndsIn(soon)
		container := lab.Container{Name: "web", Image: id}
		early := n.create(n.pod(lab.Pod{Name: "early"}), container)

		n.restart()
		n.allowedUntil(ends, container)
		n.restart()

		pod := n.pod(lab.Pod{Name: "late"})
		_, err := n.cri.Create(n.ctx, pod, container)
		n.refused(err)
		n.refused(n.cri.Start(n.ctx, early))
	})
}

func TestObservationThatEndedWhileTheDaemonWasDownBlocksAtOnce(t *testing.T) {
	onEachRuntime(t, observed, func(n *node) {
		id, _ := n.image("risky")
		n.scannedRisky(id)
		n.observationEndsIn(-time.Second)

		_, err := n.cri.Create(n.ctx, n.pod(lab.Pod{Name: "shop"}), lab.Container{Name: "web", Image: id})

		n.refused(err)
	})
}

func TestExemptionExpiresByItself(t *testing.T) {
	onEachRuntime(t, noCriticals, func(n *node) {
		id, _ := n.image("risky")
		n.scannedRisky(id)
		pod := n.pod(lab.Pod{Name: "shop"})
		container := lab.Container{Name: "web", Image: id}
		_, err := n.cri.Create(n.ctx, pod, container)
		n.refused(err)

		expires := time.Now().Add(soon)
		n.setPolicies(bundle(noCriticals, exempt(id, expires)))
		n.eventually(pod, container, codes.OK)
		early := n.create(pod, container)
		loaded := n.metric(reloads)
		require.Contains(n.t, n.policyStatus(), "until reviewed  in force  ")

		n.allowedUntil(expires, container)

		n.refused(n.cri.Start(n.ctx, early))
		require.Contains(n.t, n.policyStatus(), "until reviewed  expired, has no effect  ")
		require.Equal(n.t, loaded, n.metric(reloads), "nobody reloaded the policies")
	})
}

const reloads = `portcullis_bundle_reloads_total{result="success"}`

// observationEndsIn starts the daemon again as it would be seven days after the policy observed was
// switched on, all but d, and returns when those are over.
func (n *node) observationEndsIn(d time.Duration) time.Time {
	n.t.Helper()
	files := n.metric(verdictFiles)
	require.NoError(n.t, n.Stop())
	ends := time.Now().Add(d)
	require.NoError(n.t, n.WriteState("observations.json", fmt.Sprintf(
		`{"watch criticals": {"since": %q, "template": "RiskyImage", "effect": {"mode": "Observe", "days": 7}}}`,
		ends.Add(-7*24*time.Hour).Format(time.RFC3339Nano))))
	n.startAgain()
	n.knowsVerdicts(files)
	return ends
}

// allowedUntil creates pods with the container until one second after moment: up to moment each must be
// allowed, from then on refused. The one that is asked for before and answered after may be either.
func (n *node) allowedUntil(moment time.Time, container lab.Container) {
	n.t.Helper()
	var allowed, refused int
	for time.Now().Before(moment.Add(time.Second)) {
		pod, err := n.cri.RunPod(n.ctx, lab.Pod{Name: "shop"})
		require.NoError(n.t, err)
		asked := time.Now()
		_, err = n.cri.Create(n.ctx, pod, container)
		switch answered := time.Now(); {
		case answered.Before(moment):
			require.NoError(n.t, err)
			allowed++
		case !asked.Before(moment):
			n.refused(err)
			refused++
		}
		require.NoError(n.t, n.direct.RemovePod(n.ctx, pod.ID))
	}
	require.NotZero(n.t, allowed, "the daemon took too long to start")
	require.NotZero(n.t, refused)
}

// exempt is an exemption of an image.
func exempt(image string, expires time.Time) string {
	return fmt.Sprintf(`---
apiVersion: portcullis/v1
kind: Exemption
metadata: {name: until reviewed}
spec: {reason: a test, author: lab@example.com, expires: %s, images: [%q]}
`, expires.Format(time.RFC3339Nano), image)
}

// policyStatus is what the command line says of the node's policies.
func (n *node) policyStatus() string {
	n.t.Helper()
	output, status, err := lab.Portcullis("policy", "status", n.Policies)
	require.NoError(n.t, err)
	require.Zero(n.t, status)
	return output
}

func eventTime(t *testing.T, event map[string]string, field string) time.Time {
	t.Helper()
	at, err := time.Parse(time.RFC3339Nano, event["PORTCULLIS_"+field])
	require.NoError(t, err)
	return at
}
