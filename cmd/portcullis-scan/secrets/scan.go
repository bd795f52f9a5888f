// Package secrets answers: which credentials lie in this image?
//
// It looks at the text files that a container sees, at key stores, and at the config with the history of
// the build. A secret leaves this package only as its first characters and its SHA-256.
package secrets

import (
	"bytes"
	"cmp"
	"encoding/base64"
	"io"
	"runtime"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"

	"portcullis/cmd/portcullis-scan/rootfs"
	"portcullis/scanner-client/verdict"
)

const (
	window  = 1 << 20  // bytes of text that rules see at a time
	overlap = 64 << 10 // bytes that two windows share; the largest private keys have 13 KiB
	sniffed = 8 << 10  // bytes by which a file shows that it is text
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
	found map[place]verdict.Secret
}

// place tells findings apart.
type place struct{ where, rule, sha256 string }

// NewScan makes a Scan.
func NewScan() *Scan {
	s := &Scan{found: map[place]verdict.Secret{}}
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

// Findings waits for the last file and returns what was found.
func (s *Scan) Findings() []verdict.Secret {
	_ = s.workers.Wait() // they return no errors
	list := make([]verdict.Secret, 0, len(s.found))
	for _, secret := range s.found {
		list = append(list, secret)
	}
	sortSecrets(list)
	return list
}

func sortSecrets(list []verdict.Secret) {
	slices.SortFunc(list, func(a, b verdict.Secret) int {
		return cmp.Or(strings.Compare(a.Path, b.Path), strings.Compare(a.History, b.History), strings.Compare(a.Rule, b.Rule), strings.Compare(a.SHA256, b.SHA256))
	})
}

func (s *Scan) add(path string, findings []finding) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, f := range findings {
		secret := f.report()
		secret.Path = path
		s.found[place{path, secret.Rule, secret.SHA256}] = secret
	}
}

// report is the only way out for a finding.
func (f finding) report() verdict.Secret {
	return verdict.Secret{Rule: f.rule, Type: f.kind, Level: f.level, Redacted: redact(f.value), SHA256: digest(f.value)}
}

// content is the one file that passes. Text is cut into windows, which are looked at while the next
// file is read; of a binary file only the beginning counts.
type content struct {
	scan   *Scan
	file   rootfs.File
	buffer []byte
	text   bool
	binary bool
}

func (c *content) Write(p []byte) (int, error) {
	n := len(p)
	for len(p) > 0 && !c.binary {
		taken := min(len(p), window-len(c.buffer))
		c.buffer = append(c.buffer, p[:taken]...)
		p = p[taken:]
		c.sniff()
		if len(c.buffer) == window && !c.binary {
			c.hand(c.buffer)
			c.buffer = append(make([]byte, 0, window), c.buffer[window-overlap:]...)
		}
	}
	return n, nil
}

func (c *content) sniff() {
	if !c.text && !c.binary && len(c.buffer) >= sniffed {
		c.binary = bytes.IndexByte(c.buffer[:sniffed], 0) >= 0
		c.text = !c.binary
	}
}

func (c *content) Close() error {
	if !c.text && bytes.IndexByte(c.buffer[:min(sniffed, len(c.buffer))], 0) >= 0 {
		c.binary = true
	}
	switch {
	case c.binary:
		c.scan.add(c.file.Path, storeFindings(c.file, c.buffer))
	case len(c.buffer) > 0:
		c.hand(c.buffer)
	}
	return nil
}

func (c *content) hand(text []byte) {
	scan, file := c.scan, c.file
	scan.workers.Go(func() error {
		if found := textFindings(file, text); len(found) > 0 {
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
