package policy

// Container is one container about to start: whose it is, which image it runs and what it asks for.
// The gate fills it from what the runtime says, never from text that the client merely asserts.
type Container struct {
	Cluster   string // the node's configured cluster name, "" when none is
	Namespace string
	Pod       string
	PodUID    string
	// PodAddress is the pod's IP address, "" where it is not known. It decides nothing.
	PodAddress string
	Name       string
	Image      Image
	// Asks is every privileged parameter that the container, or the sandbox it joins, asks for.
	Asks []Ask
}

// Image is one image as the runtime knows it.
type Image struct {
	ID      string   // "sha256:…" of the image config: the key of every verdict
	Tags    []string // repository:tag names the runtime holds for ID
	Digests []string // repository@sha256:… names the runtime holds for ID
	// Requested is the name that the pod's author wrote. It is shown to people and decides nothing.
	Requested string
}

// Ask is one privileged parameter that a container asks for.
type Ask struct {
	Parameter string `json:"parameter"` // identifier such as privileged, SYS_ADMIN or host-path
	// Detail is what exactly, such as the host path; "" when the parameter says it all. Of a capability
	// it is the parameter that brings it along: privileged or all-capabilities.
	Detail string `json:"detail,omitempty"`
}
