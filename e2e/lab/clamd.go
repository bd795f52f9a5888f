package lab

import (
	"context"
	"crypto/md5" //nolint:gosec // the form of ClamAV's signatures
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Clamd is a real clamd that knows a few signatures.
type Clamd struct {
	*process
	Socket string
}

// StartClamd starts a clamd with a folder of this name. It knows files by their whole content: signatures is
// name → content.
func StartClamd(name string, signatures map[string]string) (*Clamd, error) {
	path, err := program("clamd", "apt-get install clamav-daemon")
	if err != nil {
		return nil, err
	}
	dir, err := Dir(name)
	if err != nil {
		return nil, err
	}
	var database strings.Builder
	for name, content := range signatures {
		fmt.Fprintf(&database, "%x:%d:%s\n", md5.Sum([]byte(content)), len(content), name) //nolint:gosec // see the import
	}
	c := &Clamd{Socket: filepath.Join(dir, "clamd.sock")}
	config := fmt.Sprintf("LocalSocket %s\nDatabaseDirectory %s\nTemporaryDirectory %s\nForeground yes\nUser root\n", c.Socket, dir, dir)
	for name, content := range map[string]string{"local.hdb": database.String(), "clamd.conf": config} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			return nil, fmt.Errorf("clamd: %w", err)
		}
	}
	if c.process, err = startProcess("clamd", dir, exec.Command(path, "-c", filepath.Join(dir, "clamd.conf"))); err != nil {
		return nil, err
	}
	return c, c.await(func(ctx context.Context) error {
		connection, err := (&net.Dialer{}).DialContext(ctx, "unix", c.Socket)
		if err != nil {
			return err
		}
		return connection.Close()
	})
}
