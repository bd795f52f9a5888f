package privilege

import (
	"path"
	"slices"

	cri "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// mounts reads mounts. Every Kubernetes volume reaches the runtime as a host path, so one is asked for
// only outside the directories that the kubelet made for this pod.
func (c *collector) mounts(sandbox *cri.PodSandboxConfig, container *cri.ContainerConfig, host Host) {
	own := host.ownDirectories(sandbox)
	for _, mount := range container.GetMounts() {
		if mount.GetHostPath() == "" {
			continue // an image volume
		}
		file := host.origin(host.spell(mount.GetHostPath()), own)
		detail := file.String()
		switch mount.GetPropagation() {
		case cri.MountPropagation_PROPAGATION_HOST_TO_CONTAINER:
			c.ask("mount-propagation-host-to-container", detail)
		case cri.MountPropagation_PROPAGATION_BIDIRECTIONAL:
			c.ask("mount-propagation-bidirectional", detail)
		}
		foreign := own.without(file)
		if len(foreign) == 0 {
			continue
		}
		c.ask("host-path", detail)
		c.askIf(!mount.GetReadonly(), "host-path-writable", detail)
		sensitive, socket := host.sensitive(foreign), host.socket(foreign)
		c.askIf(sensitive, "host-path-sensitive", detail)
		c.askIf(socket, "runtime-socket", detail)
		c.askIf(!mount.GetReadonly() && slices.Contains(foreign, "/"), "host-root-writable", detail)
		if link := host.unstable(mount.GetHostPath()); link != "" {
			detail += ", through the link " + link + ", which may be exchanged"
			c.askIf(!sensitive, "host-path-sensitive", detail)
			c.askIf(!socket, "runtime-socket", detail)
		}
	}
}

// without returns the names of s that lie outside the directories.
func (d directories) without(s spelling) spelling {
	var foreign spelling
	for _, name := range s {
		if !d.contain(name) {
			foreign = append(foreign, name)
		}
	}
	return foreign
}

// subpaths is where the kubelet binds mounts with a subPath, below a pod's directory.
const subpaths = "volume-subpaths"

// origin adds to a mount with a subPath where its files come from: the kubelet binds them into the
// pod's directory, so a hostPath would look like the kubelet's own.
func (h Host) origin(s spelling, own directories) spelling {
	if h.Mounts == nil || len(own.without(s)) > 0 {
		return s
	}
	for _, directory := range own {
		if !inside(s[0], path.Join(directory, subpaths)) {
			continue
		}
		table, err := h.Mounts()
		if err != nil {
			return s
		}
		return append(s, bindSources(table, s[0], own)...)
	}
	return s
}
