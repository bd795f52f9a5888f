package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"portcullis/internal/node"
	"portcullis/uplink/uplinktest"
)

func TestJoinKeepsTheCertificateAndSaysWhatComesNext(t *testing.T) {
	central, dir := uplinktest.New(t), t.TempDir()
	file := filepath.Join(dir, "c.yaml")
	require.NoError(t, os.WriteFile(file, fmt.Appendf(nil, "runtime: /run/none/r.sock\nstate: %s/state\nnode: n1\n", dir), 0o600))
	config, err := node.ReadConfig(file)
	require.NoError(t, err)
	var out strings.Builder
	require.NoError(t, join(context.Background(), config, []string{central.Address()}, central.Token(), &out))
	require.Contains(t, out.String(), "as node n1 (node-1)")
	require.Contains(t, out.String(), fmt.Sprintf("central: {address: %q}", central.Address()))
	require.FileExists(t, filepath.Join(dir, "state/central/identity.pem"))
}

func TestJoinGoesOnToTheNextReplicaWhereOneIsAwayButNotWhereOneRefuses(t *testing.T) {
	central, dir := uplinktest.New(t), t.TempDir()
	config := node.Config{Node: "n1", State: dir, Central: node.Central{Addresses: []string{"https://127.0.0.1:1", central.Address()}}}
	used := "pcj_used.secret." + central.Authority.Fingerprint()
	err := join(context.Background(), config, []string{central.Address(), "https://127.0.0.1:1"}, used, io.Discard)
	require.ErrorContains(t, err, "token is used up, expired or unknown")
	var out strings.Builder
	require.NoError(t, join(context.Background(), config, config.Central.All(), central.Token(), &out))
	require.Contains(t, out.String(), "A running portcullisd connects within a minute")
	require.Contains(t, out.String(), "joined "+central.Address())
}

func TestATokenComesFromAFileOrStandardInputSoThatNobodySeesIt(t *testing.T) {
	file := filepath.Join(t.TempDir(), "token")
	require.NoError(t, os.WriteFile(file, []byte("from-a-file\n"), 0o600))
	for _, c := range []struct{ token, file, want string }{{"t", "", "t"}, {"", file, "from-a-file"}, {"", "-", "from-input"}} {
		token, err := readToken(c.token, c.file, strings.NewReader("from-input\n"))
		require.NoError(t, err)
		require.Equal(t, c.want, token)
	}
	_, err := readToken("", "", nil)
	require.ErrorContains(t, err, "write either --token-file FILE")
	_, err = readToken("t", file, nil)
	require.ErrorContains(t, err, "write either --token-file FILE")
}
