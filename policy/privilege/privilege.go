// Package privilege answers: which privileged parameters does this container ask for?
//
// It reads the CRI messages of a container and of the sandbox that it joins, the deprecated fields
// too, and names every parameter of the catalogue in package policy that they ask for. What the
// kubelet itself adds to a container is not asked for by anybody. It does no I/O of its own: what it
// has to know of the node comes through Host.
package privilege

import (
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"

	cri "k8s.io/cri-api/pkg/apis/runtime/v1"

	"portcullis/policy"
)

// Asks returns what the container asks for, sorted as the catalogue is, each once. The sandbox may be
// nil when nothing is known of it: then no mount can be told to be the kubelet's own.
func Asks(sandbox *cri.PodSandboxConfig, container *cri.ContainerConfig, host Host) []policy.Ask {
	c := &collector{}
	c.privileged(sandbox, container)
	c.capabilities(sandbox, container)
	c.identity(container.GetLinux().GetSecurityContext())
	c.namespaces(sandbox, container)
	c.network(sandbox)
	c.sysctls(sandbox)
	c.confinement(sandbox, container)
	c.devices(sandbox, container, host)
	c.mounts(sandbox, container, host)
	slices.SortFunc(c.asks, policy.CompareAsks)
	return slices.Compact(c.asks)
}

type collector struct{ asks []policy.Ask }

// maxDetail bounds what is remembered and shown of one ask, in bytes. A pod chooses the text.
const maxDetail = 512

func (c *collector) ask(parameter, detail string) {
	if len(detail) > maxDetail {
		detail = strings.ToValidUTF8(detail[:maxDetail], "") + "…"
	}
	c.asks = append(c.asks, policy.Ask{Parameter: parameter, Detail: strings.Clone(detail)})
}

func (c *collector) askIf(condition bool, parameter, detail string) {
	if condition {
		c.ask(parameter, detail)
	}
}

func isPrivileged(sandbox *cri.PodSandboxConfig, container *cri.ContainerConfig) bool {
	return container.GetLinux().GetSecurityContext().GetPrivileged() || sandbox.GetLinux().GetSecurityContext().GetPrivileged()
}

func (c *collector) privileged(sandbox *cri.PodSandboxConfig, container *cri.ContainerConfig) {
	if container.GetLinux().GetSecurityContext().GetPrivileged() {
		c.ask("privileged", "")
	} else if isPrivileged(sandbox, container) {
		c.ask("privileged", "the pod may run privileged containers")
	}
}

// identity reads the user. What is not set is up to the image, and an image that says nothing runs as
// root with group 0.
func (c *collector) identity(sc *cri.LinuxContainerSecurityContext) {
	user, name := sc.GetRunAsUser(), sc.GetRunAsUsername()
	switch {
	case name != "":
		c.askIf(name == "root" || isZero(name), "run-as-root", "user "+name)
	case user == nil:
		c.ask("run-as-root", "no user is set, so the image decides")
	default:
		c.askIf(user.GetValue() == 0, "run-as-root", "user 0")
	}
	switch group := sc.GetRunAsGroup(); {
	case slices.Contains(sc.GetSupplementalGroups(), 0):
		c.ask("root-group", "supplemental group 0")
	case group == nil:
		c.ask("root-group", "no group is set, so the image decides")
	default:
		c.askIf(group.GetValue() == 0, "root-group", "group 0")
	}
	c.askIf(!sc.GetNoNewPrivs(), "allow-privilege-escalation", "")
	c.askIf(!sc.GetReadonlyRootfs(), "writable-rootfs", "")
}

// isZero says whether a user name is a spelling of user ID 0, such as 0 or 00.
func isZero(name string) bool {
	id, err := strconv.ParseUint(name, 10, 64)
	return err == nil && id == 0
}

func (c *collector) namespaces(sandbox *cri.PodSandboxConfig, container *cri.ContainerConfig) {
	own := container.GetLinux().GetSecurityContext().GetNamespaceOptions()
	for _, options := range []*cri.NamespaceOption{own, sandbox.GetLinux().GetSecurityContext().GetNamespaceOptions()} {
		c.askIf(options.GetPid() == cri.NamespaceMode_NODE, "host-pid", "")
		c.askIf(options.GetIpc() == cri.NamespaceMode_NODE, "host-ipc", "")
		c.askIf(options.GetNetwork() == cri.NamespaceMode_NODE, "host-network", "")
	}
	switch own.GetPid() { // unset means POD in the CRI
	case cri.NamespaceMode_POD:
		c.ask("share-process-namespace", "")
	case cri.NamespaceMode_TARGET:
		c.ask("share-process-namespace", "with container "+own.GetTargetId())
	}
}

func (c *collector) network(sandbox *cri.PodSandboxConfig) {
	for _, port := range sandbox.GetPortMappings() {
		if port.GetHostPort() > 0 {
			c.ask("host-port", fmt.Sprintf("%d/%s", port.GetHostPort(), strings.ToLower(port.GetProtocol().String())))
		}
	}
}

// safeSysctls is the kubelet's list of those that affect the pod alone.
var safeSysctls = []string{
	"kernel.shm_rmid_forced",
	"net.ipv4.ip_local_port_range",
	"net.ipv4.tcp_syncookies",
	"net.ipv4.ping_group_range",
	"net.ipv4.ip_unprivileged_port_start",
	"net.ipv4.ip_local_reserved_ports",
	"net.ipv4.tcp_keepalive_time",
	"net.ipv4.tcp_fin_timeout",
	"net.ipv4.tcp_keepalive_intvl",
	"net.ipv4.tcp_keepalive_probes",
	"net.ipv4.tcp_rmem",
	"net.ipv4.tcp_wmem",
}

func (c *collector) sysctls(sandbox *cri.PodSandboxConfig) {
	for name := range sandbox.GetLinux().GetSysctls() {
		name = dotted(name)
		switch {
		case slices.Contains(safeSysctls, name):
		case strings.HasPrefix(name, "net."):
			c.ask("unsafe-net-sysctl", name)
		default:
			c.ask("unsafe-sysctl", name)
		}
	}
}

// dotted spells a sysctl with dots. It may also be written with slashes; then a dot stands for itself,
// as in net/ipv4/conf/eth0.1/forwarding.
func dotted(name string) string {
	if first := strings.IndexAny(name, "./"); first < 0 || name[first] == '.' {
		return name
	}
	return strings.NewReplacer("/", ".", ".", "/").Replace(name)
}

// confinement reads seccomp, AppArmor, SELinux and the masked paths. Where a profile stands in the new
// field and in the deprecated one, either counts: runtimes differ in which one they obey.
func (c *collector) confinement(sandbox *cri.PodSandboxConfig, container *cri.ContainerConfig) {
	sc := container.GetLinux().GetSecurityContext()
	c.profile("seccomp", sc.GetSeccomp(), sc.GetSeccompProfilePath()) //nolint:staticcheck // deprecated, and runtimes still obey it
	c.profile("apparmor", sc.GetApparmor(), sc.GetApparmorProfile())  //nolint:staticcheck // deprecated, and runtimes still obey it
	selinux := sc.GetSelinuxOptions()
	if selinux == nil { // the runtime falls back on the sandbox's
		selinux = sandbox.GetLinux().GetSecurityContext().GetSelinuxOptions()
	}
	c.askIf(selinux.GetType() == "spc_t", "selinux-spc", "")
	if sc.GetPrivileged() {
		return // the kubelet sends no paths for it, and privileged says more
	}
	switch masked, readonly := len(sc.GetMaskedPaths()) > 0, len(sc.GetReadonlyPaths()) > 0; {
	case !masked && !readonly:
		c.ask("unmasked-proc", "no masked and no read-only paths")
	case !masked:
		c.ask("unmasked-proc", "no masked paths")
	case !readonly:
		c.ask("unmasked-proc", "no read-only paths")
	}
}

func (c *collector) profile(kind string, profile *cri.SecurityProfile, deprecated string) {
	switch profile.GetProfileType() {
	case cri.SecurityProfile_Unconfined:
		c.ask(kind+"-unconfined", "")
	case cri.SecurityProfile_Localhost:
		c.ask(kind+"-localhost", profile.GetLocalhostRef())
	}
	if name, ok := strings.CutPrefix(deprecated, "localhost/"); ok {
		c.ask(kind+"-localhost", name)
	} else if deprecated == "unconfined" {
		c.ask(kind+"-unconfined", "")
	}
}

// cdiPrefix starts the annotations by which CDI devices were asked for before they had a field.
const cdiPrefix = "cdi.k8s.io/"

// devices reads devices. A block volume is a link that the kubelet made in the pod's volumeDevices.
func (c *collector) devices(sandbox *cri.PodSandboxConfig, container *cri.ContainerConfig, host Host) {
	own := host.ownDirectories(sandbox)
	for _, device := range container.GetDevices() {
		name := clean(device.GetHostPath())
		volume := slices.ContainsFunc(own, func(d string) bool { return inside(name, path.Join(d, "volumeDevices")) })
		c.askIf(!volume, "host-device", name)
	}
	for _, device := range container.GetCDIDevices() {
		c.ask("host-device", device.GetName())
	}
	for key, devices := range container.GetAnnotations() {
		if strings.HasPrefix(key, cdiPrefix) {
			c.ask("host-device", devices)
		}
	}
}
