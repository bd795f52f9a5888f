package doctor

import (
	"strings"

	"portcullis/internal/daemonclient"
	"portcullis/internal/nodeinstall"
)

// Status is what is in force on this node.
type Status struct {
	InForce   bool                 `json:"inForce"`
	Why       string               `json:"why,omitempty"` // not
	Installed string               `json:"installed"`     // the phase that install is in, "no", or "by hand"
	Kubelet   KubeletStatus        `json:"kubelet"`
	Daemon    *daemonclient.Daemon `json:"portcullisd"` // null when it cannot be asked
	Listen    string               `json:"listen,omitempty"`
	Runtime   string               `json:"runtime,omitempty"` // its name, version and socket
}

// KubeletStatus is where the kubelet goes.
type KubeletStatus struct {
	PID       int    `json:"pid,omitempty"`
	Endpoint  string `json:"endpoint,omitempty"`
	From      string `json:"from,omitempty"`
	Through   bool   `json:"throughPortcullis"`
	Connected bool   `json:"connected"` // seen to be
}

// Summarize says in short what Examine says check by check.
func Summarize(f *Facts) *Status {
	s := &Status{Installed: "no", Daemon: f.Daemon, Listen: f.Listen.Path}
	if k := f.Kubelet; k != nil {
		s.Kubelet = KubeletStatus{PID: k.PID, Endpoint: k.Endpoint, From: k.From}
		s.Kubelet.Through = f.ConfigProblem == "" && nodeinstall.SameSocket(k.Socket(), f.Listen.Path)
		s.Kubelet.Connected = k.PID != 0 && holds(f.Listen.Clients, k.PID)
	}
	switch {
	case f.Install != nil:
		s.Installed = string(f.Install.Phase)
	case s.Kubelet.Through:
		s.Installed = "by hand"
	}
	if f.Runtime.Path != "" && f.Runtime.Silent == "" {
		s.Runtime = f.Runtime.Runtime.String() + " at " + f.Runtime.Path
	}
	s.Why = notInForce(f, s)
	s.InForce = s.Why == ""
	return s
}

func notInForce(f *Facts, s *Status) string {
	switch {
	case f.ConfigProblem != "":
		return strings.SplitN(f.ConfigProblem, "\n", 2)[0]
	case f.Kubelet == nil:
		return wrong("", f.KubeletProblem)[0].Says
	case !s.Kubelet.Through:
		return "the kubelet goes to " + s.Kubelet.Endpoint
	case s.Kubelet.PID == 0:
		return "the kubelet does not run"
	case !s.Kubelet.Connected && f.Listen.ClientsProblem == "":
		return "the kubelet is not connected to portcullisd"
	case f.bypassed():
		return "portcullisd is bypassed: containers start unchecked"
	case f.Daemon == nil && (f.DaemonProblem != "" || f.Listen.Silent != ""):
		return "portcullisd does not answer"
	case f.Daemon != nil && !f.Daemon.Ready:
		return "portcullisd is not ready: " + strings.Join(f.Daemon.Missing, "; ")
	}
	return ""
}
