package node

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/sirupsen/logrus"

	"portcullis/internal/policyfile"
	"portcullis/policy"
)

// bundles holds the bundle in force and brings it up to date with the policy files. A change that is
// wrong in any document changes nothing, but is loud.
type bundles struct {
	path     string
	lastGood string // file that survives restarts
	options  policy.Options
	log      logrus.FieldLogger
	reloaded func(ok bool)

	current atomic.Pointer[policy.Bundle]

	mu      sync.Mutex // one load at a time
	sources []policy.Source
	failure string // of the last load, "" when it went well
}

// Current returns the bundle in force, nil when there is none.
func (b *bundles) Current() *policy.Bundle { return b.current.Load() }

// compile reads, validates and compiles the policies at path: what a reload does, and what --check
// does.
func compile(path string, options policy.Options) (*policy.Bundle, error) {
	sources, err := policyfile.Read(path)
	if err != nil {
		return nil, err
	}
	return compileSources(sources, options)
}

func compileSources(sources []policy.Source, options policy.Options) (*policy.Bundle, error) {
	docs, err := policy.Parse(sources...)
	if err != nil {
		return nil, err
	}
	return policy.Compile(docs, options)
}

// load brings the bundle up to date. It is cheap when the files are as they were.
func (b *bundles) load() {
	b.mu.Lock()
	defer b.mu.Unlock()
	sources, err := policyfile.Read(b.path)
	if err == nil && b.Current() != nil && b.failure == "" && slices.EqualFunc(sources, b.sources, same) {
		return
	}
	var bundle *policy.Bundle
	if err == nil {
		bundle, err = compileSources(sources, b.options)
	}
	b.reloaded(err == nil)
	if err != nil {
		b.fail(err)
		return
	}
	b.failure, b.sources = "", sources
	b.enforce(bundle)
	if err := b.keep(sources); err != nil {
		b.log.WithError(err).Error("policies are in force but could not be kept for the next start")
	}
}

func (b *bundles) enforce(bundle *policy.Bundle) {
	b.current.Store(bundle)
	log := b.log.WithFields(logrus.Fields{"revision": bundle.Revision(), "policies": bundle.Len()})
	if bundle.Len() == 0 {
		log.Warn("there are no policies: every container may start")
		return
	}
	log.Info("policies in force")
}

// fail says what is wrong, once for each new mistake, and after a start falls back on the policies
// that were in force before it.
func (b *bundles) fail(err error) {
	if b.failure == err.Error() {
		return
	}
	b.failure = err.Error()
	if b.Current() == nil {
		b.restore()
	}
	revision := "none"
	if bundle := b.Current(); bundle != nil {
		revision = bundle.Revision()
	}
	log := b.log.WithField("revision", revision)
	log.Error("policies were not loaded; what was in force stays")
	for _, mistake := range strings.Split(err.Error(), "\n") {
		log.Error(mistake)
	}
}

func (b *bundles) restore() {
	data, err := os.ReadFile(b.lastGood)
	if errors.Is(err, fs.ErrNotExist) {
		return
	}
	var sources []policy.Source
	if err == nil {
		err = json.Unmarshal(data, &sources)
	}
	var bundle *policy.Bundle
	if err == nil {
		bundle, err = compileSources(sources, b.options)
	}
	if err != nil {
		b.log.WithError(err).Error("the policies kept from before the start cannot be used either")
		return
	}
	b.current.Store(bundle)
}

// keep writes the sources where restore finds them, whole or not at all.
func (b *bundles) keep(sources []policy.Source) error {
	data, err := json.Marshal(sources)
	if err != nil {
		return err
	}
	return writeFile(b.lastGood, data)
}

func same(a, b policy.Source) bool { return a.Name == b.Name && bytes.Equal(a.Data, b.Data) }

// writeFile replaces the file at path so that after a crash either the old or the new content is
// there.
func writeFile(path string, data []byte) error {
	temporary, err := os.CreateTemp(filepath.Dir(path), ".new-*")
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(temporary.Name()) }() // fails when all went well
	_, err = temporary.Write(data)
	err = errors.Join(err, temporary.Sync(), temporary.Close())
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	if err := os.Rename(temporary.Name(), path); err != nil {
		return err
	}
	folder, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(folder.Sync(), folder.Close())
}
