package policytest

import (
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"portcullis/policy"
)

// Result is what came of one case.
type Result struct {
	File        string
	Note        string
	Err         error // the case could not be run
	Differences []string
}

// Passed says whether the decision was as expected.
func (r Result) Passed() bool { return r.Err == nil && len(r.Differences) == 0 }

// Run runs every .yaml and .yml file in dir and below, in the order of their paths. The error is only
// about reading dir; a broken case is a Result.
func Run(dir string) ([]Result, error) {
	var results []Result
	err := filepath.WalkDir(dir, func(file string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if ext := filepath.Ext(file); !entry.IsDir() && (ext == ".yaml" || ext == ".yml") {
			results = append(results, runFile(file))
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("cases: %w", err)
	}
	return results, nil
}

func runFile(file string) Result {
	data, err := os.ReadFile(file)
	if err != nil {
		return Result{File: file, Err: err}
	}
	c, err := Read(file, data)
	if err != nil {
		return Result{File: file, Err: err}
	}
	d, err := c.Decide()
	if err != nil {
		return Result{File: file, Note: c.Note, Err: err}
	}
	return Result{File: file, Note: c.Note, Differences: c.Want.compare(d)}
}

// compare says in which points d is not what was wanted.
func (w *Want) compare(d *policy.Decision) []string {
	var differences []string
	differ := func(what string, want, got any) {
		if w, g := fmt.Sprint(want), fmt.Sprint(got); w != g {
			differences = append(differences, fmt.Sprintf("%s: want %s, got %s", what, w, g))
		}
	}
	differ("action", w.Action.Action(), d.Action)
	if w.Reason != "" {
		differ("reason", w.Reason, d.Reason)
	}
	policies, evidence := []string{}, map[string][]string{}
	for _, m := range d.Matches {
		policies = append(policies, m.Policy)
		evidence[m.Policy] = Labels(m.Evidence)
	}
	differ("policies", strings.Join(w.Policies, ", "), strings.Join(policies, ", "))
	for _, name := range slices.Sorted(maps.Keys(w.Evidence)) {
		differ("evidence of "+name, strings.Join(w.Evidence[name], "; "), strings.Join(evidence[name], "; "))
	}
	exempted := map[string][]string{}
	for _, e := range d.Exempted {
		exempted[e.Exemption] = append(exempted[e.Exemption], Labels(e.Evidence)...)
	}
	differ("exempted", w.Exempted, exempted)
	if !w.EnforceAt.IsZero() && len(d.Matches) > 0 {
		differ("enforceAt", w.EnforceAt.UTC(), d.Matches[0].EnforceAt.UTC())
	}
	return differences
}

// Labels names pieces of evidence as cases write them.
func Labels(list []policy.Evidence) []string {
	labels := make([]string, len(list))
	for i, e := range list {
		labels[i] = Label(e)
	}
	return labels
}

// Label names a piece of evidence: ID and package of a vulnerability, path of a malicious file, path or
// build step of a secret, parameter and detail of an ask, kind of what is unknown.
func Label(e policy.Evidence) string {
	switch {
	case e.Vulnerability != nil:
		return e.Vulnerability.ID + " " + e.Vulnerability.Package
	case e.Malware != nil:
		return e.Malware.Path
	case e.Secret != nil && e.Secret.Path != "":
		return e.Secret.Path
	case e.Secret != nil:
		return e.Secret.History
	case e.Ask != nil:
		return strings.TrimSpace(e.Ask.Parameter + " " + e.Ask.Detail)
	case e.Unknown != nil && e.Unknown.Failed:
		return "failed " + string(e.Unknown.Kind)
	case e.Unknown != nil:
		return "unscanned " + string(e.Unknown.Kind)
	}
	return ""
}
