package main_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

var built struct {
	once   sync.Once
	folder string
	err    error
	output []byte
}

// program is the command, built once for all tests.
func program(t testing.TB) string {
	t.Helper()
	built.once.Do(func() {
		if built.folder, built.err = os.MkdirTemp("", "portcullis-scan-test-"); built.err == nil {
			built.output, built.err = exec.Command("go", "build", "-o", built.folder, ".").CombinedOutput()
		}
	})
	require.NoError(t, built.err, "%s", built.output)
	return filepath.Join(built.folder, "portcullis-scan")
}

func TestMain(m *testing.M) {
	status := m.Run()
	os.RemoveAll(built.folder)
	os.Exit(status)
}
