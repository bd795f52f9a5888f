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
	"time"

	"github.com/sirupsen/logrus"

	"portcullis/internal/policyfile"
	"portcullis/policy"
)

// bundles holds the bundle in force and brings it up to date with the policy files. A change that is
// wrong in any document changes nothing, but is loud.
type bundles struct {
	path         string
	lastGood     string // file that survives restarts
	options      policy.Options
	observations *observations
	now          func() time.Time
	log          logrus.FieldLogger
	reloaded     func(ok bool)

	current atomic.Pointer[policy.Bundle]

	mu      sync.Mutex // one load at a time
	sources []policy.Source
	docs    *policy.Documents // that sources hold
	failure string            // of the last load, "" when it went well
}

// Current returns the bundle in force, nil when there is none.
func (b *bundles) Current() *policy.Bundle { return b.current.Load() }

// checkPolicies reads, validates and compiles the policies at path as a load would, for --check.
func checkPolicies(path string, options policy.Options) (*policy.Bundle, error) {
	sources, err := policyfile.Read(path)
	if err != nil {
		return nil, err
	}
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
	if err == nil && b.current.Load() != nil && b.failure == "" && slices.EqualFunc(sources, b.sources, same) {
		b.resume()
		return
	}
	var bundle *policy.Bundle
	if err == nil {
		bundle, err = b.enforce(sources)
	}
	if err != nil {
		b.fail(err)
		return
	}
	b.reloaded(true)
	b.failure, b.sources = "", sources
	b.announce(bundle)
	if err := b.keep(sources); err != nil {
		b.log.WithError(err).Error("policies are in force but could not be kept for the next start")
	}
}

// resume puts right what is wrong although the policies are as they were: countdowns that a clock began
// in the future, or that could not be written.
func (b *bundles) resume() {
	if !b.observations.dirty && b.observations.are(b.observations.advance(b.docs.Policies, b.now())) {
		return
	}
	if _, err := b.compile(b.docs); err != nil {
		b.log.WithError(err).Error("observation periods could not be put right")
	}
}

// enforce compiles the sources and puts the bundle in force, or changes nothing.
func (b *bundles) enforce(sources []policy.Source) (*policy.Bundle, error) {
	docs, err := policy.Parse(sources...)
	if err != nil {
		return nil, err
	}
	bundle, err := b.compile(docs)
	if err != nil {
		return nil, err
	}
	b.docs = docs
	for _, p := range docs.Policies {
		if since := p.Spec.Effect.Since; p.Spec.Enabled && since.After(b.now().Add(24*time.Hour)) {
			b.log.WithFields(logrus.Fields{"policy": p.Metadata.Name, "since": since}).Warn("observation begins in the future; until then and for its days the policy only alerts")
		}
	}
	for _, e := range docs.Exemptions {
		if e.Expired(b.now()) {
			b.log.WithFields(logrus.Fields{"exemption": e.Metadata.Name, "expired": e.Spec.Expires}).Warn("exemption has expired and has no effect; remove or renew it")
		}
	}
	return bundle, nil
}

// compile puts the documents in force with the countdowns as they stand now.
func (b *bundles) compile(docs *policy.Documents) (*policy.Bundle, error) {
	countdowns := b.observations.advance(docs.Policies, b.now())
	options := b.options
	options.Since = func(p *policy.ImagePolicy) time.Time { return countdowns[p.Metadata.Name].Since }
	bundle, err := policy.Compile(docs, options)
	if err != nil {
		return nil, err
	}
	b.current.Store(bundle)
	if err := b.observations.keep(countdowns); err != nil {
		b.log.WithError(err).Error("observation periods could not be kept; after a restart they begin anew")
	}
	return bundle, nil
}

func (b *bundles) announce(bundle *policy.Bundle) {
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
	b.reloaded(false)
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
	if err == nil {
		_, err = b.enforce(sources)
	}
	if err != nil {
		b.log.WithError(err).Error("the policies kept from before the start cannot be used either")
	}
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
