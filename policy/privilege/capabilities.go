package privilege

import (
	"slices"
	"strings"

	cri "k8s.io/cri-api/pkg/apis/runtime/v1"

	"portcullis/policy"
)

// capabilities names every capability that the container ends up with, as containerd works it out:
// the defaults, then ALL added, then ALL dropped, then single ones added, then single ones dropped.
// Of a capability that came along with another parameter the detail names that.
func (c *collector) capabilities(sandbox *cri.PodSandboxConfig, container *cri.ContainerConfig) {
	kept := map[string]string{}
	asked := container.GetLinux().GetSecurityContext().GetCapabilities()
	added := slices.Concat(asked.GetAddCapabilities(), asked.GetAddAmbientCapabilities())
	switch {
	case isPrivileged(sandbox, container):
		fill(kept, everyCapability, "privileged")
	case slices.ContainsFunc(asked.GetDropCapabilities(), isAll):
	case slices.ContainsFunc(added, isAll):
		c.ask("all-capabilities", "")
		fill(kept, everyCapability, "all-capabilities")
	default:
		fill(kept, defaultCapabilities, "")
	}
	for _, name := range added {
		if p, known := policy.LookupParameter(name); known && p.Capability {
			kept[p.Name] = ""
		}
	}
	if !isPrivileged(sandbox, container) {
		drop(kept, asked.GetDropCapabilities())
	}
	for name, detail := range kept {
		c.ask(name, detail)
	}
}

// everyCapability and defaultCapabilities are names. The defaults are containerd's.
var everyCapability, defaultCapabilities = func() (every, defaults []string) {
	for _, p := range policy.Parameters() {
		if p.Capability {
			every = append(every, p.Name)
			if p.ByName {
				defaults = append(defaults, p.Name)
			}
		}
	}
	return every, defaults
}()

func fill(kept map[string]string, names []string, detail string) {
	for _, name := range names {
		kept[name] = detail
	}
}

// drop removes capabilities from kept. Containerd does not understand the prefix CAP_ in a drop list:
// it then keeps the capability, and so does this.
func drop(kept map[string]string, names []string) {
	for _, name := range names {
		upper := strings.ToUpper(name)
		bare, prefixed := strings.CutPrefix(upper, "CAP_")
		if !prefixed {
			delete(kept, bare)
		} else if detail, ok := kept[bare]; ok && detail == "" {
			kept[bare] = "containerd does not know " + upper + " in capabilities.drop"
		}
	}
}

func isAll(name string) bool { return strings.EqualFold(name, "ALL") }
