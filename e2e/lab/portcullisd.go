package lab

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"portcullis/scanner-client/verdict"
)

// Portcullisd is the daemon under test, with a folder of its own for all that it reads and writes.
type Portcullisd struct {
	Socket   string // what it listens on
	Node     string // its node's name, also in its events
	Config   string // path of its configuration file
	Policies string // folder of its policies
	Reports  string // folder of its reports
	Path     string // of the executable
	*process

	// StateDisk is the state folder's own file system, where the options say so, else nil.
	StateDisk *Disk

	dir     string
	metrics string   // host:port
	held    *os.File // the socket, when it is held for the daemon as systemd does; else nil
}

// PortcullisdOptions are the settings that tests change.
type PortcullisdOptions struct {
	FoldInterval time.Duration // of events; default 5m
	Decision     time.Duration // how long a container waits for its image's verdict; default 2s
	Sources      string        // of verdicts, in YAML, after the reports folder; default none
	SourceFailed string        // answer where a verdict could not be had; default Alert
	Kubelet      *Kubelet      // whose folders are no host paths of pods; default one with the usual folders
	Activated    bool          // hold the socket for the daemon, as systemd does
	Central      *Central      // that the node joins; default none
	Replicas     []*Central    // of that central, which the node may use as well; default none
	SpoolSize    int64         // of decisions that central does not have, in bytes; default 64 MiB
	StateSize    int64         // of a file system for the state folder, in bytes; default the lab's own
}

const portcullisdConfig = `listen: {dir}/run/portcullis.sock
runtime: {runtime}
policies: {dir}/policies
sources:
- {name: reports, reports: {dir}/reports}
{sources}
state: {dir}/state
node: {node}
timeouts: {decision: {decision}}
unknown: {sourceFailed: {sourceFailed}}
verdictCache: {size: 10000}
events: {foldInterval: {foldInterval}}
metrics: {address: "{metrics}"}
log: {level: debug, format: text}
{kubelet}
{central}
`

func (o PortcullisdOptions) kubelet() string {
	if o.Kubelet == nil {
		return ""
	}
	return fmt.Sprintf("kubelet: {root: %s, podLogs: %s}", o.Kubelet.Root, o.Kubelet.PodLogs)
}

func (o PortcullisdOptions) central() string {
	if o.Central == nil {
		return ""
	}
	var addresses []string
	for _, c := range append([]*Central{o.Central}, o.Replicas...) {
		addresses = append(addresses, strconv.Quote(c.URL))
	}
	return fmt.Sprintf("central: {addresses: [%s], spoolSize: %d}", strings.Join(addresses, ", "), cmp.Or(o.SpoolSize, 64<<20))
}

// NewPortcullisd configures a daemon for the runtime at a socket. It has no policies and no verdicts,
// and does not run yet.
func NewPortcullisd(node, runtimeSocket string, options PortcullisdOptions) (*Portcullisd, error) {
	dir, err := Dir(node)
	if err != nil {
		return nil, err
	}
	path, err := built("portcullisd")
	if err != nil {
		return nil, err
	}
	d := &Portcullisd{
		Socket:   filepath.Join(dir, "run", "portcullis.sock"),
		Node:     node,
		Config:   filepath.Join(dir, "config.yaml"),
		Policies: filepath.Join(dir, "policies"),
		Reports:  filepath.Join(dir, "reports"),
		Path:     path,
		dir:      dir,
		metrics:  metricsAddress(),
	}
	config := strings.NewReplacer(
		"{dir}", dir, "{runtime}", runtimeSocket, "{node}", node, "{metrics}", d.metrics,
		"{foldInterval}", cmp.Or(options.FoldInterval, 5*time.Minute).String(),
		"{decision}", cmp.Or(options.Decision, 2*time.Second).String(),
		"{sources}", options.Sources, "{kubelet}", options.kubelet(), "{central}", options.central(),
		"{sourceFailed}", cmp.Or(options.SourceFailed, "Alert"),
	).Replace(portcullisdConfig)
	for _, folder := range []string{"policies", "reports", "state"} {
		if err := os.MkdirAll(filepath.Join(dir, folder), 0o700); err != nil {
			return nil, fmt.Errorf("configuring portcullisd: %w", err)
		}
	}
	if options.StateSize > 0 {
		if d.StateDisk, err = MountDisk(filepath.Join(dir, "state"), options.StateSize); err != nil {
			return nil, err
		}
	}
	if err := os.WriteFile(d.Config, []byte(config), 0o600); err != nil {
		return nil, fmt.Errorf("configuring portcullisd: %w", err)
	}
	if options.Central != nil {
		if err := d.Join(options.Central); err != nil {
			return nil, err
		}
	}
	if options.Activated {
		if d.held, err = holdSocket(d.Socket); err != nil {
			return nil, fmt.Errorf("holding portcullisd's socket: %w", err)
		}
	}
	return d, nil
}

// Join makes the node a member of a central, or a new one of one that has removed it.
func (d *Portcullisd) Join(central *Central) error {
	token, err := central.JoinToken()
	if err != nil {
		return err
	}
	command := exec.Command(d.Path, "join", "--config", d.Config, "--token-file", "-")
	command.Stdin = strings.NewReader(token)
	if output, err := command.CombinedOutput(); err != nil {
		return fmt.Errorf("joining central: %w: %s", err, output)
	}
	return nil
}

// holdSocket makes the socket that systemd would make of portcullisd.socket.
func holdSocket(path string) (*os.File, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, err
	}
	listener, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		return nil, err
	}
	listener.SetUnlinkOnClose(false)
	defer listener.Close()
	if err := os.Chmod(path, 0o600); err != nil {
		return nil, err
	}
	return listener.File()
}

// command is what starts the program of the daemon's with a socket that is held for it, or without.
func (d *Portcullisd) command(program string, arguments ...string) *exec.Cmd {
	if d.held == nil {
		return exec.Command(program, arguments...)
	}
	// systemd tells the process its own ID, which nobody knows before it is there.
	cmd := exec.Command("/bin/sh", append([]string{"-c", `LISTEN_PID=$$ LISTEN_FDS=1 exec "$0" "$@"`, program}, arguments...)...)
	cmd.ExtraFiles = []*os.File{d.held}
	return cmd
}

// Start starts the daemon and waits until it is ready. It may have run before.
func (d *Portcullisd) Start() error {
	p, err := startProcess("portcullisd", d.dir, d.command(d.Path, "--config", d.Config))
	if err != nil {
		return err
	}
	d.process = p
	return p.await(func(ctx context.Context) error {
		_, err := d.Ready(ctx)
		return err
	})
}

// Upgrade starts another daemon, which takes over from the one that runs, and waits until that has ended.
func (d *Portcullisd) Upgrade() error {
	p, err := startProcess("portcullisd", d.dir, d.command(d.Path, "--config", d.Config, "--take-over"))
	if err != nil {
		return err
	}
	before := d.process
	if err := p.await(func(context.Context) error { return before.over() }); err != nil {
		return err
	}
	d.process = p
	return nil
}

// Bypass replaces the daemon, which must have ended, by the break-glass, until Stop or Kill.
func (d *Portcullisd) Bypass() error {
	path, err := built("portcullis-bypass")
	if err != nil {
		return err
	}
	d.process, err = startProcess("portcullis-bypass", d.dir, d.command(path, "--config", d.Config))
	return err
}

// WritePolicies puts documents into a file of the policy folder, all at once as editors do.
func (d *Portcullisd) WritePolicies(file, documents string) error {
	return d.replace(filepath.Join("policies", file), []byte(documents))
}

// RemovePolicies removes a file of the policy folder.
func (d *Portcullisd) RemovePolicies(file string) error {
	if err := os.Remove(filepath.Join(d.dir, "policies", file)); err != nil {
		return fmt.Errorf("removing policies: %w", err)
	}
	return nil
}

// WriteVerdict puts a verdict into the reports folder.
func (d *Portcullisd) WriteVerdict(v *verdict.Verdict) error {
	var file bytes.Buffer
	if err := verdict.Write(&file, v); err != nil {
		return fmt.Errorf("verdict of %s: %w", v.ImageID, err)
	}
	return d.WriteReport(verdictFile(v.ImageID), file.Bytes())
}

// WriteReport puts a file into the reports folder.
func (d *Portcullisd) WriteReport(file string, content []byte) error {
	return d.replace(filepath.Join("reports", file), content)
}

// RemoveVerdict removes what WriteVerdict has put there.
func (d *Portcullisd) RemoveVerdict(imageID string) error {
	return d.RemoveReport(verdictFile(imageID))
}

// Verdict is the path of the file that WriteVerdict writes.
func (d *Portcullisd) Verdict(imageID string) string {
	return filepath.Join(d.dir, "reports", verdictFile(imageID))
}

func verdictFile(imageID string) string { return strings.ReplaceAll(imageID, ":", "-") + ".json" }

// RemoveReport removes a file of the reports folder.
func (d *Portcullisd) RemoveReport(file string) error {
	if err := os.Remove(filepath.Join(d.dir, "reports", file)); err != nil {
		return fmt.Errorf("removing report: %w", err)
	}
	return nil
}

// State is the path of a file of the state folder.
func (d *Portcullisd) State(file string) string { return filepath.Join(d.dir, "state", file) }

// WriteState replaces a file of the state folder, while the daemon does not run.
func (d *Portcullisd) WriteState(file, content string) error {
	return d.replace(filepath.Join("state", file), []byte(content))
}

func (d *Portcullisd) replace(file string, content []byte) error {
	temporary := filepath.Join(d.dir, "writing")
	if err := os.WriteFile(temporary, content, 0o600); err != nil {
		return fmt.Errorf("writing %s: %w", file, err)
	}
	if err := os.Rename(temporary, filepath.Join(d.dir, file)); err != nil {
		return fmt.Errorf("writing %s: %w", file, err)
	}
	return nil
}

// Metric returns the value of a series, written as in the exposition: name{label="value"}.
func (d *Portcullisd) Metric(series string) (float64, error) {
	exposition, err := d.get(context.Background(), "/metrics")
	if err != nil {
		return 0, err
	}
	for lines := bufio.NewScanner(strings.NewReader(exposition)); lines.Scan(); {
		if value, ok := strings.CutPrefix(lines.Text(), series+" "); ok {
			return strconv.ParseFloat(value, 64)
		}
	}
	return 0, fmt.Errorf("no metric %s in:\n%s", series, exposition)
}

// Ready returns what /readyz says; an error where that is not that the daemon is ready.
func (d *Portcullisd) Ready(ctx context.Context) (string, error) { return d.get(ctx, "/readyz") }

func (d *Portcullisd) get(ctx context.Context, path string) (string, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+d.metrics+path, nil)
	if err != nil {
		return "", fmt.Errorf("asking portcullisd: %w", err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return "", fmt.Errorf("asking portcullisd: %w", err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return "", fmt.Errorf("asking portcullisd: %w", err)
	}
	if response.StatusCode != http.StatusOK {
		return "", fmt.Errorf("asking portcullisd: %s: %s %s", path, response.Status, body)
	}
	return string(body), nil
}

// metricsAddresses counts those given away.
var metricsAddresses atomic.Uint32

// metricsAddress gives every daemon an address of its own: a port of a shared one that is free now may
// have become some client's when the daemon starts again.
func metricsAddress() string {
	n := metricsAddresses.Add(1)
	return fmt.Sprintf("127.1.%d.%d:9464", n>>8, n&0xff)
}
