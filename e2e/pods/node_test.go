package pods

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	core "k8s.io/api/core/v1"
	runtime "k8s.io/cri-api/pkg/apis/runtime/v1"

	"portcullis/e2e/lab"
	"portcullis/scanner-client/verdict"
)

// patience bounds every wait. The kubelet tries a refused container again after 10 to 15 s, and deletes
// what is left of pods once a minute.
const patience = 2 * time.Minute

// node is a machine of a cluster, but for the cluster.
type node struct {
	t           *testing.T
	ctx         context.Context
	containerd  *lab.Containerd
	portcullisd *lab.Portcullisd
	kubelet     *lab.Kubelet
	direct      *lab.CRI // the runtime, past portcullisd
}

// nodes counts them, for their names.
var nodes atomic.Uint32

// newNode starts everything, in the order in which a machine does.
func newNode(t *testing.T, policies ...string) *node {
	return newNodeWith(t, lab.PortcullisdOptions{}, policies...)
}

func newNodeWith(t *testing.T, options lab.PortcullisdOptions, policies ...string) *node {
	n, number := newRuntime(t)
	var err error
	options.Kubelet = n.kubelet
	n.portcullisd, err = lab.NewPortcullisd(fmt.Sprintf("node-%d", number), n.containerd.Socket, options)
	require.NoError(t, err)
	n.setPolicies(policies...)
	require.NoError(t, n.portcullisd.Start())
	t.Cleanup(func() {
		n.logs("portcullisd", n.portcullisd.Log())
		require.NoError(t, n.portcullisd.Stop())
	})
	require.NoError(t, n.kubelet.Start(n.portcullisd.Socket))
	t.Cleanup(func() {
		n.logs("the kubelet", n.kubelet.Log())
		require.NoError(t, n.kubelet.Stop())
	})
	return n
}

// newRuntime starts a containerd alone, beside a kubelet that does not run yet, and returns the number of
// the node.
func newRuntime(t *testing.T) (n *node, number uint32) {
	if world == nil {
		t.Skip("these tests start a kubelet and a container runtime and need root")
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	t.Cleanup(cancel)
	n = &node{t: t, ctx: ctx}
	number = nodes.Add(1)
	flavours := lab.Containerds()
	var err error
	n.containerd, err = lab.StartContainerd(fmt.Sprintf("containerd-%d", number), flavours[len(flavours)-1], world.sandbox)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, n.containerd.Stop()) })
	n.direct, err = lab.Dial(n.containerd.Socket)
	require.NoError(t, err)
	t.Cleanup(n.removePods)
	n.kubelet, err = lab.NewKubelet(fmt.Sprintf("kubelet-%d", number))
	require.NoError(t, err)
	return n, number
}

func (n *node) logs(name, text string) {
	if n.t.Failed() {
		n.t.Logf("log of %s:\n%s", name, text)
	}
}

func (n *node) removePods() {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	require.NoError(n.t, n.direct.RemovePods(ctx))
	require.NoError(n.t, n.direct.Close())
}

func (n *node) setPolicies(policies ...string) {
	require.NoError(n.t, n.portcullisd.WritePolicies("policies.yaml", strings.Join(policies, "")))
}

// changePolicies waits until the daemon has them.
func (n *node) changePolicies(policies ...string) {
	const reloads = `portcullis_bundle_reloads_total{result="success"}`
	before := n.metric(reloads)
	n.setPolicies(policies...)
	n.eventually(func() error {
		if n.metric(reloads) == before {
			return errors.New("the policies are not in force")
		}
		return nil
	})
}

// image puts an image that only this test has into the registry; its payload does what arguments say.
func (n *node) image(name string, arguments ...string) image {
	made, err := world.push(n.kubelet.NodeName+"/"+name+":v1", n.kubelet.NodeName+" "+name, arguments...)
	require.NoError(n.t, err)
	return made
}

// riskyImage is an image with a critical vulnerability, which the daemon knows of.
func (n *node) riskyImage(name string, arguments ...string) image {
	made := n.image(name, arguments...)
	files := n.metric("portcullis_verdict_files")
	require.NoError(n.t, n.portcullisd.WriteVerdict(&verdict.Verdict{
		ImageID:   made.id,
		Scanner:   verdict.Scanner{Name: "lab"},
		ScannedAt: time.Now(),
		Scanned:   verdict.Kinds(),
		Vulnerabilities: []verdict.Vulnerability{{
			ID: "CVE-2021-44228", Severity: verdict.Critical, Package: "log4j-core", Version: "2.14.1", FixedVersion: "2.17.1", Type: "maven",
		}},
	}))
	n.eventually(func() error {
		if known := n.metric("portcullis_verdict_files"); known <= files {
			return fmt.Errorf("%v verdicts are known", known)
		}
		return nil
	})
	return made
}

func (n *node) metric(series string) float64 {
	value, err := n.portcullisd.Metric(series)
	require.NoError(n.t, err)
	return value
}

// eventually calls f until it succeeds.
func (n *node) eventually(f func() error) {
	n.t.Helper()
	var err error
	ctx, cancel := context.WithTimeout(n.ctx, patience)
	defer cancel()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for err = f(); err != nil; err = f() {
		select {
		case <-ctx.Done():
			require.NoError(n.t, err)
		case <-tick.C:
		}
	}
}

// run gives the kubelet a pod.
func (n *node) run(pod *core.Pod) { require.NoError(n.t, n.kubelet.Add(pod)) }

// pod is what the kubelet says of a pod.
func (n *node) pod(name string) (*core.Pod, error) {
	pods, err := n.kubelet.Pods(n.ctx)
	if err != nil {
		return nil, err
	}
	for _, pod := range pods {
		if pod.Name == n.kubelet.Name(name) {
			return &pod, nil
		}
	}
	return nil, fmt.Errorf("the kubelet has no pod %s", name)
}

// awaitReady waits until a pod runs and is ready.
func (n *node) awaitReady(name string) *core.Pod {
	n.t.Helper()
	var pod *core.Pod
	n.eventually(func() (err error) {
		if pod, err = n.pod(name); err != nil {
			return err
		}
		return ready(pod)
	})
	return pod
}

func ready(pod *core.Pod) error {
	for _, condition := range pod.Status.Conditions {
		if condition.Type == core.PodReady && condition.Status == core.ConditionTrue {
			return nil
		}
	}
	return fmt.Errorf("pod %s is not ready: %s %v", pod.Name, pod.Status.Phase, states(pod))
}

// states tells each container's state, as kubectl does.
func states(pod *core.Pod) (told []string) {
	for _, container := range append(pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses...) {
		switch state := container.State; {
		case state.Waiting != nil:
			told = append(told, fmt.Sprintf("%s waiting: %s: %s", container.Name, state.Waiting.Reason, state.Waiting.Message))
		case state.Running != nil:
			told = append(told, container.Name+" running")
		case state.Terminated != nil:
			told = append(told, fmt.Sprintf("%s terminated: %s: %d", container.Name, state.Terminated.Reason, state.Terminated.ExitCode))
		}
	}
	return told
}

// awaitStates waits until the containers of a pod are in these states, init containers first.
func (n *node) awaitStates(name string, want ...string) {
	n.t.Helper()
	n.eventually(func() error {
		pod, err := n.pod(name)
		if err != nil {
			return err
		}
		if seen := states(pod); strings.Join(seen, "\n") != strings.Join(want, "\n") {
			return fmt.Errorf("the containers of %s are:\n%s\nwanted:\n%s", name, strings.Join(seen, "\n"), strings.Join(want, "\n"))
		}
		return nil
	})
}

// containers asks the runtime itself for the containers of an image, in any state.
func (n *node) containers(of image) []*runtime.Container {
	response, err := n.direct.Runtime.ListContainers(n.ctx, &runtime.ListContainersRequest{})
	require.NoError(n.t, err)
	var found []*runtime.Container
	for _, container := range response.GetContainers() {
		if container.GetImageId() == of.id || container.GetImage().GetImage() == of.id {
			found = append(found, container)
		}
	}
	return found
}

// What a container that is refused waits for.
func waitsRisky(container string, image image) string {
	return container + " waiting: CreateContainerError: Portcullis blocked this container (image " + image.reference + `): policy "no criticals": ` +
		"CVE-2021-44228 Critical in log4j-core 2.14.1 (fixed in 2.17.1). " +
		"Use an image without these findings, or ask your security team for an exemption."
}

func waitsPrivileged(container string, image image) string {
	return container + " waiting: CreateContainerError: Portcullis blocked this container (image " + image.reference + `): policy "no privileges": ` +
		"asks for privileged. Start it without privileged (add the single capability or device it needs), or ask your security team for an exemption."
}

// newPod makes a pod that ends fast.
func newPod(name string, containers ...core.Container) *core.Pod {
	var soon int64 = 1
	pod := &core.Pod{Spec: core.PodSpec{Containers: containers, TerminationGracePeriodSeconds: &soon}}
	pod.Name, pod.Namespace = name, "default"
	return pod
}

func container(name string, image image) core.Container {
	return core.Container{Name: name, Image: image.reference}
}

func privileged(container core.Container) core.Container {
	yes := true
	container.SecurityContext = &core.SecurityContext{Privileged: &yes}
	return container
}

// Policies of the tests.
var (
	noCriticals = policy("no criticals", true, "template: RiskyImage\n  risk: {vulnerabilities: {severities: [Critical]}}")
	noPrivilege = policy("no privileges", true, "template: PrivilegedStart\n  privileges: {parameters: [privileged]}")
)

func policy(name string, enabled bool, rules string) string {
	return fmt.Sprintf(`---
apiVersion: portcullis/v1
kind: ImagePolicy
metadata: {name: %s}
spec:
  enabled: %v
  effect: {mode: Immediate}
  scope: {images: {all: true}}
  %s
`, name, enabled, rules)
}

func off(policy string) string { return strings.Replace(policy, "enabled: true", "enabled: false", 1) }
