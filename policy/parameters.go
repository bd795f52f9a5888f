package policy

import (
	"fmt"
	"slices"
	"strings"
)

// Parameter is one privileged parameter that a container may ask for.
type Parameter struct {
	Name  string `json:"name"`  // such as privileged or SYS_ADMIN
	Class string `json:"class"` // one of ParameterClasses
	// Capability says that Name is a Linux capability, without its CAP_.
	Capability bool `json:"capability"`
	// ByName says that neither the class nor the default of a policy includes the parameter, because
	// ordinary containers ask for it: a policy has to list it by name.
	ByName  bool   `json:"byName"`
	Risk    string `json:"risk"`              // what it lets a container do
	Instead string `json:"instead,omitempty"` // what to do instead
}

// The classes of privileged parameters.
const (
	ClassHighRisk = "high-risk"
	ClassSystem   = "system"
	ClassNetwork  = "network"
	ClassFile     = "file"
	ClassBasic    = "basic"
)

var parameterClasses = []string{ClassHighRisk, ClassSystem, ClassNetwork, ClassFile, ClassBasic}

// ParameterClasses returns the classes, the most dangerous first.
func ParameterClasses() []string { return slices.Clone(parameterClasses) }

// Parameters returns the catalogue: class by class, in each the other parameters before the
// capabilities. Evidence is listed in this order.
func Parameters() []Parameter { return slices.Clone(parameters) }

// LookupParameter finds a parameter by its name; a capability also with CAP_ and in any case.
func LookupParameter(name string) (Parameter, bool) {
	i, ok := parameterIndex[name]
	if !ok {
		if i, ok = parameterIndex[strings.TrimPrefix(strings.ToUpper(name), "CAP_")]; !ok {
			return Parameter{}, false
		}
	}
	return parameters[i], true
}

// checkParameter accepts what privileges.parameters may list: a class or a parameter.
func checkParameter(name string) error {
	if _, ok := LookupParameter(name); ok || slices.Contains(parameterClasses, name) {
		return nil
	}
	return fmt.Errorf("unknown parameter %q; write a class (%s) or a parameter that `portcullis policy parameters` lists",
		name, strings.Join(parameterClasses, ", "))
}

// parameterIndex is name → place in parameters.
var parameterIndex = func() map[string]int {
	index := make(map[string]int, len(parameters))
	for i, p := range parameters {
		index[p.Name] = i
	}
	return index
}()

var parameters = slices.Concat(
	others(ClassHighRisk,
		Parameter{Name: "privileged", Risk: "is root on the node: every capability, every device, no confinement", Instead: "add the single capability or device it needs"},
		Parameter{Name: "all-capabilities", Risk: "holds every capability, enough to take over the node", Instead: "add only the capabilities it needs"},
		Parameter{Name: "runtime-socket", Risk: "can start any container on the node, privileged ones too", Instead: "use the Kubernetes API with a service account"},
		Parameter{Name: "host-root-writable", Risk: "can change every file of the node", Instead: "mount the one directory it needs, read-only"},
		Parameter{Name: "host-device", Risk: "reads and writes a device of the node, past its file permissions", Instead: "use a device plugin that hands out only harmless devices"},
		Parameter{Name: "mount-propagation-bidirectional", Risk: "can mount file systems on the node", Instead: "use HostToContainer, or a CSI driver"},
		Parameter{Name: "seccomp-unconfined", ByName: true, Risk: "may use every system call, the ones that kernel exploits need too", Instead: "set seccompProfile RuntimeDefault (kubelet: seccompDefault: true)"},
		Parameter{Name: "apparmor-unconfined", Risk: "is not confined by AppArmor", Instead: "set appArmorProfile RuntimeDefault"},
		Parameter{Name: "unmasked-proc", Risk: "sees the kernel files under /proc and /sys that are otherwise hidden or read-only", Instead: "set procMount Default"},
	),
	capabilities(ClassHighRisk,
		Parameter{Name: "DAC_READ_SEARCH", Risk: "opens any file by its handle, outside its root too"},
		Parameter{Name: "SYS_MODULE", Risk: "loads kernel modules"},
		Parameter{Name: "SYS_RAWIO", Risk: "accesses I/O ports and raw memory"},
		Parameter{Name: "SYS_PTRACE", Risk: "reads and changes other processes"},
		Parameter{Name: "SYS_ADMIN", Risk: "mounts, enters namespaces and much more: nearly root on the node"},
		Parameter{Name: "MAC_OVERRIDE", Risk: "ignores mandatory access control"},
		Parameter{Name: "MAC_ADMIN", Risk: "changes mandatory access control"},
		Parameter{Name: "PERFMON", Risk: "traces the kernel and other processes"},
		Parameter{Name: "BPF", Risk: "loads BPF programs into the kernel"},
		Parameter{Name: "CHECKPOINT_RESTORE", Risk: "chooses process IDs and reads other processes' files while restoring"},
	),
	others(ClassSystem,
		Parameter{Name: "host-pid", Risk: "sees and signals every process of the node", Instead: "remove hostPID"},
		Parameter{Name: "host-ipc", Risk: "reads and writes the shared memory of the node's processes", Instead: "remove hostIPC"},
		Parameter{Name: "unsafe-sysctl", Risk: "sets kernel parameters that may affect the whole node", Instead: "set it on the node, or use a safe sysctl"},
		Parameter{Name: "selinux-spc", Risk: "runs as super-privileged container: SELinux does not confine it", Instead: "keep the type container_t, or write a policy module"},
		Parameter{Name: "share-process-namespace", ByName: true, Risk: "sees and signals the processes of other containers", Instead: "remove shareProcessNamespace"},
		Parameter{Name: "seccomp-localhost", ByName: true, Risk: "uses a seccomp profile of the node that nobody vouches for", Instead: "set seccompProfile RuntimeDefault"},
		Parameter{Name: "apparmor-localhost", ByName: true, Risk: "uses an AppArmor profile of the node that nobody vouches for", Instead: "set appArmorProfile RuntimeDefault"},
	),
	capabilities(ClassSystem,
		Parameter{Name: "SYS_BOOT", Risk: "reboots the node or loads another kernel"},
		Parameter{Name: "SYS_TIME", Risk: "sets the node's clock"},
		Parameter{Name: "SYS_RESOURCE", Risk: "exceeds resource limits and quotas"},
		Parameter{Name: "SYS_NICE", Risk: "takes processor time from others"},
		Parameter{Name: "SYS_PACCT", Risk: "switches process accounting"},
		Parameter{Name: "SYS_TTY_CONFIG", Risk: "controls virtual terminals"},
		Parameter{Name: "SYSLOG", Risk: "reads the kernel log and its addresses"},
		Parameter{Name: "AUDIT_CONTROL", Risk: "changes the rules of the kernel's audit"},
		Parameter{Name: "AUDIT_READ", Risk: "reads the kernel's audit log"},
		Parameter{Name: "SYS_CHROOT", ByName: true, Risk: "changes its root directory"},
		Parameter{Name: "AUDIT_WRITE", ByName: true, Risk: "writes to the kernel's audit log"},
	),
	others(ClassNetwork,
		Parameter{Name: "host-network", Risk: "uses the node's network: its loopback services, its addresses, its traffic", Instead: "remove hostNetwork; publish through a Service"},
		Parameter{Name: "host-port", Risk: "listens on the node's address, past network policies", Instead: "publish through a Service"},
		Parameter{Name: "unsafe-net-sysctl", Risk: "sets kernel network parameters that are not known to be safe", Instead: "set it on the node, or use a safe sysctl"},
	),
	capabilities(ClassNetwork,
		Parameter{Name: "NET_ADMIN", Risk: "changes interfaces, routes and firewall rules"},
		Parameter{Name: "NET_BROADCAST", Risk: "broadcasts and listens to multicasts"},
		Parameter{Name: "NET_RAW", ByName: true, Risk: "forges packets, as in ARP and DNS spoofing"},
		Parameter{Name: "NET_BIND_SERVICE", ByName: true, Risk: "listens on ports below 1024"},
	),
	others(ClassFile,
		Parameter{Name: "host-path-sensitive", Risk: "sees a directory that holds the node's secrets, binaries or controls", Instead: "use a volume of its own, or a narrower path"},
		Parameter{Name: "host-path-writable", Risk: "changes files of the node", Instead: "mount it read-only, or use a volume of its own"},
		Parameter{Name: "host-path", Risk: "reads files of the node", Instead: "use a configMap, a secret, an emptyDir or a persistent volume"},
		Parameter{Name: "mount-propagation-host-to-container", Risk: "sees file systems that the node mounts later", Instead: "remove mountPropagation"},
	),
	capabilities(ClassFile,
		Parameter{Name: "LINUX_IMMUTABLE", Risk: "changes immutable and append-only files"},
		Parameter{Name: "MKNOD", ByName: true, Risk: "makes device files"},
		Parameter{Name: "DAC_OVERRIDE", ByName: true, Risk: "ignores file permissions"},
		Parameter{Name: "CHOWN", ByName: true, Risk: "changes the owner of files"},
		Parameter{Name: "FOWNER", ByName: true, Risk: "acts as the owner of any file"},
		Parameter{Name: "FSETID", ByName: true, Risk: "keeps set-user-ID bits of files it changes"},
		Parameter{Name: "SETFCAP", ByName: true, Risk: "gives files capabilities"},
	),
	others(ClassBasic,
		Parameter{Name: "run-as-root", ByName: true, Risk: "runs as user 0: an escape arrives as root", Instead: "set runAsNonRoot and a runAsUser above 0"},
		Parameter{Name: "allow-privilege-escalation", ByName: true, Risk: "gains rights through set-user-ID programs", Instead: "set allowPrivilegeEscalation: false"},
		Parameter{Name: "writable-rootfs", ByName: true, Risk: "lets an intruder change the programs it runs", Instead: "set readOnlyRootFilesystem: true and mount an emptyDir where it writes"},
		Parameter{Name: "root-group", ByName: true, Risk: "reads and writes what group 0 may", Instead: "set a runAsGroup above 0"},
	),
	capabilities(ClassBasic,
		Parameter{Name: "IPC_LOCK", Risk: "locks memory without limit"},
		Parameter{Name: "IPC_OWNER", Risk: "accesses any System V IPC object"},
		Parameter{Name: "LEASE", Risk: "delays others' access to files by leases"},
		Parameter{Name: "WAKE_ALARM", Risk: "wakes the machine from sleep"},
		Parameter{Name: "BLOCK_SUSPEND", Risk: "keeps the machine from sleeping"},
		Parameter{Name: "KILL", ByName: true, Risk: "signals any process it can see"},
		Parameter{Name: "SETGID", ByName: true, Risk: "takes on any group"},
		Parameter{Name: "SETUID", ByName: true, Risk: "takes on any user"},
		Parameter{Name: "SETPCAP", ByName: true, Risk: "changes the capabilities of its processes"},
	),
)

func others(class string, list ...Parameter) []Parameter {
	for i := range list {
		list[i].Class = class
	}
	return list
}

// capabilities fills in what all capabilities have in common. Those that are ByName are the runtime's
// default capabilities.
func capabilities(class string, list ...Parameter) []Parameter {
	for i := range list {
		list[i].Class, list[i].Capability = class, true
		list[i].Instead = "remove it from capabilities.add"
		if list[i].ByName {
			list[i].Instead = "list it, or ALL, in capabilities.drop"
		}
	}
	return list
}
