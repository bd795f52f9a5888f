package e2e

import (
	"context"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	runtime "k8s.io/cri-api/pkg/apis/runtime/v1"

	"portcullis/e2e/lab"
)

// BenchmarkSideBySide compares calls to a real containerd made directly, through a relay of plain
// bytes, and through portcullisd. One iteration is one round of all three in turn; the figures are
// medians of the rounds.
//
//	make build && cd e2e && go test -run '^$' -bench SideBySide -benchtime 9x .
func BenchmarkSideBySide(b *testing.B) {
	if world == nil {
		b.Skip("starts container runtimes and needs root")
	}
	containerd := world.containerds[len(world.containerds)-1]
	daemon, err := lab.NewPortcullisd("bench", containerd.Socket, lab.PortcullisdOptions{})
	require.NoError(b, err)
	require.NoError(b, daemon.WritePolicies("policies.yaml", noCriticals))
	require.NoError(b, daemon.Start())
	b.Cleanup(func() { require.NoError(b, daemon.Stop()) })

	ways := []*way{{name: "direct"}, {name: "bytes"}, {name: "portcullisd"}}
	for i, socket := range []string{containerd.Socket, relayBytes(b, containerd.Socket), daemon.Socket} {
		ways[i].took = map[string][]time.Duration{}
		ways[i].cri, err = lab.Dial(socket)
		require.NoError(b, err)
		b.Cleanup(func() { require.NoError(b, ways[i].cri.Close()) })
	}
	pod, err := ways[2].cri.RunPod(b.Context(), lab.Pod{Name: "bench"})
	require.NoError(b, err)
	b.Cleanup(func() { require.NoError(b, ways[0].cri.RemovePod(context.Background(), pod.ID)) })
	image, err := ways[0].cri.Pull(b.Context(), world.sandbox)
	require.NoError(b, err)
	for b.Loop() {
		for _, w := range ways {
			w.round(b, pod, image)
		}
	}
	report(ways)
}

// way is one way from the client to containerd.
type way struct {
	name string
	cri  *lab.CRI
	took map[string][]time.Duration // medians of each round
}

func (w *way) round(b *testing.B, pod *lab.Sandbox, image string) {
	w.measure(b, "Version", 500, func(int) error {
		_, err := w.cri.Runtime.Version(b.Context(), &runtime.VersionRequest{})
		return err
	})
	w.measure(b, "ListImages", 200, func(int) error {
		_, err := w.cri.Images.ListImages(b.Context(), &runtime.ListImagesRequest{})
		return err
	})
	var ids []string
	w.measure(b, "CreateContainer", 10, func(i int) error {
		id, err := w.cri.Create(b.Context(), pod, lab.Container{Name: fmt.Sprint("c", i), Image: image})
		ids = append(ids, id)
		return err
	})
	for _, id := range ids {
		_, err := w.cri.Runtime.RemoveContainer(b.Context(), &runtime.RemoveContainerRequest{ContainerId: id})
		require.NoError(b, err)
	}
}

func (w *way) measure(b *testing.B, what string, times int, call func(i int) error) {
	took := make([]time.Duration, times)
	for i := range took {
		began := time.Now()
		require.NoError(b, call(i))
		took[i] = time.Since(began)
	}
	w.took[what] = append(w.took[what], middle(took))
}

func middle(durations []time.Duration) time.Duration {
	return slices.Sorted(slices.Values(durations))[len(durations)/2]
}

// report prints a table of medians, as Markdown.
func report(ways []*way) {
	var out strings.Builder
	out.WriteString("\n| p50 | direct | bytes, added | portcullisd, added |\n| --- | --- | --- | --- |\n")
	for _, what := range []string{"Version", "ListImages", "CreateContainer"} {
		fmt.Fprintf(&out, "| %s | %s |", what, middle(ways[0].took[what]).Round(10*time.Microsecond))
		for _, w := range ways[1:] {
			var added []time.Duration
			for i, took := range w.took[what] {
				added = append(added, took-ways[0].took[what][i])
			}
			fmt.Fprintf(&out, " %s |", middle(added).Round(10*time.Microsecond))
		}
		out.WriteString("\n")
	}
	fmt.Println(out.String())
}

// relayBytes copies bytes between the socket that it returns and another.
func relayBytes(b *testing.B, to string) string {
	listener, err := net.Listen("unix", filepath.Join(b.TempDir(), "bytes.sock"))
	require.NoError(b, err)
	b.Cleanup(func() { listener.Close() })
	go func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			server, err := net.Dial("unix", to)
			if err != nil {
				client.Close()
				continue
			}
			go func() { _, _ = io.Copy(server, client); server.Close() }()
			go func() { _, _ = io.Copy(client, server); client.Close() }()
		}
	}()
	return listener.Addr().String()
}
