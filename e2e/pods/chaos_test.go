package pods

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	core "k8s.io/api/core/v1"
	runtime "k8s.io/cri-api/pkg/apis/runtime/v1"

	"portcullis/e2e/lab"
)

// reignTime is how long pods come and go while portcullisd is killed, then containerd, then both.
const reignTime = 40 * time.Second

func TestChaosLetsNothingRiskyRunAndLosesNothing(t *testing.T) {
	for name, options := range map[string]lab.PortcullisdOptions{
		"the daemon's own socket": {},
		"a socket that is held":   {Activated: true},
	} {
		t.Run(name, func(t *testing.T) { underChaos(t, newNodeWith(t, options, noCriticals)) })
	}
}

func underChaos(t *testing.T, n *node) {
	c := &chaos{node: n, clean: n.image("clean", "pause"), risky: n.riskyImage("risky", "leave", "/evidence/ran"), evidence: t.TempDir()}

	c.reign(n.portcullisd)
	c.accountsForEverything()
	n.eventually(c.noShimIsLost) // containerd, killed while it starts a pod, may lose that pod's shim
	c.reign(n.containerd)
	c.reign(n.portcullisd, n.containerd)
	for range 3 {
		c.addRisky()
	}

	for _, name := range c.cleanPods {
		n.awaitReady(name)
	}
	for _, name := range c.riskyPods {
		n.awaitStates(name, waitsRisky("web", c.risky))
	}
	c.accountsForEverything()
	n.neverDown()
	c.nothingRiskyRan()
	t.Logf("%d pods; %d kills; %d looks at the runtime; %d refusals; %d calls of the kubelet failed",
		c.made, c.kills, c.looks, strings.Count(n.portcullisd.Log(), "action=block"), strings.Count(n.kubelet.Log(), "rpc error: code = Unavailable"))

	n.changePolicies(off(noCriticals))
	for _, name := range c.riskyPods {
		n.awaitReady(name)
	}
	require.FileExists(t, filepath.Join(c.evidence, "ran"), "a risky container that runs would not have been noticed")
	for _, name := range append(c.cleanPods, c.riskyPods...) {
		require.NoError(t, n.kubelet.Remove(name))
	}
	n.eventually(c.nothingIsLeft)
	n.neverDown()
}

// chaos is what happens to a node in this test.
type chaos struct {
	*node
	clean, risky image
	evidence     string // folder where a risky container that runs leaves a file

	made, kills, looks   int // pods, killed daemons, answers of the runtime, so far
	cleanPods, riskyPods []string
}

// reign lasts for reignTime.
func (c *chaos) reign(daemons ...daemon) {
	ctx, cancel := context.WithTimeout(c.ctx, reignTime)
	defer cancel()
	var all sync.WaitGroup
	var killed, watched error
	all.Go(func() { killed = c.kill(ctx, daemons) })
	all.Go(func() { watched = c.watch(ctx) })
	c.churn(ctx)
	all.Wait()
	require.NoError(c.t, killed)
	require.NoError(c.t, watched)
}

// churn adds and removes pods.
func (c *chaos) churn(ctx context.Context) {
	tick := time.NewTicker(700 * time.Millisecond)
	defer tick.Stop()
	for every(ctx, tick) {
		switch {
		case len(c.cleanPods) > 8:
			c.cleanPods = c.remove(c.cleanPods)
		case len(c.riskyPods) > 4:
			c.riskyPods = c.remove(c.riskyPods)
		case rand.IntN(3) == 0:
			c.addRisky()
		default:
			c.made++
			name := fmt.Sprintf("clean-%d", c.made)
			c.run(newPod(name, container("web", c.clean), container("log", c.clean)))
			c.cleanPods = append(c.cleanPods, name)
		}
	}
}

func every(ctx context.Context, tick *time.Ticker) bool {
	select {
	case <-ctx.Done():
		return false
	case <-tick.C:
		return true
	}
}

func (c *chaos) addRisky() {
	c.made++
	name := fmt.Sprintf("risky-%d", c.made)
	pod := newPod(name, container("web", c.risky))
	pod.Spec.Volumes = []core.Volume{{Name: "evidence", VolumeSource: core.VolumeSource{HostPath: &core.HostPathVolumeSource{Path: c.evidence}}}}
	pod.Spec.Containers[0].VolumeMounts = []core.VolumeMount{{Name: "evidence", MountPath: "/evidence"}}
	c.run(pod)
	c.riskyPods = append(c.riskyPods, name)
}

// remove takes any pod away.
func (c *chaos) remove(pods []string) []string {
	i := rand.IntN(len(pods))
	require.NoError(c.t, c.kubelet.Remove(pods[i]))
	return slices.Delete(pods, i, i+1)
}

// kill kills daemons and starts them again at once, as systemd would.
func (c *chaos) kill(ctx context.Context, daemons []daemon) error {
	tick := time.NewTicker(3 * time.Second)
	defer tick.Stop()
	for every(ctx, tick) {
		if err := restart(daemons); err != nil {
			return err
		}
		c.kills += len(daemons)
	}
	return nil
}

type daemon interface {
	Kill() error
	Start() error
}

func restart(daemons []daemon) error {
	for _, d := range daemons {
		if err := d.Kill(); err != nil {
			return err
		}
	}
	failed := make([]error, len(daemons))
	var all sync.WaitGroup
	for i, d := range daemons {
		all.Go(func() { failed[i] = d.Start() })
	}
	all.Wait()
	return errors.Join(failed...)
}

// watch looks at the runtime itself, all the time.
func (c *chaos) watch(ctx context.Context) error {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for every(ctx, tick) {
		response, err := c.direct.Runtime.ListContainers(ctx, &runtime.ListContainersRequest{})
		if err != nil {
			continue // containerd is just being killed
		}
		c.looks++
		for _, container := range response.GetContainers() {
			if c.isRisky(container) {
				return fmt.Errorf("the runtime has a risky container: %v", container)
			}
		}
	}
	if c.looks == 0 {
		return errors.New("the runtime never answered")
	}
	return nil
}

func (c *chaos) isRisky(container *runtime.Container) bool {
	return container.GetImageId() == c.risky.id || container.GetImage().GetImage() == c.risky.id ||
		strings.HasPrefix(container.GetLabels()["io.kubernetes.pod.name"], "risky-")
}

func (c *chaos) nothingRiskyRan() {
	require.Empty(c.t, c.containers(c.risky), "the runtime has a risky container")
	left, err := os.ReadDir(c.evidence)
	require.NoError(c.t, err)
	require.Empty(c.t, left, "a risky container ran")
}

// accountsForEverything waits until the runtime runs what the kubelet says that runs, and nothing else.
func (c *chaos) accountsForEverything() {
	c.eventually(func() error {
		pods, err := c.kubelet.Pods(c.ctx)
		if err != nil {
			return err
		}
		var wanted []string
		for _, pod := range pods {
			wanted = append(wanted, "sandbox of "+pod.Name)
			for _, status := range pod.Status.ContainerStatuses {
				if status.State.Running != nil {
					wanted = append(wanted, status.ContainerID)
				}
			}
		}
		running, err := c.runs()
		if err != nil {
			return err
		}
		slices.Sort(wanted)
		slices.Sort(running)
		if !slices.Equal(wanted, running) {
			return fmt.Errorf("the kubelet accounts for\n%s\nthe runtime has\n%s", strings.Join(wanted, "\n"), strings.Join(running, "\n"))
		}
		return nil
	})
}

// runs tells what the runtime runs.
func (c *chaos) runs() (all []string, err error) {
	sandboxes, err := c.direct.Runtime.ListPodSandbox(c.ctx, &runtime.ListPodSandboxRequest{})
	if err != nil {
		return nil, err
	}
	for _, sandbox := range sandboxes.GetItems() {
		if sandbox.GetState() == runtime.PodSandboxState_SANDBOX_READY {
			all = append(all, "sandbox of "+sandbox.GetMetadata().GetName())
		}
	}
	containers, err := c.direct.Runtime.ListContainers(c.ctx, &runtime.ListContainersRequest{})
	if err != nil {
		return nil, err
	}
	for _, container := range containers.GetContainers() {
		if container.GetState() == runtime.ContainerState_CONTAINER_RUNNING {
			all = append(all, "containerd://"+container.GetId())
		}
	}
	return all, nil
}

// noShimIsLost fails while a pod's process lives on that the runtime does not know.
func (c *chaos) noShimIsLost() error {
	sandboxes, err := c.direct.Runtime.ListPodSandbox(c.ctx, &runtime.ListPodSandboxRequest{})
	if err != nil {
		return err
	}
	shims, err := c.containerd.Shims()
	if err != nil {
		return err
	}
	for _, sandbox := range sandboxes.GetItems() {
		shims = slices.DeleteFunc(shims, func(shim string) bool { return strings.Contains(shim, sandbox.GetId()) })
	}
	if len(shims) > 0 {
		return fmt.Errorf("the runtime does not know: %v", shims)
	}
	return nil
}

// nothingIsLeft fails while the runtime has a pod or a container, in whatever state.
func (c *chaos) nothingIsLeft() error {
	sandboxes, err := c.direct.Runtime.ListPodSandbox(c.ctx, &runtime.ListPodSandboxRequest{})
	if err != nil {
		return err
	}
	containers, err := c.direct.Runtime.ListContainers(c.ctx, &runtime.ListContainersRequest{})
	if err != nil {
		return err
	}
	if len(sandboxes.GetItems())+len(containers.GetContainers()) > 0 {
		return fmt.Errorf("left: %v %v", sandboxes.GetItems(), containers.GetContainers())
	}
	return nil
}

// neverDown fails when the kubelet ever took the runtime for broken since it started: it then stops
// looking after pods and tells the cluster that the node is not ready. A single call that fails, as while
// a daemon is just being killed, is not yet that: only 30 s without an answer are.
func (n *node) neverDown() {
	n.t.Helper()
	select {
	case <-n.kubelet.Ended():
		require.Fail(n.t, "the kubelet has ended")
	default:
	}
	for line := range strings.Lines(n.kubelet.Log()) {
		if strings.Contains(line, "may not have completed yet") {
			continue // it has just started and not asked yet
		}
		for _, complaint := range []string{"Skipping pod synchronization", "Container runtime not ready", "Container runtime network not ready"} {
			require.NotContains(n.t, line, complaint)
		}
	}
}
