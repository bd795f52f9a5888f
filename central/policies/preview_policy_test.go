package policies_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	portcullisv1 "portcullis/api/portcullis/v1"
	"portcullis/central/policies"
	"portcullis/policy"
	"portcullis/scanner-client/verdict"
)

func imageID(n int) string { return fmt.Sprintf("sha256:%064x", n) }

// image is numbered n, called name, and has the severities, nil when it was not scanned.
func image(n int, name string, severities ...verdict.Severity) policies.PresentImage {
	i := policies.PresentImage{Image: policy.Image{ID: imageID(n), Tags: []string{"registry.example.com/" + name + ":1"}}}
	if severities == nil {
		return i
	}
	i.Verdict = &verdict.Verdict{ImageID: i.Image.ID, Scanned: []verdict.Kind{verdict.KindVulnerabilities}}
	for k, severity := range severities {
		i.Verdict.Vulnerabilities = append(i.Verdict.Vulnerabilities, verdict.Vulnerability{ID: fmt.Sprintf("CVE-2021-%04d", k), Severity: severity, Package: "openssl", Version: "1"})
	}
	return i
}

func (w *world) place(i policies.PresentImage, nodes ...string) {
	for _, node := range nodes {
		name, cluster, _ := strings.Cut(node, "@")
		i.Nodes = append(i.Nodes, policies.Node{Name: name, Cluster: cluster})
	}
	w.known[i.Image.ID] = i
	if nodes != nil {
		w.present = append(w.present, i)
	}
}

func (w *world) started(n int, namespace string, count int64, asks ...string) {
	s := policies.Start{
		Container: policy.Container{Namespace: namespace, Pod: fmt.Sprintf("pod-%d", n), Name: "c", Image: policy.Image{ID: imageID(n), Requested: "asked"}},
		Node:      "node-a", Count: count, Last: noon.Add(-time.Hour),
	}
	for _, ask := range asks {
		s.Container.Asks = append(s.Container.Asks, policy.Ask{Parameter: ask})
	}
	w.starts = append(w.starts, s)
}

func (f *fixture) preview(document string) *portcullisv1.PreviewPolicyResponse {
	f.t.Helper()
	response, err := f.PreviewPolicy(ctx, &portcullisv1.PreviewPolicyRequest{Document: document})
	require.NoError(f.t, err)
	return response
}

func ids(r *portcullisv1.PreviewPolicyResponse) (images []string) {
	for _, i := range r.GetImages() {
		images = append(images, i.GetImageId())
	}
	return images
}

func pods(r *portcullisv1.PreviewPolicyResponse) (pods []string) {
	for _, s := range r.GetStarts() {
		pods = append(pods, s.GetPod())
	}
	return pods
}

func TestADraftIsJudgedAsIfItBlockedAtOnceHoweverItIsWritten(t *testing.T) {
	f := once(t)
	f.world.place(image(1, "bad", verdict.Critical, verdict.Critical), "node-a", "node-b")
	f.world.place(image(2, "worse", verdict.Critical), "node-a", "node-b", "node-c")
	f.world.place(image(3, "good", verdict.Low), "node-d")
	f.world.place(image(4, "unscanned"), "node-d")
	f.world.place(image(5, "gone", verdict.Critical))
	f.world.started(1, "shop", 3)
	f.world.started(3, "shop", 100)
	f.world.started(5, "shop", 7)
	f.world.starts = append(f.world.starts, f.world.starts[0])
	f.world.starts[3].Last = noon.Add(-8 * 24 * time.Hour)
	for _, draft := range []string{risky("d"), observing("d", 300), risky("d", "enabled: false", "effect: {mode: Observe, days: 1}")} {
		r := f.preview(draft)
		require.Equal(t, []string{imageID(2), imageID(1)}, ids(r))
		require.Equal(t, []int64{2, 3, 1}, []int64{r.GetImagesTotal(), r.GetNodesTotal(), r.GetUnscannedTotal()})
		first := r.GetImages()[0]
		require.Equal(t, []string{"node-a", "node-b", "node-c"}, first.GetNodes())
		require.Equal(t, []string{"registry.example.com/worse:1"}, first.GetNames())
		require.Contains(t, first.GetBecause(), `policy "d": CVE-2021-0000 Critical in openssl 1`)
		require.Equal(t, []string{"pod-5", "pod-1"}, pods(r))
		require.EqualValues(t, 10, r.GetStartsTotal())
		require.Equal(t, []any{"shop", "asked", "node-a", noon.Add(-time.Hour)}, []any{r.GetStarts()[0].GetNamespace(), r.GetStarts()[0].GetImage(), r.GetStarts()[0].GetNode(), r.GetStarts()[0].GetLastTime().AsTime()})
		require.False(t, r.GetIncomplete())
		require.Equal(t, portcullisv1.Action_ACTION_BLOCK, first.GetAction())
		require.Equal(t, portcullisv1.Action_ACTION_BLOCK, r.GetStarts()[0].GetAction())
		require.Zero(t, r.GetAlertedImagesTotal()+r.GetAlertedStartsTotal())
	}
	for days, draft := range map[int32]string{0: risky("d"), 300: observing("d", 300)} {
		require.Equal(t, days, f.preview(draft).GetObservationDays())
	}
	require.Zero(t, f.number(), "a preview changed something")
}

func TestExemptionsInForceCountInAPreview(t *testing.T) {
	f := once(t)
	f.create(risky("d"))
	f.except(exemption("of one", "findings: [CVE-2021-0000], policies: [d]"))
	f.except(exemption("by name", "images: [registry.example.com/named]"))
	f.world.place(image(1, "one", verdict.Critical), "a")
	f.world.place(image(2, "two", verdict.Critical, verdict.Critical), "a")
	f.world.place(image(3, "named", verdict.Critical), "a")
	f.world.started(1, "shop", 1)
	f.world.started(2, "shop", 1)
	f.world.started(3, "shop", 1)
	r := f.preview(risky("d"))
	require.Equal(t, []string{imageID(2)}, ids(r))
	require.Equal(t, []string{"pod-2"}, pods(r))
	require.Equal(t, []string{imageID(1), imageID(2)}, ids(f.preview(risky("another"))))
	f.world.Add(7*24*time.Hour + 12*time.Hour)
	require.Len(t, ids(f.preview(risky("d"))), 3, "the exemptions have expired")
}

func TestNamespacesCountForStartsOnlyAndClustersForBoth(t *testing.T) {
	f := once(t)
	f.world.place(image(1, "app", verdict.Critical), "a@prod", "b@test", "c")
	f.world.started(1, "shop", 1)
	f.world.started(1, "kube-system", 1)
	f.world.starts[0].Container.Cluster, f.world.starts[1].Container.Cluster = "prod", "prod"
	scoped := func(scope string) string {
		return strings.Replace(risky("d"), "scope: {images: {all: true}}", "scope: {images: {all: true}, "+scope+"}", 1)
	}
	r := f.preview(scoped("namespaces: {exclude: [kube-system]}"))
	require.EqualValues(t, []int64{1, 3, 1}, []int64{r.GetImagesTotal(), r.GetNodesTotal(), r.GetStartsTotal()})
	r = f.preview(scoped("clusters: {select: [prod]}"))
	require.Equal(t, []string{"a"}, r.GetImages()[0].GetNodes())
	require.EqualValues(t, []int64{1, 2}, []int64{r.GetNodesTotal(), r.GetStartsTotal()})
	r = f.preview(scoped("clusters: {select: [none]}"))
	require.Zero(t, r.GetImagesTotal()+r.GetStartsTotal()+r.GetUnscannedTotal())
}

func TestADraftAboutPrivilegesIsJudgedByWhatStartsAskedFor(t *testing.T) {
	f := once(t)
	f.world.place(image(1, "app", verdict.Critical), "a")
	f.world.started(1, "shop", 1)
	f.world.started(1, "infra", 2, "privileged")
	r := f.preview(privileged("d"))
	require.Zero(t, r.GetImagesTotal()+r.GetUnscannedTotal())
	require.EqualValues(t, 2, r.GetStartsTotal())
	require.Contains(t, r.GetStarts()[0].GetBecause(), "asks for privileged")
}

func TestStartsOfOneWorkloadAreListedAsOneWithTheLastPod(t *testing.T) {
	f := once(t)
	f.world.place(image(1, "app", verdict.Critical))
	f.world.place(image(2, "other", verdict.Critical))
	f.world.started(1, "shop", 1)
	f.world.started(1, "shop", 2)
	f.world.started(1, "infra", 4)
	f.world.started(2, "shop", 8)
	f.world.starts[1].Container.Pod, f.world.starts[1].Node, f.world.starts[1].Last = "pod-9", "node-b", noon
	r := f.preview(risky("d"))
	require.Equal(t, []string{"pod-2", "pod-1", "pod-9"}, pods(r))
	require.EqualValues(t, 15, r.GetStartsTotal())
	last := r.GetStarts()[2]
	require.Equal(t, []any{int64(3), "node-b", noon}, []any{last.GetCount(), last.GetNode(), last.GetLastTime().AsTime()})
}

func TestAnImageThatNoNodeHasAnyMoreIsSelectedByTheNameThatWasAskedFor(t *testing.T) {
	f := once(t)
	f.world.started(1, "shop", 1, "privileged")
	f.world.starts[0].Container.Image.Requested = "registry.example.com/infra/cni:2"
	selecting := func(pattern string) string {
		return strings.Replace(privileged("d"), "images: {all: true}", `images: {select: ["`+pattern+`"]}`, 1)
	}
	require.EqualValues(t, 1, f.preview(selecting("registry.example.com/infra/*")).GetStartsTotal())
	require.Zero(t, f.preview(selecting("registry.example.com/shop/*")).GetStartsTotal())
}

func TestUnscannedIsWhatTheDraftLooksForAndNobodyLookedFor(t *testing.T) {
	f := once(t)
	f.world.place(image(1, "scanned", verdict.Low), "a@prod", "b@test")
	f.world.place(image(2, "not"), "a@prod", "b@test")
	malware := strings.Replace(risky("d"), "risk: {vulnerabilities: {severities: [Critical]}}", "risk: {malware: {}}", 1)
	require.EqualValues(t, 1, f.preview(risky("d")).GetUnscannedTotal())
	require.EqualValues(t, 2, f.preview(malware).GetUnscannedTotal())
	require.EqualValues(t, 1, f.preview(strings.Replace(malware, "all: true", "select: [registry.example.com/not]", 1)).GetUnscannedTotal())
	r := f.preview(risky("d", "enabled: true", "effect: {mode: Immediate}", "unscanned: Block"))
	require.Equal(t, []string{imageID(2)}, ids(r))
	require.Contains(t, r.GetImages()[0].GetBecause(), "not scanned for vulnerabilities")
}

func TestWhatADraftWouldOnlyAlertOfIsToldAfterWhatItWouldBlock(t *testing.T) {
	f := once(t)
	f.world.place(image(1, "bad", verdict.Critical), "a")
	f.world.place(image(2, "unscanned"), "a", "b", "c")
	f.world.place(image(3, "good", verdict.Low), "a")
	f.world.started(1, "shop", 1)
	f.world.started(2, "shop", 20)
	f.world.started(3, "shop", 300)
	r := f.preview(risky("d", "enabled: true", "effect: {mode: Immediate}", "unscanned: Alert"))
	require.Equal(t, []string{imageID(1), imageID(2)}, ids(r))
	require.Equal(t, []string{"pod-1", "pod-2"}, pods(r))
	require.Equal(t, []int64{1, 1, 1, 1}, []int64{r.GetImagesTotal(), r.GetNodesTotal(), r.GetStartsTotal(), r.GetAlertedImagesTotal()})
	require.EqualValues(t, 20, r.GetAlertedStartsTotal())
	alerted := []portcullisv1.Action{r.GetImages()[1].GetAction(), r.GetStarts()[1].GetAction()}
	require.Equal(t, []portcullisv1.Action{portcullisv1.Action_ACTION_ALERT, portcullisv1.Action_ACTION_ALERT}, alerted)
	require.Contains(t, r.GetImages()[1].GetBecause(), "not scanned for vulnerabilities")
	require.Equal(t, []string{"a", "b", "c"}, r.GetImages()[1].GetNodes())
}

func TestAPreviewOfVeryMuchTellsTheMostAndThatThereIsMore(t *testing.T) {
	f := once(t)
	for n := range 10_001 {
		nodes := []string{"a"}
		for k := range n % 600 / 5 {
			nodes = append(nodes, fmt.Sprintf("node-%03d", k))
		}
		f.world.place(image(n, "app", verdict.Critical), nodes...)
	}
	for n := range 100_001 {
		f.world.started(n/20, fmt.Sprint("shop-", n%20), int64(n%1000+1))
	}
	r := f.preview(risky("d"))
	require.True(t, r.GetIncomplete())
	require.EqualValues(t, 10_000, r.GetImagesTotal())
	require.EqualValues(t, 120, r.GetNodesTotal())
	require.Len(t, r.GetImages(), 500)
	require.EqualValues(t, 120, r.GetImages()[0].GetNodesTotal())
	require.Len(t, r.GetImages()[0].GetNodes(), 50)
	require.Len(t, r.GetStarts(), 500)
	require.EqualValues(t, 1000, r.GetStarts()[0].GetCount())
	require.EqualValues(t, 100*500_500, r.GetStartsTotal())
}
