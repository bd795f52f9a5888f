package e2e

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	runtime "k8s.io/cri-api/pkg/apis/runtime/v1"

	"portcullis/e2e/lab"
	"portcullis/event"
	"portcullis/scanner-client/verdict"
)

// patience bounds every wait for something that takes well below a second on a quiet machine.
const patience = 30 * time.Second

// node is a container runtime with a portcullisd before it, and clients of both.
type node struct {
	*lab.Portcullisd
	t          *testing.T
	ctx        context.Context
	containerd *lab.Containerd
	cri        *lab.CRI // through portcullisd
	direct     *lab.CRI // past it
}

// onEachRuntime runs test on a node of each runtime, with policies in force.
func onEachRuntime(t *testing.T, policies string, test func(*node)) {
	onEachRuntimeWith(t, policies, lab.PortcullisdOptions{}, test)
}

func onEachRuntimeWith(t *testing.T, policies string, options lab.PortcullisdOptions, test func(*node)) {
	needLab(t)
	t.Parallel()
	for _, containerd := range world.containerds {
		t.Run(containerd.Flavour.Name, func(t *testing.T) {
			t.Parallel()
			test(newNode(t, containerd, policies, options))
		})
	}
}

func needLab(t *testing.T) {
	t.Helper()
	if world == nil {
		t.Skip("the end-to-end tests start container runtimes and need root")
	}
}

// nodes counts them, for their names.
var nodes atomic.Uint32

func newNode(t *testing.T, containerd *lab.Containerd, policies string, options lab.PortcullisdOptions) *node {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	t.Cleanup(cancel)
	daemon, err := lab.NewPortcullisd(fmt.Sprintf("node-%d", nodes.Add(1)), containerd.Socket, options)
	require.NoError(t, err)
	n := &node{Portcullisd: daemon, t: t, ctx: ctx, containerd: containerd}
	n.cri, n.direct = n.dial(n.Socket), n.dial(containerd.Socket)
	n.setPolicies(policies)
	require.NoError(t, n.Start())
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("log of portcullisd:\n%s", n.Log())
		}
		require.NoError(t, n.Stop())
	})
	return n
}

// startAgain starts the daemon after it has ended, and waits until the client has noticed both.
func (n *node) startAgain() {
	n.t.Helper()
	require.NoError(n.t, n.Start())
	require.Eventually(n.t, func() bool {
		_, err := n.cri.Runtime.Version(n.ctx, &runtime.VersionRequest{})
		return err == nil
	}, patience, 20*time.Millisecond)
}

// restart ends the daemon and starts it again, and waits until it has read the verdicts.
func (n *node) restart() {
	n.t.Helper()
	files := n.metric(verdictFiles)
	require.NoError(n.t, n.Stop())
	n.startAgain()
	n.knowsVerdicts(files)
}

func (n *node) dial(socket string) *lab.CRI {
	cri, err := lab.Dial(socket)
	require.NoError(n.t, err)
	n.t.Cleanup(func() { require.NoError(n.t, cri.Close()) })
	return cri
}

func (n *node) setPolicies(documents string) {
	require.NoError(n.t, n.WritePolicies("policies.yaml", documents))
}

// image makes an image that only this test has, which prints "hello", and has the runtime pull it.
func (n *node) image(name string) (id, reference string) {
	label := n.Node + " " + name
	reference, err := world.push(n.Node+"/"+name+":v1", label, "print", "hello")
	require.NoError(n.t, err)
	return n.pull(reference), reference
}

func (n *node) pull(reference string) (id string) {
	id, err := n.cri.Pull(n.ctx, reference)
	require.NoError(n.t, err)
	return id
}

// pod runs a pod until the test ends.
func (n *node) pod(pod lab.Pod) *lab.Sandbox {
	sandbox, err := n.cri.RunPod(n.ctx, pod)
	require.NoError(n.t, err)
	n.t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		require.NoError(n.t, n.direct.RemovePod(ctx, sandbox.ID))
	})
	return sandbox
}

// create creates a container that must be allowed.
func (n *node) create(sandbox *lab.Sandbox, container lab.Container) (id string) {
	id, err := n.cri.Create(n.ctx, sandbox, container)
	require.NoError(n.t, err)
	return id
}

// runs expects that a container of the pod is allowed, and prints what image says.
func (n *node) runs(sandbox *lab.Sandbox, container lab.Container) {
	n.t.Helper()
	output, err := n.cri.Run(n.ctx, sandbox, container)
	require.NoError(n.t, err)
	require.Equal(n.t, "hello\n", output)
}

// refused expects a refusal by policy, and returns its text.
func (n *node) refused(err error) string {
	n.t.Helper()
	require.Equal(n.t, codes.PermissionDenied, status.Code(err), "%v", err)
	return status.Convert(err).Message()
}

// eventually waits until creating a container gives code, and removes what could be created.
func (n *node) eventually(sandbox *lab.Sandbox, container lab.Container, code codes.Code) {
	n.t.Helper()
	require.Eventually(n.t, func() bool {
		id, err := n.cri.Create(n.ctx, sandbox, container)
		if err == nil {
			_, err := n.direct.Runtime.RemoveContainer(n.ctx, &runtime.RemoveContainerRequest{ContainerId: id})
			require.NoError(n.t, err)
		}
		return status.Code(err) == code
	}, patience, 20*time.Millisecond)
}

// events returns the events of this node that have all of matches. It ends the daemon, which then has
// written them all.
func (n *node) events(matches ...string) []map[string]string {
	n.t.Helper()
	require.NoError(n.t, n.Stop())
	return n.recorded(matches...)
}

// recorded returns the events of this node that the journal has now.
func (n *node) recorded(matches ...string) []map[string]string {
	n.t.Helper()
	matches = append([]string{"MESSAGE_ID=" + event.MessageID, "PORTCULLIS_NODE=" + n.Node}, matches...)
	entries, err := world.journal.Entries(matches...)
	require.NoError(n.t, err)
	return entries
}

// metric returns a series of the daemon.
func (n *node) metric(series string) float64 {
	n.t.Helper()
	value, err := n.Metric(series)
	require.NoError(n.t, err)
	return value
}

// scanned tells the daemon what a scanner found in an image.
func (n *node) scanned(imageID string, found ...verdict.Vulnerability) {
	require.NoError(n.t, n.WriteVerdict(&verdict.Verdict{
		ImageID:         imageID,
		Scanner:         verdict.Scanner{Name: "lab"},
		ScannedAt:       time.Now(),
		Scanned:         verdict.Kinds(),
		Vulnerabilities: found,
	}))
}

// scannedRisky tells the daemon that an image has a critical vulnerability, and waits until it knows.
func (n *node) scannedRisky(imageID string) {
	files := n.metric(verdictFiles)
	n.scanned(imageID, log4shell)
	n.knowsVerdicts(files + 1)
}

// knowsVerdicts waits until the daemon has found so many verdict files.
func (n *node) knowsVerdicts(files float64) {
	n.t.Helper()
	require.Eventually(n.t, func() bool { return n.metric(verdictFiles) >= files }, patience, 20*time.Millisecond)
}

const verdictFiles = "portcullis_verdict_files"

var log4shell = verdict.Vulnerability{
	ID: "CVE-2021-44228", Severity: verdict.Critical, Package: "log4j-core", Version: "2.14.1", FixedVersion: "2.17.1", Type: "maven",
}

// Policies of the tests.
var (
	noCriticals = policy("no criticals", "Immediate", "template: RiskyImage\n  risk: {vulnerabilities: {severities: [Critical]}}")
	observed    = policy("watch criticals", "Observe, days: 7", "template: RiskyImage\n  risk: {vulnerabilities: {severities: [Critical]}}")
	noPrivilege = policy("no privileges", "Immediate", "template: PrivilegedStart\n  privileges: {parameters: [privileged, SYS_ADMIN, NET_ADMIN]}")
)

func policy(name, effect, rules string) string {
	return fmt.Sprintf(`---
apiVersion: portcullis/v1
kind: ImagePolicy
metadata: {name: %s}
spec:
  enabled: true
  effect: {mode: %s}
  scope: %s
  %s
`, name, effect, everywhere, rules)
}

const everywhere = "{images: {all: true}}"

// within gives a policy another scope.
func within(scope, policy string) string { return strings.Replace(policy, everywhere, scope, 1) }

func bundle(policies ...string) string { return strings.Join(policies, "") }
