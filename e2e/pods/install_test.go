package pods

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"portcullis/e2e/lab"
)

const installState = "/var/lib/portcullis/install.json"

// machine is a node that Portcullis is not on yet, with a pod that runs. It has no systemd: the tests
// start portcullisd, and restart the kubelet.
type machine struct {
	*node
	restart string
	config  []byte // of the kubelet, before anything happened to it
	pod     string // ID of the container that runs
}

func newMachine(t *testing.T) *machine {
	n := newNode(t, noCriticals)
	m := &machine{node: n}
	require.NoError(t, n.kubelet.Stop())
	require.NoError(t, n.kubelet.Start(n.containerd.Socket))
	restart, release, err := n.kubelet.Supervise()
	require.NoError(t, err)
	t.Cleanup(release)
	m.restart = restart
	n.run(newPod("before", container("main", n.image("before", "pause"))))
	m.pod = n.awaitReady("before").Status.ContainerStatuses[0].ContainerID
	m.config = m.kubeletConfig()
	return m
}

func (m *machine) kubeletConfig() []byte {
	config, err := os.ReadFile(m.kubelet.Config())
	require.NoError(m.t, err)
	return config
}

func (m *machine) arguments(command string, more ...string) []string {
	return append([]string{"node", command, "--no-systemd", "--config", m.portcullisd.Config}, more...)
}

func (m *machine) install(more ...string) (string, error) {
	output, _, err := lab.Portcullis(m.arguments("install", append([]string{"--yes", "--restart-command", m.restart}, more...)...)...)
	return output, err
}

func (m *machine) uninstall() string {
	output, _, err := lab.Portcullis(m.arguments("uninstall", "--yes", "--restart-command", m.restart)...)
	require.NoError(m.t, err)
	return output
}

// untouched expects the kubelet on the runtime itself, its files as they were, and the pod still running.
func (m *machine) untouched() {
	m.t.Helper()
	require.Equal(m.t, string(m.config), string(m.kubeletConfig()))
	require.NoFileExists(m.t, installState)
	require.NoFileExists(m.t, m.kubelet.Config()+".portcullis-backup")
	m.stillRuns()
	after := m.image("unjudged", "pause")
	m.run(newPod("unjudged", container("main", after)))
	m.awaitReady("unjudged")
	require.NotContains(m.t, m.portcullisd.Log(), after.id)
}

// stillRuns expects that the pod from before has not noticed anything.
func (m *machine) stillRuns() {
	m.t.Helper()
	status := m.awaitReady("before").Status.ContainerStatuses[0]
	require.Equal(m.t, m.pod, status.ContainerID)
	require.Zero(m.t, status.RestartCount)
}

func TestInstallOnARealKubeletAndOutAgain(t *testing.T) {
	m := newMachine(t)
	written, err := os.Stat(m.kubelet.Config())
	require.NoError(t, err)

	shown, _, err := lab.Portcullis(m.arguments("install", "--dry-run")...)
	require.NoError(t, err)
	require.Contains(t, shown, "-containerRuntimeEndpoint: unix://"+m.containerd.Socket)
	require.Contains(t, shown, "+containerRuntimeEndpoint: unix://"+m.portcullisd.Socket)
	require.Equal(t, string(m.config), string(m.kubeletConfig()), "it only showed")

	output, err := m.install()
	require.NoError(t, err)
	require.Contains(t, output, "Portcullis is in force on this node.")
	require.Equal(t, strings.Replace(string(m.config), m.containerd.Socket, m.portcullisd.Socket, 1), string(m.kubeletConfig()))
	require.NoError(t, m.kubelet.Serves())
	m.stillRuns()
	risky := m.riskyImage("risky", "pause")
	m.run(newPod("risky", container("main", risky)))
	m.awaitStates("risky", waitsRisky("main", risky))
	require.NoError(t, m.kubelet.Remove("risky"))

	output, err = m.install()
	require.NoError(t, err)
	require.Contains(t, output, "Everything is in place already")
	m.isInForce()

	require.Contains(t, m.uninstall(), "Portcullis is out of this node.")
	m.untouched()
	_, status, err := lab.Portcullis(m.arguments("status")...)
	require.NoError(t, err)
	require.Equal(t, 1, status, "nothing is in force")
	now, err := os.Stat(m.kubelet.Config())
	require.NoError(t, err)
	require.Equal(t, written.ModTime(), now.ModTime(), "it is the very file")
}

// isInForce expects that status and doctor see what is there: a kubelet that goes through Portcullis, and
// this test, which talks to the runtime directly.
func (m *machine) isInForce() {
	m.t.Helper()
	shown, status, err := lab.Portcullis(m.arguments("status", "-o", "json")...)
	require.NoError(m.t, err)
	require.Zero(m.t, status, shown)
	var seen struct {
		InForce     bool
		Kubelet     struct{ Connected bool }
		Portcullisd struct{ Policies int }
	}
	require.NoError(m.t, json.Unmarshal([]byte(shown), &seen))
	require.True(m.t, seen.InForce)
	require.True(m.t, seen.Kubelet.Connected)
	require.Equal(m.t, 1, seen.Portcullisd.Policies)

	m.containers(image{}) // a call past Portcullis, whose connection stays
	shown, status, err = lab.Portcullis(m.arguments("doctor")...)
	require.NoError(m.t, err)
	require.Zero(m.t, status, shown)
	require.Contains(m.t, shown, "ok    kubelet's way: through portcullisd (containerRuntimeEndpoint in "+m.kubelet.Config()+")")
	require.Contains(m.t, shown, "ok    kubelet version: v"+lab.KubeletVersion)
	require.Contains(m.t, shown, "ok    runtime: containerd 2.4.2")
	require.Contains(m.t, shown, fmt.Sprintf("warn  past Portcullis: \"exe\" (pid %d) talks to", os.Getpid()))
}

func TestInstallThatLosesTheDaemonIsTakenBack(t *testing.T) {
	m := newMachine(t)
	kill := fmt.Sprintf("kill -9 %d; ", m.portcullisd.PID())

	_, err := m.install("--timeout", "25s", "--restart-command", kill+m.restart)

	require.ErrorContains(t, err, "exit status 1")
	require.ErrorContains(t, err, "the kubelet was not healthy with "+m.portcullisd.Socket)
	require.ErrorContains(t, err, "Everything was taken back")
	require.NoError(t, m.portcullisd.Start())
	require.NoError(t, m.kubelet.Serves())
	m.untouched()
}

func TestInstallThatIsKilledCanBeTakenBack(t *testing.T) {
	m := newMachine(t)
	command, err := lab.StartPortcullis(m.arguments("install", "--yes", "--restart-command", m.restart)...)
	require.NoError(t, err)
	m.eventually(func() error { return phaseIs("switching") })
	require.NoError(t, command.Process.Kill())
	require.Error(t, command.Wait())

	m.uninstall()

	require.NoError(t, m.kubelet.Serves())
	m.untouched()
}

func phaseIs(phase string) error {
	text, err := os.ReadFile(installState)
	if err != nil {
		return err
	}
	var state struct{ Phase string }
	if err := json.Unmarshal(text, &state); err != nil {
		return err
	}
	if state.Phase != phase {
		return errors.New("the phase is " + state.Phase)
	}
	return nil
}
