package node

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"time"

	"portcullis/policy"
)

// observations remembers, across restarts, when each observing policy began to observe.
type observations struct {
	path  string
	began map[string]observation // by policy name
}

// observation is one countdown. It belongs to a policy that is on with just this effect: a policy that
// was switched off, or whose effect was edited, begins anew.
type observation struct {
	Since    time.Time       `json:"since"`
	Template policy.Template `json:"template"`
	Effect   policy.Effect   `json:"effect"`
}

// openObservations reads what an earlier run wrote to path. When that cannot be read the countdowns
// begin anew, and the error says so.
func openObservations(path string) (*observations, error) {
	o := &observations{path: path, began: map[string]observation{}}
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return o, nil
	}
	if err == nil {
		err = json.Unmarshal(data, &o.began)
	}
	if err != nil {
		o.began = map[string]observation{}
		return o, fmt.Errorf("observation periods begin anew, because when they began cannot be read: %w", err)
	}
	return o, nil
}

// advance returns the countdowns as they are once these policies are in force at now.
func (o *observations) advance(policies []policy.ImagePolicy, now time.Time) map[string]observation {
	next := map[string]observation{}
	for _, p := range policies {
		if !p.Spec.Enabled || p.Spec.Effect.Mode != policy.Observe {
			continue
		}
		running := observation{Since: now, Template: p.Spec.Template, Effect: p.Spec.Effect}
		if before, ok := o.began[p.Metadata.Name]; ok && before.Template == running.Template && before.Effect == running.Effect {
			running.Since = before.Since
		}
		// A countdown that began in the future was begun by a clock that was wrong; it must not last
		// longer than one that begins now.
		if running.Since.After(now) {
			running.Since = now
		}
		next[p.Metadata.Name] = running
	}
	return next
}

// keep makes next the countdowns from now on.
func (o *observations) keep(next map[string]observation) error {
	if maps.EqualFunc(o.began, next, observation.equal) {
		return nil
	}
	o.began = next
	data, err := json.MarshalIndent(next, "", "  ")
	if err != nil {
		return err
	}
	return writeFile(o.path, data)
}

func (a observation) equal(b observation) bool {
	return a.Since.Equal(b.Since) && a.Template == b.Template && a.Effect == b.Effect
}
