package nodeinstall

import (
	"bytes"
	"cmp"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"unicode"
)

// Kubelet is what is known of this node's kubelet.
type Kubelet struct {
	PID        int    // 0 when it does not run
	Executable string // "" when it does not run
	Unit       string // such as kubelet.service
	Endpoint   string // as it is set, such as unix:///run/containerd/containerd.sock
	From       string // where it is set, in words
	Healthz    string // host:port, "" where it is switched off
	RootDir    string // where it keeps what it mounts into pods

	places []place
}

// place is where the endpoint is set, and where it is to be set.
type place struct {
	read, write string // the same but for a vendor's unit, of which a copy is made
	flag        bool   // in a command line; else in the kubelet's configuration
}

// Socket is the path of the endpoint.
func (k *Kubelet) Socket() string { return socketOf(k.Endpoint) }

func socketOf(endpoint string) string { return strings.TrimPrefix(endpoint, "unix://") }

func endpointOf(socket string) string { return "unix://" + socket }

const (
	defaultEndpoint = "unix:///run/containerd/containerd.sock" // the kubelet's own
	defaultHealthz  = "10248"
	defaultRootDir  = "/var/lib/kubelet"
)

// search is how a kubelet is looked for.
type search struct {
	unit    string // its name, "" to find out
	systemd bool   // whether its unit says what the next start will be
	stale   bool   // the process was started on other files than those that are looked at
}

// kubelet looks at the process, its unit and its configuration, with the changes of f made. Where it
// knows the endpoint but not how to change it, it returns both the kubelet and an error.
func (s search) kubelet(f files) (*Kubelet, error) {
	process, err := findProcess(f)
	if err != nil {
		return nil, err
	}
	k := &Kubelet{PID: process.pid, Executable: process.executable, Unit: cmp.Or(s.unit, process.unit, "kubelet.service")}
	arguments := process.arguments
	var pieces []piece
	if unit := readService(f, k.Unit); s.systemd && unit.runsKubelet() {
		arguments, pieces = unit.arguments()
	}
	if len(arguments) == 0 {
		return nil, refuse("no kubelet runs on this node, and there is no unit "+k.Unit, "start the kubelet first, or name its unit with --kubelet-unit")
	}
	set := parseFlags(arguments)
	running := parseFlags(process.arguments)
	k.health(f, set)
	k.RootDir = cmp.Or(set.rootDir, defaultRootDir)
	if set.endpoint == "" && running.endpoint != "" && !s.stale {
		k.Endpoint, k.From = running.endpoint, "its command line"
		return k, refuseFlag(k.Endpoint)
	}
	if set.endpoint != "" {
		return k, k.placesOfFlag(set.endpoint, pieces)
	}
	return k, k.placesOfConfig(f, set)
}

func refuseFlag(endpoint string) error {
	return refuse(fmt.Sprintf("the kubelet was started with --%s=%s, and no file of its unit says so", endpointFlag, endpoint),
		"change the flag where the kubelet is started, such as a script, to the socket of portcullisd, and restart the kubelet")
}

func (k *Kubelet) placesOfFlag(endpoint string, pieces []piece) error {
	k.Endpoint, k.From = endpoint, "its command line"
	for _, p := range pieces {
		if parseFlags(strings.Fields(p.text)).endpoint == "" {
			continue
		}
		where := place{read: p.path, write: ownPath(p.path), flag: true}
		if !slices.Contains(k.places, where) {
			k.places = append(k.places, where)
		}
		k.From = fmt.Sprintf("--%s in %s", endpointFlag, p.path)
	}
	if len(k.places) == 0 {
		return refuseFlag(endpoint)
	}
	return nil
}

// ownPath is where an administrator's copy of a vendor's unit or drop-in stands, which systemd prefers.
func ownPath(path string) string {
	for _, folder := range unitFolders[1:] {
		if rest, ok := strings.CutPrefix(path, folder+"/"); ok {
			return filepath.Join(ownUnits, rest)
		}
	}
	return path
}

// placesOfConfig looks into the configuration: drop-ins win over the file, the last of them over all.
func (k *Kubelet) placesOfConfig(f files, set flags) error {
	paths, err := configFiles(f, set)
	if err != nil {
		return err
	}
	endpoint, from := defaultEndpoint, "the kubelet's default"
	if len(paths) == 0 {
		k.Endpoint, k.From = endpoint, from
		return refuse("the kubelet is started with neither --config nor --"+endpointFlag, "add --"+endpointFlag+" with the runtime's socket to its command line, restart it, and come back")
	}
	k.places = []place{{read: paths[0], write: paths[0]}}
	for _, path := range paths {
		c, err := readConfig(f, path)
		if err != nil {
			return err
		}
		if value := c.doc.Scalar(endpointKey); value != "" {
			endpoint, from = value, endpointKey+" in "+path
			k.places = []place{{read: path, write: path}}
		}
	}
	k.Endpoint, k.From = endpoint, from
	return nil
}

// configFiles returns the kubelet's configuration file and its drop-ins, in the order of their weight.
func configFiles(f files, set flags) ([]string, error) {
	var paths []string
	if set.config != "" {
		paths = append(paths, set.config)
	}
	if set.configDir != "" {
		for _, name := range f.list(set.configDir, "*.conf") {
			paths = append(paths, filepath.Join(set.configDir, name))
		}
	}
	for _, path := range paths {
		if !filepath.IsAbs(path) {
			return nil, refuse(fmt.Sprintf("the kubelet's configuration %q is no absolute path", path), "write one into its command line, and restart it")
		}
	}
	return paths, nil
}

func readConfig(f files, path string) (*kubeletConfig, error) {
	data, err := f.read(path)
	if err != nil {
		return nil, refuse(fmt.Sprintf("the kubelet's configuration cannot be read: %v", err), "see that it can")
	}
	c, err := parseConfig(path, data)
	if err != nil {
		return nil, refuse(fmt.Sprintf("the kubelet's configuration cannot be read: %v", err), fmt.Sprintf("set %s there by hand", endpointKey))
	}
	return c, nil
}

func (k *Kubelet) health(f files, set flags) {
	port, address := "", ""
	paths, _ := configFiles(f, set) // what is wrong with them is told where the endpoint is looked for
	for _, path := range paths {
		if c, err := readConfig(f, path); err == nil {
			port = cmp.Or(c.doc.Scalar("healthzPort"), port)
			address = cmp.Or(c.doc.Scalar("healthzBindAddress"), address)
		}
	}
	port = cmp.Or(set.healthzPort, port, defaultHealthz)
	address = cmp.Or(set.healthzAddress, address, "127.0.0.1")
	if ip := net.ParseIP(address); ip != nil && ip.IsUnspecified() {
		address = "127.0.0.1"
	}
	if port != "0" {
		k.Healthz = net.JoinHostPort(address, port)
	}
}

// process is the running kubelet.
type process struct {
	pid        int
	executable string
	unit       string
	arguments  []string
}

// findProcess returns the kubelet that runs, or none. A process in a container may call itself kubelet
// too: it sees other files than we do.
func findProcess(f files) (process, error) {
	var found []process
	folders, _ := filepath.Glob(f.full("/proc/[0-9]*")) // fails for a malformed pattern only
	for _, folder := range folders {
		name, err := os.ReadFile(filepath.Join(folder, "comm"))
		if err != nil || strings.TrimSpace(string(name)) != "kubelet" || !ourMounts(f, folder) {
			continue
		}
		p, ok := readProcess(folder)
		if ok {
			found = append(found, p)
		}
	}
	switch len(found) {
	case 0:
		return process{}, nil
	case 1:
		return found[0], nil
	}
	return process{}, refuse(fmt.Sprintf("%d kubelets run on this machine (pids %d and %d)", len(found), found[0].pid, found[1].pid), "Portcullis guards one; set the endpoint of the one that you mean by hand")
}

func readProcess(folder string) (process, bool) {
	pid, err := strconv.Atoi(filepath.Base(folder))
	if err != nil {
		return process{}, false
	}
	line, err := os.ReadFile(filepath.Join(folder, "cmdline"))
	if err != nil || len(line) == 0 {
		return process{}, false // it has ended
	}
	p := process{pid: pid, arguments: strings.Split(strings.TrimRight(string(line), "\x00"), "\x00")}
	p.executable, _ = os.Readlink(filepath.Join(folder, "exe")) // "" where it is not told
	groups, _ := os.ReadFile(filepath.Join(folder, "cgroup"))   // the same
	for line := range bytes.Lines(groups) {
		if name := filepath.Base(strings.TrimSpace(string(line))); strings.HasSuffix(name, ".service") && printable(name) {
			p.unit = name
		}
	}
	return p, true
}

func ourMounts(f files, folder string) bool {
	ours, err := os.Readlink(f.full("/proc/self/ns/mnt"))
	if err != nil {
		return f.root != "/" // a folder that stands for a machine has no namespaces
	}
	theirs, err := os.Readlink(filepath.Join(folder, "ns/mnt"))
	return err == nil && ours == theirs
}

func printable(text string) bool {
	return !strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) })
}

func sorted(names []string) []string {
	slices.Sort(names)
	return names
}
