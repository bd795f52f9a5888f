// Package secrets answers: which credentials lie in this image?
//
// It looks at the text in all files that a container sees, at key stores, and at the config with the history of
// the build. A secret leaves this package only as its first characters and its SHA-256.
package secrets

import (
	"bytes"
	"cmp"
	"encoding/base64"
	"io"
	"runtime"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"

	"portcullis/cmd/portcullis-scan/rootfs"
	"portcullis/cmd/portcullis-scan/worst"
	"portcullis/scanner-client/verdict"
)

const (
	window  = 1 << 20  // bytes of a file that rules see at a time
	overlap = 64 << 10 // bytes that two windows share; the largest private keys have 13 KiB
)

// finding is a secret, still in full; it stays in this package.
type finding struct {
	rule  string
	kind  string
	level verdict.Severity
	value string
}

// Scan is an Inspector that looks for secrets in files.
type Scan struct {
	workers errgroup.Group

	mu    sync.Mutex
	found *worst.List[verdict.Secret]
}

// NewScan makes a Scan.
func NewScan() *Scan {
	s := &Scan{found: worst.New(compare)}
	s.workers.SetLimit(runtime.GOMAXPROCS(0))
	return s
}

// Inspect implements rootfs.Inspector.
func (s *Scan) Inspect(file rootfs.File) (io.WriteCloser, error) {
	if file.Size == 0 {
		return nil, nil
	}
	return &content{scan: s, file: file}, nil
}

// Findings waits for the last file and returns what was found, and how many more there were than fit.
func (s *Scan) Findings() (kept []verdict.Secret, omitted int) {
	_ = s.workers.Wait() // they return no errors
	return s.found.Findings()
}

// compare puts the worst secret first.
func compare(a, b verdict.Secret) int {
	return cmp.Or(cmp.Compare(b.Level, a.Level), strings.Compare(a.Path, b.Path), strings.Compare(a.History, b.History), strings.Compare(a.Rule, b.Rule), strings.Compare(a.SHA256, b.SHA256))
}

func (s *Scan) add(path string, findings []finding) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, f := range findings {
		secret := f.report()
		secret.Path = path
		s.found.Add(secret)
	}
}

// report is the only way out for a finding.
func (f finding) report() verdict.Secret {
	return verdict.Secret{Rule: f.rule, Type: f.kind, Level: f.level, Redacted: redact(f.value), SHA256: digest(f.value)}
}

// content is the one file that passes. It is cut into windows, which are looked at while the next file is
// read. Which files are text nobody can tell from some of their bytes, so the rules see every file.
type content struct {
	scan   *Scan
	file   rootfs.File
	buffer []byte
	begun  bool // a window was handed on
}

func (c *content) Write(p []byte) (int, error) {
	n := len(p)
	for len(p) > 0 {
		taken := min(len(p), window-len(c.buffer))
		c.buffer = append(c.buffer, p[:taken]...)
		p = p[taken:]
		if len(c.buffer) == window {
			c.hand(c.buffer)
			c.buffer = append(make([]byte, 0, window), c.buffer[window-overlap:]...)
		}
	}
	return n, nil
}

func (c *content) Close() error {
	if !c.begun || len(c.buffer) > overlap {
		c.hand(c.buffer)
	}
	return nil
}

func (c *content) hand(part []byte) {
	scan, file, first := c.scan, c.file, !c.begun
	c.begun = true
	scan.workers.Go(func() error {
		found := textFindings(file, textOf(part))
		if first {
			found = append(found, storeFindings(file, part)...)
		}
		if len(found) > 0 {
			scan.add(file.Path, found)
		}
		return nil
	})
}

// refined is the finding with what its value tells: some web tokens open a cluster.
func (f finding) refined() finding {
	if f.rule == "jwttoken" && ofKubernetes(f.value) {
		f.kind, f.level = clusterCredential, levelOf(clusterCredential)
	}
	return f
}

// ofKubernetes says whether a JSON web token is that of a service account.
func ofKubernetes(token string) bool {
	parts := strings.Split(token, ".")
	if len(parts) < 2 {
		return false
	}
	claims, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(parts[1], "="))
	return err == nil && bytes.Contains(claims, []byte(`kubernetes`))
}
