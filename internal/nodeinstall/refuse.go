package nodeinstall

import "path/filepath"

// Refusal says why nothing was done, and what to do.
type Refusal struct{ Why, Do string }

func (r *Refusal) Error() string { return r.Why + ";\n  " + r.Do }

func refuse(why, do string) error { return &Refusal{why, do} }

// embedding are distributions whose kubelet is a part of another program: there is no file of a
// kubelet's own to change, and what they write themselves they write again at every start.
var embedding = []struct{ name, sign, do string }{
	{"k3s", "/etc/systemd/system/k3s*.service", "set kubelet-arg: [\"container-runtime-endpoint=ENDPOINT\"] in /etc/rancher/k3s/config.yaml, and in portcullisd.yaml runtime: /run/k3s/containerd/containerd.sock and kubelet.root as k3s has it"},
	{"RKE2", "/usr/local/lib/systemd/system/rke2-*.service", "set kubelet-arg: [\"container-runtime-endpoint=ENDPOINT\"] in /etc/rancher/rke2/config.yaml, and in portcullisd.yaml runtime: /run/k3s/containerd/containerd.sock"},
	{"MicroK8s", "/var/snap/microk8s/current/args/kubelet", "set --container-runtime-endpoint=ENDPOINT in /var/snap/microk8s/current/args/kubelet, and in portcullisd.yaml runtime: /var/snap/microk8s/common/run/containerd.sock and kubelet.root as MicroK8s has it"},
	{"k0s", "/etc/systemd/system/k0s*.service", "start k0s with --kubelet-extra-args=--container-runtime-endpoint=ENDPOINT, and in portcullisd.yaml set runtime: /run/k0s/containerd.sock and kubelet.root: /var/lib/k0s/kubelet"},
}

func refuseEmbedding(f files, listen string) error {
	for _, e := range embedding {
		if found, _ := filepath.Glob(f.full(e.sign)); len(found) == 0 { // fails for a malformed pattern only
			continue
		}
		return refuse("this is a node of "+e.name+", which runs the kubelet and its runtime itself; install changes nothing here",
			"by hand, tried on a node that you can lose, for we have not: "+replaceEndpoint(e.do, listen)+"; start portcullisd before "+e.name)
	}
	return nil
}
