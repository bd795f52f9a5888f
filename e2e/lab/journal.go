package lab

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
)

// Journal is a systemd-journald of the lab's own, at the path where programs expect it.
type Journal struct{ *process }

// journaldConfig keeps everything that is sent, in memory, and only that.
const journaldConfig = `[Journal]
Storage=volatile
RateLimitIntervalSec=0
ReadKMsg=no
Audit=no
`

// StartJournal starts journald and waits until it takes entries.
func StartJournal() (*Journal, error) {
	dir, err := Dir("journal")
	if err != nil {
		return nil, err
	}
	path, err := program("/lib/systemd/systemd-journald", "apt-get install systemd")
	if err != nil {
		return nil, err
	}
	for _, d := range []string{"/run/systemd/journal", "/run/systemd/journald.conf.d", "/run/log/journal"} {
		if err := os.MkdirAll(d, 0o750); err != nil {
			return nil, fmt.Errorf("journal: %w", err)
		}
	}
	config := filepath.Join("/run/systemd/journald.conf.d", "lab.conf")
	if err := os.WriteFile(config, []byte(journaldConfig), 0o600); err != nil {
		return nil, fmt.Errorf("journal: %w", err)
	}
	p, err := startProcess("journald", dir, exec.Command(path))
	if err != nil {
		return nil, err
	}
	return &Journal{p}, p.await(func(context.Context) error {
		conn, err := net.Dial("unixgram", "/run/systemd/journal/socket")
		if err != nil {
			return fmt.Errorf("journal socket: %w", err)
		}
		return conn.Close()
	})
}

// Entries returns the journal's entries that have all of matches ("FIELD=value"), oldest first. An
// entry that was sent before the call is among them.
func (j *Journal) Entries(matches ...string) ([]map[string]string, error) {
	if output, err := exec.Command("journalctl", "--sync").CombinedOutput(); err != nil {
		return nil, fmt.Errorf("journalctl --sync: %w: %s", err, output)
	}
	query := exec.Command("journalctl", append([]string{"--output=json", "--all", "--no-pager", "--quiet"}, matches...)...)
	var problem bytes.Buffer
	query.Stderr = &problem
	output, err := query.Output()
	// journalctl exits with 1 and no word when nothing matches.
	if err != nil && (len(output) > 0 || problem.Len() > 0) {
		return nil, fmt.Errorf("journalctl: %w: %s", err, problem.String())
	}
	var entries []map[string]string
	for decoder := json.NewDecoder(bytes.NewReader(output)); ; {
		var fields map[string]json.RawMessage
		err := decoder.Decode(&fields)
		if errors.Is(err, io.EOF) {
			return entries, nil
		}
		if err != nil {
			return nil, fmt.Errorf("journalctl: %w", err)
		}
		entries = append(entries, texts(fields))
	}
}

// texts reads journalctl's values: a string, or an array of bytes where that is no printable text.
func texts(fields map[string]json.RawMessage) map[string]string {
	entry := make(map[string]string, len(fields))
	for key, raw := range fields {
		var text string
		if json.Unmarshal(raw, &text) == nil {
			entry[key] = text
			continue
		}
		var numbers []rune // each a byte, 0 to 255
		if json.Unmarshal(raw, &numbers) == nil {
			var value []byte
			for _, n := range numbers {
				value = append(value, byte(n)) //nolint:gosec // see above
			}
			entry[key] = string(value)
		}
	}
	return entry
}
