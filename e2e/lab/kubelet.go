package lab

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	core "k8s.io/api/core/v1"
	"k8s.io/client-go/rest"
)

// KubeletVersion is the kubelet that everything is tested with; "make e2e-kubelet" builds it.
const KubeletVersion = "1.37.2"

// Kubelet is a real kubelet without a cluster: its pods are those whose manifests lie in a folder. A lab
// has one at a time, for its ports are always the same.
type Kubelet struct {
	NodeName string // the end of every pod's name
	Root     string // its --root-dir
	PodLogs  string // its podLogsDir
	*process

	dir    string
	path   string // its executable
	client *http.Client
}

// The kubelet's API; from inside the lab anybody may use it.
const kubeletAPI = "https://127.0.0.1:10250"

// Settings of the node that the lab cannot give (cgroup v2, swap off, cgroups per quality of service,
// eviction by the machine's own memory and disks) are switched off. The rest is the kubelet's own
// default, how often it asks the runtime above all.
const kubeletConfig = `apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
address: 127.0.0.1
authentication: {anonymous: {enabled: true}, webhook: {enabled: false}}
authorization: {mode: AlwaysAllow}
containerRuntimeEndpoint: unix://{runtime}
staticPodPath: {dir}/manifests
podLogsDir: {podLogs}
cgroupDriver: cgroupfs
cgroupRoot: {cgroup}
cgroupsPerQOS: false
enforceNodeAllocatable: []
failCgroupV1: false
failSwapOn: false
makeIPTablesUtilChains: false
evictionHard: {memory.available: 0%, nodefs.available: 0%, nodefs.inodesFree: 0%, imagefs.available: 0%, imagefs.inodesFree: 0%}
imageGCHighThresholdPercent: 100
resolvConf: ""
`

// NewKubelet makes a kubelet without pods. It does not run yet.
func NewKubelet(name string) (*Kubelet, error) {
	dir, err := Dir(name)
	if err != nil {
		return nil, err
	}
	root, err := repository()
	if err != nil {
		return nil, err
	}
	path, err := program(filepath.Join(root, ".tools", "kubelet-"+KubeletVersion, "kubelet"), "make e2e-kubelet")
	if err != nil {
		return nil, err
	}
	k := &Kubelet{
		NodeName: name,
		Root:     filepath.Join(dir, "root"),
		PodLogs:  filepath.Join(dir, "pod-logs"),
		dir:      dir,
		path:     path,
		client: &http.Client{Transport: &http.Transport{
			TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, //nolint:gosec // it made its certificate itself, a moment ago
		}},
	}
	if err := os.MkdirAll(filepath.Join(dir, "manifests"), 0o750); err != nil {
		return nil, fmt.Errorf("configuring the kubelet: %w", err)
	}
	return k, shieldKernel()
}

// Start starts it with the runtime at a socket, and waits until it serves its pods. It may have run before.
func (k *Kubelet) Start(runtimeSocket string) error {
	if err := k.configure(runtimeSocket); err != nil {
		return err
	}
	if err := k.launch(); err != nil {
		return err
	}
	return k.serves()
}

func (k *Kubelet) configure(runtimeSocket string) error {
	config := strings.NewReplacer("{dir}", k.dir, "{runtime}", runtimeSocket, "{podLogs}", k.PodLogs, "{cgroup}", cgroupParent()).Replace(kubeletConfig)
	if err := os.WriteFile(k.Config(), []byte(config), 0o600); err != nil {
		return fmt.Errorf("configuring the kubelet: %w", err)
	}
	return nil
}

// Config is the path of its configuration file.
func (k *Kubelet) Config() string { return filepath.Join(k.dir, "config.yaml") }

// launch starts it on its configuration as it is.
func (k *Kubelet) launch() error {
	p, err := startProcess("kubelet", k.dir, exec.Command(k.path, k.arguments()...))
	if err != nil {
		return err
	}
	k.process = p
	return nil
}

func (k *Kubelet) arguments() []string {
	return []string{
		"--config", k.Config(),
		"--root-dir", k.Root,
		"--cert-dir", filepath.Join(k.dir, "certificates"),
		"--hostname-override", k.NodeName,
		"--v", "2",
	}
}

// serves waits until it answers for its pods.
func (k *Kubelet) serves() error {
	return k.await(func(ctx context.Context) error {
		_, err := k.Pods(ctx)
		return err
	})
}

// Add gives the kubelet a pod. Its name there is Name(pod.Name).
func (k *Kubelet) Add(pod *core.Pod) error {
	pod.APIVersion, pod.Kind = "v1", "Pod"
	manifest, err := json.Marshal(pod)
	if err != nil {
		return fmt.Errorf("pod %s: %w", pod.Name, err)
	}
	written := filepath.Join(k.dir, "writing")
	if err := os.WriteFile(written, manifest, 0o600); err != nil {
		return fmt.Errorf("pod %s: %w", pod.Name, err)
	}
	if err := os.Rename(written, k.manifest(pod.Name)); err != nil {
		return fmt.Errorf("pod %s: %w", pod.Name, err)
	}
	return nil
}

// Remove takes a pod away from the kubelet, which then ends it.
func (k *Kubelet) Remove(pod string) error {
	if err := os.Remove(k.manifest(pod)); err != nil {
		return fmt.Errorf("removing pod %s: %w", pod, err)
	}
	return nil
}

func (k *Kubelet) manifest(pod string) string {
	return filepath.Join(k.dir, "manifests", pod+".json")
}

// Name is what the kubelet calls the pod of a manifest.
func (k *Kubelet) Name(pod string) string { return pod + "-" + k.NodeName }

// Pods returns the kubelet's pods with their status, as it would tell the API server.
func (k *Kubelet) Pods(ctx context.Context) ([]core.Pod, error) {
	text, err := k.Get(ctx, "/pods")
	if err != nil {
		return nil, err
	}
	var pods core.PodList
	if err := json.Unmarshal([]byte(text), &pods); err != nil {
		return nil, fmt.Errorf("the kubelet's pods: %w", err)
	}
	return pods.Items, nil
}

// Get asks the kubelet's API.
func (k *Kubelet) Get(ctx context.Context, path string) (string, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, kubeletAPI+path, nil)
	if err != nil {
		return "", fmt.Errorf("asking the kubelet: %w", err)
	}
	response, err := k.client.Do(request)
	if err != nil {
		return "", fmt.Errorf("asking the kubelet: %w", err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return "", fmt.Errorf("asking the kubelet: %w", err)
	}
	if response.StatusCode != http.StatusOK {
		return "", fmt.Errorf("asking the kubelet: %s: %s %s", path, response.Status, body)
	}
	return string(body), nil
}

// Client is for what the kubelet streams: exec, attach, port-forward.
func (k *Kubelet) Client() *rest.Config {
	return &rest.Config{Host: kubeletAPI, TLSClientConfig: rest.TLSClientConfig{Insecure: true}, Timeout: time.Minute}
}

// URL is the address of one of the kubelet's streams.
func (k *Kubelet) URL(path string, query url.Values) *url.URL {
	return &url.URL{Scheme: "https", Host: strings.TrimPrefix(kubeletAPI, "https://"), Path: path, RawQuery: query.Encode()}
}

// kernelSettings are those that a kubelet demands, and would set for the whole machine.
var kernelSettings = map[string]string{
	"vm/overcommit_memory":      "1",
	"vm/panic_on_oom":           "0",
	"kernel/panic":              "10",
	"kernel/panic_on_oops":      "1",
	"kernel/keys/root_maxkeys":  "1000000",
	"kernel/keys/root_maxbytes": "25000000",
}

// shieldKernel lets the kubelet find these settings as it wants them: files of the lab lie over the
// kernel's own, which no namespace holds.
func shieldKernel() error {
	if _, err := Dir("kernel"); err != nil {
		return err
	}
	for setting, value := range kernelSettings {
		file := kernelFile(setting)
		if _, err := os.Stat(file); err == nil {
			continue // an earlier kubelet has
		}
		if err := os.WriteFile(file, []byte(value+"\n"), 0o600); err != nil {
			return fmt.Errorf("kernel setting %s: %w", setting, err)
		}
		if err := mount(file, filepath.Join("/proc/sys", setting), "", syscall.MS_BIND, ""); err != nil {
			return err
		}
	}
	return nil
}

func kernelFile(setting string) string {
	return filepath.Join(root(), "kernel", strings.ReplaceAll(setting, "/", "."))
}
