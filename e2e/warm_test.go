package e2e

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"portcullis/e2e/lab"
)

func TestVerdictsAreThereAgainAfterARestart(t *testing.T) {
	scanner := newAdapter(t)
	onEachRuntimeWith(t, noCriticals, scanner.options(patience), func(n *node) {
		id, repository := n.unseen("known")
		pod := n.pod(lab.Pod{Name: "shop"})
		container := lab.Container{Name: "web", Image: id}
		_, err := n.cri.Create(n.ctx, pod, container)
		n.refused(err)
		require.NoError(n.t, n.Stop())
		scanner.misbehave(repository, misbehaviour{scan: hangUp})
		_, other := n.unseen("other")

		n.startAgain()
		require.Eventually(n.t, func() bool { return scanner.isReported(other) }, patience, 20*time.Millisecond)
		_, err = n.cri.Create(n.ctx, pod, container)
		require.Contains(n.t, n.refused(err), foundByAdapter)

		require.NoError(n.t, n.Kill()) // what was written by the stop is still there
		n.startAgain()
		_, err = n.cri.Create(n.ctx, pod, container)
		require.Contains(n.t, n.refused(err), foundByAdapter)
		require.Equal(n.t, 1, scanner.scans(repository))
	})
}

func TestDamagedSnapshotIsIgnoredLoudly(t *testing.T) {
	scanner := newAdapter(t)
	onEachRuntimeWith(t, noCriticals, scanner.options(patience), func(n *node) {
		id, repository := n.unseen("known")
		pod := n.pod(lab.Pod{Name: "shop"})
		container := lab.Container{Name: "web", Image: id}
		_, err := n.cri.Create(n.ctx, pod, container)
		n.refused(err)
		require.NoError(n.t, n.Stop())

		snapshot, err := os.ReadFile(n.State("verdicts.snapshot"))
		require.NoError(n.t, err)
		snapshot[len(snapshot)/2] ^= 1
		require.NoError(n.t, n.WriteState("verdicts.snapshot", string(snapshot)))
		n.startAgain()

		n.logs("verdicts kept from before the start cannot be used")
		_, err = n.cri.Create(n.ctx, pod, container)
		require.Contains(n.t, n.refused(err), foundByAdapter)
		require.Equal(n.t, 2, scanner.scans(repository))
	})
}

func TestVerdictsOfOtherSourcesAreNotBelievedAfterARestart(t *testing.T) {
	onEachRuntime(t, noCriticals, func(n *node) {
		id, _ := n.image("moved")
		pod := n.pod(lab.Pod{Name: "shop"})
		container := lab.Container{Name: "web", Image: id}
		n.report("trivy.json", trivyByID(n.held(id), findings["trivy"]))
		n.answers(pod, container, "CVE-2021-44228")
		require.NoError(n.t, n.Stop())

		config, err := os.ReadFile(n.Config)
		require.NoError(n.t, err)
		elsewhere := strings.Replace(string(config), n.Reports, n.State("other-reports"), 1)
		require.NotEqual(n.t, string(config), elsewhere)
		require.NoError(n.t, os.WriteFile(n.Config, []byte(elsewhere), 0o600))
		n.startAgain()

		n.logs("from other sources than those configured now")
		n.answers(pod, container, "")
	})
}

func TestReportThatChangedWhileTheDaemonWasDownIsObeyed(t *testing.T) {
	onEachRuntime(t, onlyScanned, func(n *node) {
		id, _ := n.image("known")
		pod := n.pod(lab.Pod{Name: "shop"})
		container := lab.Container{Name: "web", Image: id}
		n.report("trivy.json", trivyByID(n.held(id)))
		n.answers(pod, container, "")
		require.NoError(n.t, n.Stop())

		n.report("trivy.json", trivyByID(n.held(id), findings["trivy"]))
		n.startAgain()

		n.answers(pod, container, "CVE-2021-44228")
	})
}

func TestImagesOfTheNodeAreLookedUpAtTheStart(t *testing.T) {
	scanner := newAdapter(t)
	onEachRuntimeWith(t, noCriticals, scanner.options(patience), func(n *node) {
		require.NoError(n.t, n.Stop())
		id, repository := n.unseen("present")
		require.Zero(n.t, scanner.scans(repository))

		n.startAgain()

		require.Eventually(n.t, func() bool { return scanner.isReported(repository) }, patience, 20*time.Millisecond)
		_, err := n.cri.Create(n.ctx, n.pod(lab.Pod{Name: "shop"}), lab.Container{Name: "web", Image: id})
		require.Contains(n.t, n.refused(err), foundByAdapter)
		require.Equal(n.t, 1, scanner.scans(repository))
	})
}
