package node

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/sirupsen/logrus"

	"portcullis/internal/strictyaml"
	"portcullis/policy"
	"portcullis/policy/privilege"
)

// Config is the configuration file of portcullisd; docs/configuration.md describes it for users.
type Config struct {
	Listen       string       `yaml:"listen"`
	Runtime      string       `yaml:"runtime"`
	Policies     string       `yaml:"policies"`
	Reports      string       `yaml:"reports"`
	Sources      []Source     `yaml:"sources"`
	State        string       `yaml:"state"`
	Node         string       `yaml:"node"`
	Cluster      string       `yaml:"cluster"`
	Central      Central      `yaml:"central"`
	Kubelet      Kubelet      `yaml:"kubelet"`
	Timeouts     Timeouts     `yaml:"timeouts"`
	VerdictCache VerdictCache `yaml:"verdictCache"`
	Events       Events       `yaml:"events"`
	Unknown      Unknown      `yaml:"unknown"`
	Metrics      Metrics      `yaml:"metrics"`
	Log          Log          `yaml:"log"`
}

// Kubelet says where the kubelet keeps what it mounts into pods of its own accord, which is not a host
// path that a pod asks for.
type Kubelet struct {
	Root    string `yaml:"root"`
	PodLogs string `yaml:"podLogs"`
}

// Timeouts bound what the daemon waits for.
type Timeouts struct {
	// Decision is how long a container waits for its image's verdict.
	Decision time.Duration `yaml:"decision"`
	// Drain is how long calls under way may take to end when the daemon stops.
	Drain time.Duration `yaml:"drain"`
}

// VerdictCache bounds the verdicts kept in memory.
type VerdictCache struct {
	Size int           `yaml:"size"`
	TTL  time.Duration `yaml:"ttl"`
}

// Events says how repeats of an event are folded.
type Events struct {
	FoldInterval time.Duration `yaml:"foldInterval"`
}

// Unknown says what to do where nothing is known. The values are Allow, Alert and Block.
type Unknown struct {
	Unscanned    policy.Answer `yaml:"unscanned"`
	SourceFailed policy.Answer `yaml:"sourceFailed"`
	NoBundle     policy.Answer `yaml:"noBundle"`
}

// Metrics says where /metrics, /healthz and /readyz are served; an empty address serves none.
type Metrics struct {
	Address string `yaml:"address"`
}

// Log says what the daemon's own log holds and how it looks.
type Log struct {
	Level  string `yaml:"level"`
	Format string `yaml:"format"`
}

func defaults() Config {
	name, _ := os.Hostname() // where there is none, validation asks for one
	return Config{
		Listen:       "/run/portcullis/portcullis.sock",
		Policies:     "/etc/portcullis/policies",
		Reports:      "/var/lib/portcullis/reports",
		State:        "/var/lib/portcullis/state",
		Node:         name,
		Kubelet:      Kubelet{Root: "/var/lib/kubelet", PodLogs: "/var/log/pods"},
		Timeouts:     Timeouts{Decision: 2 * time.Second, Drain: 3 * time.Second},
		VerdictCache: VerdictCache{Size: 10_000, TTL: time.Hour},
		Events:       Events{FoldInterval: 5 * time.Minute},
		Central:      Central{SpoolSize: 64 << 20},
		Unknown:      Unknown{Unscanned: policy.AnswerAllow, SourceFailed: policy.AnswerAlert, NoBundle: policy.AnswerAllow},
		Metrics:      Metrics{Address: "127.0.0.1:9464"},
		Log:          Log{Level: "info", Format: "text"},
	}
}

// ReadConfig reads and validates the configuration file at path. The error names every mistake.
func ReadConfig(path string) (Config, error) {
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return Config{}, fmt.Errorf("configuration: %s does not exist; write it (it needs runtime: SOCKET) or name another with --config: %w", path, fs.ErrNotExist)
	}
	if err != nil {
		return Config{}, fmt.Errorf("configuration: %w", err)
	}
	docs, problems := strictyaml.Split(path, data)
	if problems.Err() != nil {
		return Config{}, problems
	}
	config := defaults()
	doc := docs[0]
	problems = doc.Decode(&config)
	config.Runtime = strings.TrimPrefix(config.Runtime, "unix://")
	config.Listen = strings.TrimPrefix(config.Listen, "unix://")
	if config.Sources == nil {
		config.Sources = []Source{{Name: "reports", Reports: config.Reports}}
	}
	problems = problems.With(config.validate(doc))
	if len(docs) > 1 {
		problems = append(problems, docs[1].Problem("", "is a second document; write everything in one, without ---"))
	}
	return config, problems.Err()
}

// maxSocketPath is what the kernel takes as a unix socket's address.
const maxSocketPath = 107

func (c *Config) validate(doc *strictyaml.Document) strictyaml.Problems {
	var problems strictyaml.Problems
	expect := func(ok bool, field, format string, args ...any) {
		if !ok {
			problems = append(problems, doc.Problem(field, format, args...))
		}
	}
	socket := func(field, path string, longest int) {
		expect(filepath.IsAbs(path), field, "%q is not a unix socket; write an absolute path, such as /run/containerd/containerd.sock", path)
		expect(len(path) <= longest, field, "path is %d bytes, this socket's may have at most %d; choose a shorter one", len(path), longest)
		info, err := os.Lstat(path)
		expect(err != nil || info.Mode().Type() == fs.ModeSocket || info.Mode().Type() == fs.ModeSymlink, field, "%s exists and is not a socket; it is left alone, choose another path", path)
	}
	// Beside it lies the socket of the hand-over.
	socket("listen", c.Listen, maxSocketPath-len(privatePath("")))
	if c.Runtime == "" {
		expect(false, "runtime", "required; set the runtime's CRI socket, such as /run/containerd/containerd.sock")
	} else {
		socket("runtime", c.Runtime, maxSocketPath)
		expect(realPath(c.Runtime) != realPath(c.Listen), "runtime", "is the socket that Portcullis itself listens on; set the container runtime's")
	}
	expect(filepath.IsAbs(c.Policies), "policies", "%q is not an absolute path", c.Policies)
	expect(filepath.IsAbs(c.Reports), "reports", "%q is not an absolute path", c.Reports)
	expect(filepath.IsAbs(c.State), "state", "%q is not an absolute path", c.State)
	expect(filepath.IsAbs(c.Kubelet.Root), "kubelet.root", "%q is not an absolute path", c.Kubelet.Root)
	expect(filepath.IsAbs(c.Kubelet.PodLogs), "kubelet.podLogs", "%q is not an absolute path", c.Kubelet.PodLogs)
	expect(c.Node != "", "node", "required on this machine, which has no host name")
	expect(c.Timeouts.Decision > 0 && c.Timeouts.Decision <= time.Minute, "timeouts.decision", "%s is out of range; set more than 0 and at most 1m", c.Timeouts.Decision)
	expect(c.Timeouts.Drain > 0 && c.Timeouts.Drain <= time.Minute, "timeouts.drain", "%s is out of range; set more than 0 and at most 1m", c.Timeouts.Drain)
	expect(c.VerdictCache.Size >= 1 && c.VerdictCache.Size <= 1_000_000, "verdictCache.size", "%d is out of range; set 1 to 1000000", c.VerdictCache.Size)
	expect(c.VerdictCache.TTL > 0, "verdictCache.ttl", "%s is out of range; set more than 0", c.VerdictCache.TTL)
	expect(c.Events.FoldInterval >= time.Second, "events.foldInterval", "%s is out of range; set at least 1s", c.Events.FoldInterval)
	answer := func(field string, value policy.Answer) {
		ok := value == policy.AnswerAllow || value == policy.AnswerAlert || value == policy.AnswerBlock
		expect(ok, field, "unknown answer %q; write Allow, Alert or Block", value)
	}
	answer("unknown.unscanned", c.Unknown.Unscanned)
	answer("unknown.sourceFailed", c.Unknown.SourceFailed)
	answer("unknown.noBundle", c.Unknown.NoBundle)
	if c.Metrics.Address != "" {
		_, _, err := net.SplitHostPort(c.Metrics.Address)
		expect(err == nil, "metrics.address", "%q is not an address; write host:port, such as 127.0.0.1:9464", c.Metrics.Address)
	}
	_, err := logrus.ParseLevel(c.Log.Level)
	expect(err == nil, "log.level", "unknown level %q; write error, warning, info, debug or trace", c.Log.Level)
	expect(c.Log.Format == "text" || c.Log.Format == "json", "log.format", "unknown format %q; write text or json", c.Log.Format)
	problems = append(problems, c.validateCentral(doc)...)
	return append(problems, c.validateSources(doc)...)
}

// realPath is path without links to its folder: a daemon that takes itself for the runtime, through /var/run
// say, answers its own calls until no connection is left.
func realPath(path string) string {
	folder, err := filepath.EvalSymlinks(filepath.Dir(path))
	if err != nil {
		return path
	}
	return filepath.Join(folder, filepath.Base(path))
}

// NewLogger makes the daemon's log as configured, to standard error.
func (c *Config) NewLogger() *logrus.Logger {
	log := logrus.New()
	if level, err := logrus.ParseLevel(c.Log.Level); err == nil {
		log.SetLevel(level)
	}
	log.SetFormatter(&logrus.TextFormatter{FullTimestamp: true})
	if c.Log.Format == "json" {
		log.SetFormatter(&logrus.JSONFormatter{})
	}
	return log
}

// ErrNoRuntime says that no runtime listens where the configuration says.
var ErrNoRuntime = errors.New("runtime socket does not exist; is the container runtime running, and is this its CRI socket?")

// Check looks at what the configuration names, as --check does: everything that would make a start
// useless although the file itself is right. It changes nothing, and says in one line what would be
// in force.
func (c *Config) Check() (string, error) {
	var problems []error
	if _, err := os.Stat(c.Runtime); errors.Is(err, fs.ErrNotExist) {
		problems = append(problems, fmt.Errorf("runtime: %s: %w", c.Runtime, ErrNoRuntime))
	}
	if err := checkParent(c.Listen); err != nil {
		problems = append(problems, err)
	}
	bundle, err := checkPolicies(c.Policies, c.compileOptions())
	if err != nil {
		problems = append(problems, err)
	}
	if len(problems) > 0 {
		return "", errors.Join(problems...)
	}
	return fmt.Sprintf("configuration is valid; %d policies, revision %s", bundle.Len(), bundle.Revision()), nil
}

// host is what telling privileged parameters apart needs to know of this machine.
func (c *Config) host() privilege.Host {
	// Who writes policies, reports or state rules what may start; who holds the lock keeps the daemon from
	// starting.
	own := []string{c.Policies, c.State, lockPath(c.Listen)}
	for _, s := range c.Sources {
		if s.Reports != "" {
			own = append(own, s.Reports)
		}
	}
	return privilege.Host{
		KubeletRoot: c.Kubelet.Root, PodLogs: c.Kubelet.PodLogs, Sockets: []string{c.Runtime, c.Runtime + ".ttrpc", c.Listen, privatePath(c.Listen)}, Sensitive: own,
		ResolveSymlinks: filepath.EvalSymlinks,
		// The first process sees what the kubelet mounts also where we have a mount namespace of our own.
		Mounts: func() ([]byte, error) { return os.ReadFile("/proc/1/mountinfo") },
	}
}
