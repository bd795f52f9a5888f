package lab

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"

	runtime "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// Flavour is one containerd to test with.
type Flavour struct {
	Name    string // such as containerd-1.6
	config  string // template of its config.toml
	install string // how to get it
	// programs is the folder of its executables in the repository; "" takes the machine's own.
	programs string
}

// Containerds returns the flavours that everything is tested with: the oldest in wide use, and the newest.
func Containerds() []Flavour {
	return []Flavour{
		{Name: "containerd-1.6", config: config16, install: "apt-get install containerd"},
		{Name: "containerd-2.4", config: config24, install: "make tools", programs: ".tools/containerd-2.4.2"},
	}
}

// The two configs say the same, in their version's words. restrict_oom_score_adj: without CAP_SYS_RESOURCE
// runc could not start a container. netns_mounts_under_state_dir: the lab's name in every mount's path.
const (
	config16 = `
version = 2
root = "{dir}/root"
state = "{dir}/state"
[grpc]
address = "{dir}/containerd.sock"
[plugins."io.containerd.internal.v1.opt"]
path = "{dir}/opt"
[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = "{sandboxImage}"
restrict_oom_score_adj = true
netns_mounts_under_state_dir = true
[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = "{cniPlugins}"
conf_dir = "{dir}/cni"
`
	config24 = `
version = 3
root = '{dir}/root'
state = '{dir}/state'
[grpc]
address = '{dir}/containerd.sock'
[plugins.'io.containerd.internal.v1.opt']
path = '{dir}/opt'
[plugins.'io.containerd.nri.v1.nri']
disable = true
[plugins.'io.containerd.cri.v1.images'.pinned_images]
sandbox = '{sandboxImage}'
[plugins.'io.containerd.cri.v1.runtime']
restrict_oom_score_adj = true
netns_mounts_under_state_dir = true
[plugins.'io.containerd.cri.v1.runtime'.cni]
bin_dirs = ['{cniPlugins}']
conf_dir = '{dir}/cni'
`
)

// cniPlugins is where Debian's containernetworking-plugins are.
const cniPlugins = "/usr/lib/cni"

// network gives each pod a point-to-point link: unlike a bridge it needs no module of the kernel.
// {octet} keeps the addresses of several containerds apart.
const network = `{
  "cniVersion": "0.4.0",
  "name": "lab",
  "plugins": [{
    "type": "ptp",
    "ipam": {"type": "host-local", "dataDir": "{dir}/cni-addresses", "subnet": "10.88.{octet}.0/24"}
  }]
}`

// subnets counts those given to networks.
var subnets atomic.Uint32

// Containerd is a running containerd with root, state, socket and network of its own. Its containers
// outlive it, as they do on a real node: remove their pods first.
type Containerd struct {
	Flavour Flavour
	Socket  string
	*process

	dir  string
	path string // its executable
}

// StartContainerd starts a containerd in a folder of the given name and waits until it and its network
// are ready. sandboxImage is the reference of the image that holds a pod's namespaces.
func StartContainerd(name string, flavour Flavour, sandboxImage string) (*Containerd, error) {
	dir, err := Dir(name)
	if err != nil {
		return nil, err
	}
	c := &Containerd{Flavour: flavour, Socket: filepath.Join(dir, "containerd.sock"), dir: dir}
	if err := c.findPrograms(); err != nil {
		return nil, err
	}
	if err := c.writeConfig(sandboxImage); err != nil {
		return nil, err
	}
	return c, c.Start()
}

// Start starts it again after Stop; its images and containers are still there.
func (c *Containerd) Start() error {
	cmd := exec.Command(c.path, "--config", filepath.Join(c.dir, "config.toml"))
	// containerd looks for its shim in PATH.
	cmd.Env = append(os.Environ(), "PATH="+filepath.Dir(c.path)+":"+os.Getenv("PATH"))
	p, err := startProcess("containerd", c.dir, cmd)
	if err != nil {
		return err
	}
	c.process = p
	cri, err := Dial(c.Socket)
	if err != nil {
		return err
	}
	err = p.await(func(ctx context.Context) error { return runtimeReady(ctx, cri) })
	return errors.Join(err, cri.Close())
}

// Shims returns the command lines of its shims, the processes that hold pods.
func (c *Containerd) Shims() ([]string, error) {
	files, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		return nil, fmt.Errorf("shims of %s: %w", c.Flavour.Name, err)
	}
	var shims []string
	for _, file := range files {
		line, err := os.ReadFile(file)
		if err != nil {
			continue // it has just ended
		}
		words := strings.ReplaceAll(strings.TrimRight(string(line), "\x00"), "\x00", " ")
		if strings.Contains(words, "containerd-shim") && strings.Contains(words, "-address "+c.Socket) {
			shims = append(shims, words)
		}
	}
	return shims, nil
}

func (c *Containerd) findPrograms() error {
	if c.Flavour.programs == "" {
		path, err := program("containerd", c.Flavour.install)
		if err != nil {
			return err
		}
		c.path = path
	} else {
		root, err := repository()
		if err != nil {
			return err
		}
		c.path = filepath.Join(root, c.Flavour.programs, "containerd")
	}
	if _, err := os.Stat(c.path); err != nil {
		return fmt.Errorf("the lab needs %s: %s", c.path, c.Flavour.install)
	}
	if _, err := program("runc", "apt-get install runc"); err != nil {
		return err
	}
	_, err := program(filepath.Join(cniPlugins, "ptp"), "apt-get install containernetworking-plugins")
	return err
}

func (c *Containerd) writeConfig(sandboxImage string) error {
	fill := strings.NewReplacer("{dir}", c.dir, "{sandboxImage}", sandboxImage, "{cniPlugins}", cniPlugins, "{octet}", strconv.Itoa(int(subnets.Add(1))))
	if err := os.MkdirAll(filepath.Join(c.dir, "cni"), 0o750); err != nil {
		return fmt.Errorf("%s: %w", c.Flavour.Name, err)
	}
	for file, text := range map[string]string{"config.toml": c.Flavour.config, "cni/lab.conflist": network} {
		if err := os.WriteFile(filepath.Join(c.dir, file), []byte(fill.Replace(text)), 0o600); err != nil {
			return fmt.Errorf("%s: %w", c.Flavour.Name, err)
		}
	}
	return nil
}

func runtimeReady(ctx context.Context, cri *CRI) error {
	status, err := cri.Runtime.Status(ctx, &runtime.StatusRequest{})
	if err != nil {
		return fmt.Errorf("status of the runtime: %w", err)
	}
	for _, condition := range status.GetStatus().GetConditions() {
		if !condition.GetStatus() && (condition.GetType() == runtime.RuntimeReady || condition.GetType() == runtime.NetworkReady) {
			return errors.New(condition.GetMessage())
		}
	}
	return nil
}
