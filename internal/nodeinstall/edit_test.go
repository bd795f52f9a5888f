package nodeinstall

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"
)

const ours = "unix://" + DefaultListen

// FuzzConfigOfTheKubelet: whatever a configuration looks like, an edit is refused, or it sets the endpoint and
// can be undone to the byte.
func FuzzConfigOfTheKubelet(f *testing.F) {
	for _, n := range nodes {
		f.Add([]byte(n.files["/var/lib/kubelet/config.yaml"]))
	}
	f.Add([]byte("? containerRuntimeEndpoint\n: x\n"))
	f.Add([]byte("containerRuntimeEndpoint: |\n  unix:///x\n"))
	f.Add([]byte("containerRuntimeEndpoint: !!str \"unix:\\/\\/\\/x\"\n"))
	f.Add([]byte("\ufeffkind: é\ncontainerRuntimeEndpoint: é\n"))
	f.Add([]byte("{}"))
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := parseConfig("config.yaml", data)
		if err != nil {
			return
		}
		edit := &Edit{Was: c.doc.Scalar(endpointKey), Now: ours}
		edited, err := c.set(ours)
		if err != nil || edit.Was == ours {
			return
		}
		after, err := parseConfig("config.yaml", edited)
		require.NoError(t, err)
		require.Equal(t, ours, after.doc.Scalar(endpointKey))
		if back, err := edit.reverse("config.yaml", edited); err == nil && !c.doc.Has(endpointKey) {
			require.Equal(t, string(data), string(back))
		}
	})
}

// FuzzFlagOfTheKubelet: an edit of a command line changes values of the flag and not a byte else.
func FuzzFlagOfTheKubelet(f *testing.F) {
	f.Add([]byte(kubeadmFlags))
	f.Add([]byte("#--container-runtime-endpoint=a\n--container-runtime-endpoint=b --container-runtime-endpoint 'c'"))
	f.Fuzz(func(t *testing.T, data []byte) {
		edited := replaceFlag(data, ours)
		if edited == nil {
			return
		}
		require.Nil(t, replaceFlag(edited, ours), "nothing is left to do")
		for line := range bytes.Lines(data) {
			if start := bytes.TrimLeft(line, " \t"); len(start) > 0 && start[0] == '#' {
				require.True(t, bytes.Contains(edited, line), "comments stay")
			}
		}
	})
}

func TestEditOfAFlagTouchesNothingElse(t *testing.T) {
	tests := map[string]struct{ before, after string }{
		"with =":           {"A=\"--x --container-runtime-endpoint=/run/a.sock --y\"", "A=\"--x --container-runtime-endpoint=" + ours + " --y\""},
		"with a blank":     {"--container-runtime-endpoint  unix:///a\r\n", "--container-runtime-endpoint  " + ours + "\r\n"},
		"quoted":           {"'--container-runtime-endpoint='\n--container-runtime-endpoint=\"unix:///a\"", "'--container-runtime-endpoint='\n--container-runtime-endpoint=\"" + ours + "\""},
		"in a comment":     {"; --container-runtime-endpoint=a\n  # --container-runtime-endpoint=a\n", ""},
		"of another name":  {"--container-runtime-endpoint-timeout=2 --x-container-runtime-endpoint=3", ""},
		"as it is to be":   {"--container-runtime-endpoint=" + ours, ""},
		"twice":            {"--container-runtime-endpoint=a --container-runtime-endpoint=b", "--container-runtime-endpoint=" + ours + " --container-runtime-endpoint=" + ours},
		"after a comment":  {"# x\n--container-runtime-endpoint=a", "# x\n--container-runtime-endpoint=" + ours},
		"without anything": {"", ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			require.Equal(t, test.after, string(replaceFlag([]byte(test.before), ours)))
		})
	}
}
