package node_test

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"portcullis/internal/node"
)

func readConfig(t *testing.T, text string) (node.Config, error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "c.yaml")
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	return node.ReadConfig(path)
}

func TestOnlyTheRuntimeHasToBeConfigured(t *testing.T) {
	config, err := readConfig(t, "runtime: unix:///run/none/r.sock\n")
	require.NoError(t, err)
	require.Equal(t, "/run/none/r.sock", config.Runtime)
	require.Equal(t, "/run/portcullis/portcullis.sock", config.Listen)
	require.Equal(t, 2*time.Second, config.Timeouts.Decision)
	require.NotEmpty(t, config.Node)
}

func TestEveryMistakeInTheConfigurationSaysWhatToWriteInstead(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	link := filepath.Join(t.TempDir(), "link")
	require.NoError(t, os.Symlink(dir, link))
	const good = "runtime: /run/none/r.sock\n"
	for name, c := range map[string]struct{ in, want string }{
		"empty file":              {"", "file is empty"},
		"unknown key":             {good + "polices: /etc/p\n", "c.yaml:2: polices: unknown key; check the spelling"},
		"wrong type":              {good + "timeouts:\n  decision: soon\n", "c.yaml:3: timeouts.decision: wrong type: cannot read the text `soon` as a duration such as 2s or 5m"},
		"no runtime":              {"node: n\n", "runtime: required; set the runtime's CRI socket, such as /run/containerd/containerd.sock"},
		"runtime is a file":       {"runtime: " + file + "\n", "runtime: " + file + " exists and is not a socket"},
		"listen is a file":        {good + "listen: " + file + "\n", "c.yaml:2: listen: " + file + " exists and is not a socket; it is left alone, choose another path"},
		"listen is a folder":      {good + "listen: " + dir + "\n", "exists and is not a socket"},
		"listen is too long":      {good + "listen: /" + strings.Repeat("x", 98) + "\n", "listen: path is 99 bytes, this socket's may have at most 98; choose a shorter one"},
		"listen is relative":      {good + "listen: p.sock\n", `listen: "p.sock" is not a unix socket; write an absolute path`},
		"listen is the runtime":   {good + "listen: /run/none/r.sock\n", "is the socket that Portcullis itself listens on"},
		"listen is it by a link":  {"runtime: " + link + "/r.sock\nlisten: " + dir + "/r.sock\n", "is the socket that Portcullis itself listens on"},
		"policies is relative":    {good + "policies: p\n", `policies: "p" is not an absolute path`},
		"no time to decide":       {good + "timeouts: {decision: 0s}\n", "timeouts.decision: 0s is out of range; set more than 0 and at most 1m"},
		"too large a cache":       {good + "verdictCache: {size: 9999999}\n", "verdictCache.size: 9999999 is out of range; set 1 to 1000000"},
		"folding without pause":   {good + "events: {foldInterval: 1ms}\n", "events.foldInterval: 1ms is out of range; set at least 1s"},
		"unknown answer":          {good + "unknown: {noBundle: Deny}\n", `unknown.noBundle: unknown answer "Deny"; write Allow, Alert or Block`},
		"metrics without port":    {good + "metrics: {address: localhost}\n", `metrics.address: "localhost" is not an address; write host:port`},
		"unknown level":           {good + "log: {level: loud}\n", `log.level: unknown level "loud"; write error, warning, info, debug or trace`},
		"unknown format":          {good + "log: {format: xml}\n", `log.format: unknown format "xml"; write text or json`},
		"two documents":           {good + "---\nnode: n\n", "is a second document; write everything in one"},
		"two mistakes are listed": {good + "listen: p.sock\nstate: s\n", "c.yaml:3: state"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := readConfig(t, c.in)
			require.ErrorContains(t, err, c.want)
		})
	}
}

func TestAMistakeHidesNoOtherButItsConsequences(t *testing.T) {
	for text, want := range map[string][]string{
		"runtime: /run/none/r.sock\nstate: s\npolices: /etc/p\nlog: {colour: red, level: loud}\n": {"2: state", "3: polices", "4: log.colour", "4: log.level"},
		"state: s\nruntime: [a]\n": {"1: state", "2: runtime"},
		"runtime:\n  socket: /x\n": {"2: runtime.socket"},
		"runtime: /run/none/r.sock\ncentral: {addresses: https://c:8443}\nstate: s\n": {"2: central.addresses", "3: state"},
		"state: s\n---\nnode: n\n":      {"1: runtime", "1: state", "3"},
		"- runtime: /run/none/r.sock\n": {"1"},
	} {
		_, err := readConfig(t, text)
		require.Error(t, err)
		lines := strings.Split(err.Error(), "\n")
		require.Len(t, lines, len(want), err.Error())
		for i := range want {
			require.Contains(t, lines[i], "c.yaml:"+want[i]+": ", err.Error())
		}
	}
}

func TestCheckFindsWhatWouldMakeAStartUseless(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.Mkdir(filepath.Join(dir, "policies"), 0o700))
	config, err := readConfig(t, "runtime: "+dir+"/r.sock\nlisten: "+dir+"/own/p.sock\npolicies: "+dir+"/policies\n")
	require.NoError(t, err)
	_, err = config.Check()
	require.ErrorIs(t, err, node.ErrNoRuntime)

	listener, err := net.Listen("unix", dir+"/r.sock")
	require.NoError(t, err)
	defer listener.Close()
	report, err := config.Check()
	require.NoError(t, err)
	require.Contains(t, report, "0 policies")

	require.NoError(t, os.WriteFile(dir+"/policies/a.yaml", []byte("kind: X\n"), 0o600))
	_, err = config.Check()
	require.ErrorContains(t, err, "policies/a.yaml:1: kind")
	require.NoDirExists(t, dir+"/own", "a check changes nothing")
}
