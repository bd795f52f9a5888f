package e2e

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	runtime "k8s.io/cri-api/pkg/apis/runtime/v1"

	"portcullis/e2e/lab"
)

func TestExplainAgreesWithTheDaemon(t *testing.T) {
	onEachRuntime(t, bundle(noCriticals, noPrivilegeNorSocket), func(n *node) {
		risky, reference := n.image("risky")
		n.scannedRisky(risky)
		clean, _ := n.image("clean")
		n.scanned(clean)
		n.knowsVerdicts(2)
		pod := n.pod(lab.Pod{Name: "shop", Namespace: "sales"})
		link := filepath.Join(n.t.TempDir(), "link")
		require.NoError(n.t, os.Symlink(n.containerd.Socket, link))
		for _, container := range []lab.Container{
			{Name: "risky", Image: risky, Reference: reference, Env: map[string][]byte{"KEY": []byte("a value")}},
			{Name: "privileged", Image: clean, AddCapabilities: []string{"SYS_ADMIN", "NET_RAW"}},
			{Name: "socket", Image: clean, HostPath: link},
			{Name: "both", Image: risky, HostPath: n.containerd.Socket},
			{Name: "clean", Image: clean},
		} {
			request := pod.CreateRequest(container)
			_, err := n.cri.Runtime.CreateContainer(n.ctx, request)

			action, because := n.explain(request, map[string]string{link: n.containerd.Socket})

			if status.Code(err) == codes.OK {
				require.Equal(n.t, "allow", action, "%s: %s", container.Name, because)
				continue
			}
			require.Equal(n.t, "block", action, container.Name)
			require.Contains(n.t, n.refused(err), "): "+because+". ", container.Name)
		}
	})
}

var noPrivilegeNorSocket = policy("no privileges", "Immediate",
	"template: PrivilegedStart\n  privileges: {parameters: [SYS_ADMIN, runtime-socket]}")

// explain asks the command line why the container of a request would be blocked, with what the runtime
// and the node know of it.
func (n *node) explain(request *runtime.CreateContainerRequest, links map[string]string) (action, because string) {
	n.t.Helper()
	image := request.GetConfig().GetImage()
	held, err := n.direct.Images.ImageStatus(n.ctx, &runtime.ImageStatusRequest{Image: image})
	require.NoError(n.t, err)
	file := filepath.Join(n.t.TempDir(), "container.yaml")
	content, err := json.Marshal(map[string]any{
		"image": map[string]any{
			"id": held.GetImage().GetId(), "tags": held.GetImage().GetRepoTags(), "digests": held.GetImage().GetRepoDigests(),
		},
		"host":    map[string]any{"sockets": []string{n.containerd.Socket, n.Socket}, "symlinks": links},
		"sandbox": n.inJSON(request.GetSandboxConfig()),
		"config":  n.inJSON(request.GetConfig()),
	})
	require.NoError(n.t, err)
	require.NoError(n.t, os.WriteFile(file, content, 0o600))

	output, exit, err := lab.Portcullis("policy", "explain", n.Policies, "--container", file,
		"--verdict", n.Verdict(held.GetImage().GetId()), "--output", "json")

	require.NoError(n.t, err)
	var said struct{ Action, Because string }
	require.NoError(n.t, json.Unmarshal([]byte(output), &said))
	require.Equal(n.t, said.Action == "block", exit == 1, "exit status %d", exit)
	return said.Action, said.Because
}

func (n *node) inJSON(message proto.Message) json.RawMessage {
	text, err := protojson.Marshal(message)
	require.NoError(n.t, err)
	return text
}
