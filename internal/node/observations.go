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
	dirty bool                   // began is not what the file says
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

// firstRelease is before any Portcullis ran.
var firstRelease = time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)

// advance returns the countdowns as they are once these policies are in force at now.
func (o *observations) advance(policies []policy.ImagePolicy, now time.Time) map[string]observation {
	next := map[string]observation{}
	for _, p := range policies {
		if !p.Spec.Enabled || p.Spec.Effect.Mode != policy.Observe || !p.Spec.Effect.Since.IsZero() {
			continue // a policy that says itself when its countdown began needs no memory of ours
		}
		running := observation{Since: now, Template: p.Spec.Template, Effect: p.Spec.Effect}
		if before, ok := o.began[p.Metadata.Name]; ok && before.Template == running.Template && before.Effect == running.Effect {
			running.Since = before.Since
		}
		// A countdown that began in the future was begun by a clock that was wrong; it must not last
		// longer than one that begins now. But a machine without a battery wakes up in a past that no
		// running Portcullis can have seen: then it is now that is wrong, and will be put right.
		if running.Since.After(now) && now.After(firstRelease) {
			running.Since = now
		}
		next[p.Metadata.Name] = running
	}
	return next
}

// keep makes next the countdowns from now on. What could not be written is tried again by the next
// keep.
func (o *observations) keep(next map[string]observation) error {
	o.dirty = o.dirty || !o.are(next)
	o.began = next
	if !o.dirty {
		return nil
	}
	data, err := json.MarshalIndent(next, "", "  ")
	if err != nil {
		return err
	}
	if err := writeFile(o.path, data); err != nil {
		return err
	}
	o.dirty = false
	return nil
}

// are says whether next are the countdowns that run already.
func (o *observations) are(next map[string]observation) bool {
	return maps.EqualFunc(o.began, next, observation.equal)
}

func (a observation) equal(b observation) bool {
	return a.Since.Equal(b.Since) && a.Template == b.Template && a.Effect == b.Effect
}
