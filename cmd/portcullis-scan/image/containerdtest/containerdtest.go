// Package containerdtest answers: how does a test get a real containerd with an image store of its own?
package containerdtest

import (
	"crypto/sha256"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// Their CRI is switched off: only the stores are needed.
const (
	config16 = `
version = 2
root = "{dir}/root"
state = "{dir}/state"
disabled_plugins = ["io.containerd.grpc.v1.cri"]
[grpc]
address = "{dir}/containerd.sock"
[plugins."io.containerd.internal.v1.opt"]
path = "{dir}/opt"
`
	config24 = `
version = 3
root = '{dir}/root'
state = '{dir}/state'
disabled_plugins = ['io.containerd.grpc.v1.cri', 'io.containerd.cri.v1.images', 'io.containerd.cri.v1.runtime', 'io.containerd.nri.v1.nri']
[grpc]
address = '{dir}/containerd.sock'
[plugins.'io.containerd.internal.v1.opt']
path = '{dir}/opt'
`
)

// Containerd is a running containerd.
type Containerd struct {
	Socket string
	t      testing.TB
}

// Each runs a test on the containerd of Debian and on the newest, which make tools builds.
func Each(t *testing.T, test func(*testing.T, Containerd)) {
	for name, c := range map[string]struct{ program, config string }{
		"1.6": {"containerd", config16},
		"2.4": {newest(), config24},
	} {
		t.Run(name, func(t *testing.T) {
			program, err := exec.LookPath(c.program)
			require.NoError(t, err, "apt-get install containerd; make tools")
			test(t, start(t, program, c.config))
		})
	}
}

// newest looks upwards from the test's folder for what make tools has built.
func newest() string {
	dir := "."
	for range 6 {
		file, _ := filepath.Abs(filepath.Join(dir, ".tools", "containerd-2.4.2", "containerd"))
		if _, err := os.Stat(file); err == nil {
			return file
		}
		dir = filepath.Join(dir, "..")
	}
	return "containerd-2.4.2"
}

// start starts a containerd and ends it with the test.
func start(t *testing.T, program, config string) Containerd {
	t.Helper()
	dir, err := os.MkdirTemp("", "containerd-") // the path of a socket may have 107 bytes
	require.NoError(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	file := filepath.Join(dir, "config.toml")
	require.NoError(t, os.WriteFile(file, []byte(strings.ReplaceAll(config, "{dir}", dir)), 0o600))
	var output strings.Builder
	command := exec.Command(program, "-c", file)
	command.Stdout, command.Stderr = &output, &output
	command.SysProcAttr = &unix.SysProcAttr{Pdeathsig: unix.SIGKILL}
	require.NoError(t, command.Start())
	t.Cleanup(func() {
		_ = command.Process.Signal(unix.SIGTERM)
		_ = command.Wait()
		if t.Failed() {
			t.Logf("containerd: %s", output.String())
		}
	})
	c := Containerd{Socket: filepath.Join(dir, "containerd.sock"), t: t}
	require.Eventually(t, func() bool { return c.command("version").Run() == nil }, 30*time.Second, 50*time.Millisecond)
	return c
}

func (c Containerd) command(arguments ...string) *exec.Cmd {
	return exec.Command("ctr", append([]string{"--address", c.Socket, "--namespace", "k8s.io"}, arguments...)...)
}

// For is the same containerd for a test within the test.
func (c Containerd) For(t testing.TB) Containerd { return Containerd{Socket: c.Socket, t: t} }

// Ctr runs ctr in the kubelet's namespace and returns what it says.
func (c Containerd) Ctr(arguments ...string) string {
	c.t.Helper()
	output, err := c.command(arguments...).CombinedOutput()
	require.NoError(c.t, err, "ctr %v: %s", arguments, output)
	return strings.TrimSpace(string(output))
}

// Mount unpacks an image that was imported under a name, with overlayfs as nodes do, and mounts what a
// container of it sees until the test ends.
func (c Containerd) Mount(name string, image v1.Image) string {
	c.t.Helper()
	target, key := c.t.TempDir(), c.t.Name()
	listed := strings.Fields(c.Ctr("images", "list", "name=="+name)) // a heading, then reference, type, digest
	c.Ctr("snapshots", "unpack", listed[slices.Index(listed, name)+2])
	mount := c.Ctr("snapshots", "prepare", "--target", target, key, chainID(c.t, image))
	output, err := exec.Command("sh", "-c", mount).CombinedOutput()
	require.NoError(c.t, err, "%s: %s", mount, output)
	c.t.Cleanup(func() {
		require.NoError(c.t, unix.Unmount(target, 0))
		c.Ctr("snapshots", "rm", key)
	})
	return target
}

// chainID is what containerd calls all layers of an image together.
func chainID(t testing.TB, image v1.Image) string {
	t.Helper()
	config, err := image.ConfigFile()
	require.NoError(t, err)
	chain := ""
	for _, diffID := range config.RootFS.DiffIDs {
		if chain == "" {
			chain = diffID.String()
		} else {
			chain = fmt.Sprintf("sha256:%x", sha256.Sum256([]byte(chain+" "+diffID.String())))
		}
	}
	return chain
}
