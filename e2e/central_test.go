package e2e

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	runtime "k8s.io/cri-api/pkg/apis/runtime/v1"

	portcullisv1 "portcullis/api/portcullis/v1"
	api "portcullis/api/portcullis/v1/portcullisv1connect"
	"portcullis/e2e/lab"
	"portcullis/scanner-client/verdict"
)

// governed is a central and a node that joined it.
type governed struct {
	*node
	central  *lab.Central
	policies api.PolicyServiceClient
	counts   map[portcullisv1.Action]int64 // decisions that the test has seen the node make
}

// onGovernedNode runs test on a node which knows policies from its central only.
func onGovernedNode(t *testing.T, test func(*governed)) {
	needLab(t)
	t.Parallel()
	test(govern(t, startCentral(t, lab.CentralOptions{}), lab.PortcullisdOptions{}))
}

func startCentral(t *testing.T, options lab.CentralOptions) *lab.Central {
	central, err := lab.StartCentralWith(options)
	require.NoError(t, err)
	return stopped(t, central)
}

// stopped stops a central when the test ends.
func stopped(t *testing.T, central *lab.Central) *lab.Central {
	if central.Data != nil {
		t.Cleanup(func() { require.NoError(t, central.Data.Unmount()) })
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("log of portcullis-central:\n%s", central.Log())
		}
		require.NoError(t, central.Stop())
	})
	return central
}

// govern joins a node of the newest runtime to a central.
func govern(t *testing.T, central *lab.Central, options lab.PortcullisdOptions) *governed {
	options.Central, options.FoldInterval = central, time.Second
	containerd := world.containerds[len(world.containerds)-1]
	g := &governed{
		node: newNode(t, containerd, unrelated, options), central: central, counts: map[portcullisv1.Action]int64{},
		policies: api.NewPolicyServiceClient(central.Client, central.URL),
	}
	g.connects()
	return g
}

// unrelated is a policy of the node's own.
var unrelated = policy("no malware", "Immediate", "template: RiskyImage\n  risk: {malware: {}}")

// connects waits until the node is connected.
func (g *governed) connects() {
	g.t.Helper()
	require.Eventually(g.t, func() bool { return g.metric("portcullis_uplink_connected") == 1 }, patience, 20*time.Millisecond)
}

// try creates a container, counts what the node decided, and removes what could be created.
func (g *governed) try(pod *lab.Sandbox, container lab.Container) error {
	g.t.Helper()
	id, err := g.cri.Create(g.ctx, pod, container)
	if err != nil {
		g.refused(err)
		g.counts[portcullisv1.Action_ACTION_BLOCK]++
		return err
	}
	_, removing := g.direct.Runtime.RemoveContainer(g.ctx, &runtime.RemoveContainerRequest{ContainerId: id})
	require.NoError(g.t, removing)
	return nil
}

// becomes waits until creating a container gives code, and logs how long that took.
func (g *governed) becomes(pod *lab.Sandbox, container lab.Container, code codes.Code) {
	g.t.Helper()
	began := time.Now()
	require.Eventually(g.t, func() bool { return status.Code(g.try(pod, container)) == code }, patience, 20*time.Millisecond)
	g.t.Logf("creating a container gave %s after %s", code, time.Since(began).Round(time.Millisecond))
}

func (g *governed) create(document string) {
	g.t.Helper()
	_, err := g.policies.CreatePolicy(g.ctx, &portcullisv1.CreatePolicyRequest{Document: document})
	require.NoError(g.t, err)
}

// upload tells central what a scanner found in an image.
func (g *governed) upload(imageID string, found ...verdict.Vulnerability) {
	g.t.Helper()
	var file bytes.Buffer
	require.NoError(g.t, verdict.Write(&file, &verdict.Verdict{
		ImageID: imageID, Scanner: verdict.Scanner{Name: "lab"}, ScannedAt: time.Now(), Scanned: verdict.Kinds(), Vulnerabilities: found,
	}))
	require.NoError(g.t, g.central.Upload(g.ctx, imageID, file.Bytes()))
}

// arrived returns how many decisions of an action central has of this node.
func (g *governed) arrived(action portcullisv1.Action) (count int64) {
	g.t.Helper()
	events, err := api.NewEventServiceClient(g.central.Client, g.central.URL).ListEvents(g.ctx, &portcullisv1.ListEventsRequest{
		Filter: &portcullisv1.EventFilter{Actions: []portcullisv1.Action{action}, Nodes: []string{g.Node}},
	})
	require.NoError(g.t, err)
	for _, e := range events.GetEvents() {
		count += e.GetCount()
	}
	return count
}

// counted expects that central gets to know of every decision that the test has seen, and of no other.
func (g *governed) counted() {
	g.t.Helper()
	want := g.counts[portcullisv1.Action_ACTION_BLOCK]
	require.Eventually(g.t, func() bool { return g.arrived(portcullisv1.Action_ACTION_BLOCK) >= want }, patience, 50*time.Millisecond)
	require.Eventually(g.t, func() bool { return g.metric("portcullis_spool_records") == 0 }, patience, 20*time.Millisecond)
	require.Equal(g.t, want, g.arrived(portcullisv1.Action_ACTION_BLOCK))
}

func TestAPolicyOfCentralIsInForceOnTheNodeUntilItIsSwitchedOff(t *testing.T) {
	onGovernedNode(t, func(g *governed) {
		id, reference := g.image("risky")
		g.scannedRisky(id)
		pod, container := g.pod(lab.Pod{Name: "shop"}), lab.Container{Name: "web", Image: id, Reference: reference}
		require.NoError(t, g.try(pod, container))

		g.create(noCriticals)
		g.becomes(pod, container, codes.PermissionDenied)
		_, err := g.policies.SetPolicyEnabled(g.ctx, &portcullisv1.SetPolicyEnabledRequest{Name: "no criticals", Enabled: false})
		require.NoError(t, err)
		g.becomes(pod, container, codes.OK)
		g.counted()
		require.Zero(t, g.arrived(portcullisv1.Action_ACTION_ALERT))

		g.create(observed)
		require.Eventually(t, func() bool {
			require.NoError(t, g.try(pod, container))
			return g.arrived(portcullisv1.Action_ACTION_ALERT) > 0
		}, patience, 50*time.Millisecond)
		alerts := g.metric(`portcullis_decisions_total{action="alert",operation="CreateContainer",policy="watch criticals",reason="policy"}`)
		require.Eventually(t, func() bool { return float64(g.arrived(portcullisv1.Action_ACTION_ALERT)) >= alerts }, patience, 50*time.Millisecond)
		require.EqualValues(t, alerts, g.arrived(portcullisv1.Action_ACTION_ALERT))
		g.counted()
	})
}

func TestANodeBlocksWithoutCentralAndNoDecisionIsLost(t *testing.T) {
	onGovernedNode(t, func(g *governed) {
		id, reference := g.image("risky")
		pod, container := g.pod(lab.Pod{Name: "shop"}), lab.Container{Name: "web", Image: id, Reference: reference}
		g.upload(id, log4shell)
		g.create(noCriticals)
		g.becomes(pod, container, codes.PermissionDenied)

		require.NoError(t, g.central.Stop())
		require.Error(t, g.try(pod, container))
		require.NoError(t, g.Stop())
		g.startAgain()
		for range 5 {
			require.Error(t, g.try(pod, container))
		}
		require.NoError(t, g.Kill())
		g.startAgain()
		require.Error(t, g.try(pod, container))

		require.NoError(t, g.central.Start())
		g.counted()
	})
}

func TestAReportUploadedToCentralCountsOnTheNode(t *testing.T) {
	onGovernedNode(t, func(g *governed) {
		g.create(noCriticals)
		id, reference := g.image("risky")
		pod, container := g.pod(lab.Pod{Name: "shop"}), lab.Container{Name: "web", Image: id, Reference: reference}
		require.NoError(t, g.try(pod, container), "nobody knows better yet")

		g.upload(id, log4shell)
		g.becomes(pod, container, codes.PermissionDenied)
		g.upload(id)
		g.becomes(pod, container, codes.OK)
		g.counted()
	})
}

func TestARemovedNodeIsRefusedAndGoesOn(t *testing.T) {
	onGovernedNode(t, func(g *governed) {
		id, reference := g.image("risky")
		pod, container := g.pod(lab.Pod{Name: "shop"}), lab.Container{Name: "web", Image: id, Reference: reference}
		g.scannedRisky(id)
		g.create(noCriticals)
		g.becomes(pod, container, codes.PermissionDenied)

		fleet := api.NewNodeServiceClient(g.central.Client, g.central.URL)
		var known *portcullisv1.Node
		require.Eventually(t, func() bool {
			listed, err := fleet.ListNodes(g.ctx, &portcullisv1.ListNodesRequest{})
			require.NoError(t, err)
			require.Len(t, listed.GetNodes(), 1)
			known = listed.GetNodes()[0]
			return known.GetState() == portcullisv1.NodeState_NODE_STATE_IN_FORCE
		}, patience, 50*time.Millisecond)
		require.Equal(t, g.Node, known.GetName())
		_, err := fleet.RemoveNode(g.ctx, &portcullisv1.RemoveNodeRequest{Id: known.GetId()})
		require.NoError(t, err)

		require.Eventually(t, func() bool { return g.metric("portcullis_uplink_connected") == 0 }, patience, 20*time.Millisecond)
		require.Eventually(t, func() bool { return strings.Contains(g.Log(), "central refuses this node") }, patience, 20*time.Millisecond)
		_, err = g.policies.SetPolicyEnabled(g.ctx, &portcullisv1.SetPolicyEnabledRequest{Name: "no criticals", Enabled: false})
		require.NoError(t, err)
		require.Error(t, g.try(pod, container), "what was in force stays")
	})
}
