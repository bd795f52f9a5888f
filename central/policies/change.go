package policies

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"connectrpc.com/connect"

	portcullisv1 "portcullis/api/portcullis/v1"
	"portcullis/central/access"
	"portcullis/central/audit"
	"portcullis/central/rpc"
	"portcullis/central/store"
	"portcullis/policy"
)

// set is all documents, as a change would make them.
type set struct {
	now     time.Time
	author  string
	docs    map[key]*store.Document
	changes []*change
}

// change is one document that becomes another.
type change struct {
	key
	before, after *store.Document // nil before it is created and after it is deleted
	entry         *entry          // nil when it is deleted
}

// change runs do on the set of documents and puts in force what it makes of it: all of it, or nothing. With
// dryRun it only says whether that could be done.
func (s *Service) change(ctx context.Context, dryRun bool, do func(*set) error) (all *set, err error) {
	err = s.store.Tx(ctx, func(tx *store.Tx) error {
		if err := tx.LockDocuments(ctx); err != nil {
			return err
		}
		caller := access.From(ctx)
		all = &set{now: s.options.Now().UTC().Truncate(time.Second), author: caller.Actor(), docs: map[key]*store.Document{}}
		for _, kind := range []string{policy.KindImagePolicy, policy.KindExemption} {
			docs, err := tx.Documents(ctx, kind)
			if err != nil {
				return err
			}
			for i := range docs {
				all.docs[key{kind, docs[i].Name}] = &docs[i]
			}
		}
		if err := do(all); err != nil || len(all.changes) == 0 {
			return err
		}
		if err := all.check(); err != nil || dryRun {
			return err
		}
		return all.write(ctx, tx)
	})
	return all, err
}

// get returns store.ErrNotFound when there is no such document, and ABORTED when it is not any more at the
// revision that was seen; 0 is any.
func (all *set) get(k key, revision int64) (*store.Document, error) {
	d := all.docs[k]
	if d == nil {
		return nil, fmt.Errorf("%s %q: %w", k.kind, k.name, store.ErrNotFound)
	}
	if revision != 0 && revision != d.Revision {
		return nil, connect.NewError(connect.CodeAborted,
			fmt.Errorf("%s %q is at revision %d now, not %d: somebody else changed it meanwhile; look at it and change it again", k.kind, k.name, d.Revision, revision))
	}
	return d, nil
}

// put makes the entry a document of the set, and reports false when it is one already.
func (all *set) put(e *entry) (bool, error) {
	before := all.docs[e.key]
	if before != nil && before.Text == e.text {
		return false, nil
	}
	after := &store.Document{Kind: e.kind, Name: e.name, Text: e.text, Content: e.content, Search: e.search, CreateTime: all.now, UpdateTime: all.now, UpdatedBy: all.author}
	if before != nil {
		after.CreateTime = before.CreateTime
	}
	if e.exemption != nil {
		after.Expires = e.exemption.Spec.Expires
	} else if err := all.putPolicy(e, before, after); err != nil {
		return false, err
	}
	all.docs[e.key] = after
	all.changes = append(all.changes, &change{e.key, before, after, e})
	return true, nil
}

// putPolicy fills in what only policies have.
func (all *set) putPolicy(e *entry, before, after *store.Document) error {
	spec := &e.policy.Spec
	after.Template, after.Enabled = string(spec.Template), spec.Enabled
	if before != nil && before.Template != after.Template {
		return rpc.Invalid(e.problem("spec.template", "the template of a policy never changes, and that of %q is %s; create another policy", e.name, before.Template))
	}
	if !spec.Enabled || spec.Effect.Mode != policy.Observe {
		return nil
	}
	after.ObservingSince = spec.Effect.Since
	if spec.Effect.Since.IsZero() {
		since, err := all.since(spec.Effect, before)
		if err != nil {
			return err
		}
		after.ObservingSince = since
		if after.Enforced, err = enforced(e.policy, since); err != nil {
			return err
		}
	}
	after.EnforceAt = after.ObservingSince.Add(time.Duration(spec.Effect.Days) * 24 * time.Hour)
	return nil
}

// since is when a policy with the effect began to observe: now, unless it did so before.
func (all *set) since(effect policy.Effect, before *store.Document) (time.Time, error) {
	if before == nil || before.ObservingSince.IsZero() {
		return all.now, nil
	}
	old, err := readPolicy(before)
	if err != nil {
		return time.Time{}, err
	}
	if old.Spec.Effect != effect { // neither has a time that could be written in two ways
		return all.now, nil
	}
	return before.ObservingSince, nil
}

func (all *set) delete(d *store.Document) {
	k := key{d.Kind, d.Name}
	delete(all.docs, k)
	all.changes = append(all.changes, &change{key: k, before: d})
}

// sorted returns the documents of a kind, by name.
func (all *set) sorted(kind string) []*store.Document {
	var docs []*store.Document
	for k, d := range all.docs {
		if k.kind == kind {
			docs = append(docs, d)
		}
	}
	slices.SortFunc(docs, func(a, b *store.Document) int { return strings.Compare(a.Name, b.Name) })
	return docs
}

// bundle is the text that nodes get.
func (all *set) bundle() string {
	var b strings.Builder
	for _, kind := range []string{policy.KindImagePolicy, policy.KindExemption} {
		for _, d := range all.sorted(kind) {
			text := d.Text
			if d.Enforced != "" {
				text = d.Enforced
			}
			b.WriteString("---\n")
			b.WriteString(text)
		}
	}
	return b.String()
}

// changed returns the entry that a document was made of in this change, nil where it is as it was.
func (all *set) changed(k key) *entry {
	for _, c := range all.changes {
		if c.key == k {
			return c.entry
		}
	}
	return nil
}

// check says whether the documents may stand together.
func (all *set) check() error {
	size, parsed := 0, policy.Documents{}
	for _, d := range all.sorted(policy.KindImagePolicy) {
		p, err := readPolicy(d)
		if err != nil {
			return err
		}
		if p.Spec.Enabled && p.Spec.Effect.Mode == policy.Observe {
			p.Spec.Effect.Since = d.ObservingSince
		}
		size += max(len(d.Text), len(d.Enforced))
		parsed.Policies = append(parsed.Policies, *p)
	}
	for _, d := range all.sorted(policy.KindExemption) {
		e, err := readExemption(d)
		if err != nil {
			return err
		}
		size += len(d.Text)
		parsed.Exemptions = append(parsed.Exemptions, *e)
	}
	if err := checkSize(&parsed, size); err != nil {
		return err
	}
	if err := all.checkTogether(&parsed); err != nil {
		return err
	}
	if _, err := policy.Compile(&parsed, policy.Options{}); err != nil {
		return fmt.Errorf("documents that were taken one by one do not stand together: %w", err)
	}
	return nil
}

func checkSize(docs *policy.Documents, size int) error {
	for _, n := range []int{len(docs.Policies), len(docs.Exemptions)} {
		if n > MaxDocuments {
			return connect.NewError(connect.CodeResourceExhausted, fmt.Errorf("that would be %d policies and %d exemptions, at most %d of each can be kept; delete some",
				len(docs.Policies), len(docs.Exemptions), MaxDocuments))
		}
	}
	if size > MaxBundle {
		return connect.NewError(connect.CodeResourceExhausted, fmt.Errorf("all documents together would be %d bytes, at most %d can be sent to nodes; delete or shorten some", size, MaxBundle))
	}
	return nil
}

// checkTogether finds the mistakes that are none in one document alone.
func (all *set) checkTogether(docs *policy.Documents) error {
	var privileged []string
	names := map[string]bool{}
	for i := range docs.Policies {
		p := &docs.Policies[i]
		names[p.Metadata.Name] = true
		if p.Spec.Template == policy.TemplatePrivilegedStart {
			privileged = append(privileged, p.Metadata.Name)
		}
	}
	if len(privileged) > 1 {
		return all.twoPrivileged(privileged)
	}
	var problems []*portcullisv1.FieldProblem
	for i := range docs.Exemptions {
		problem, err := all.checkReferences(&docs.Exemptions[i], names)
		if err != nil {
			return err
		}
		if problem != nil && len(problems) < maxProblems {
			problems = append(problems, problem)
		}
	}
	if len(problems) > 0 {
		return rpc.Invalid(problems...)
	}
	return nil
}

// twoPrivileged says the mistake of the policy that came last.
func (all *set) twoPrivileged(names []string) error {
	for i, name := range names {
		if e := all.changed(key{policy.KindImagePolicy, name}); e != nil {
			other := names[(i+1)%len(names)]
			return rpc.Invalid(e.problem("spec.template", "only one PrivilegedStart policy may exist and %q is one; edit that one", other))
		}
	}
	return fmt.Errorf("there are several PrivilegedStart policies: %q", names)
}

// checkReferences finds names of policies that there are not: such an exemption would begin to count by
// itself, the day somebody gives a policy that name.
func (all *set) checkReferences(x *policy.Exemption, names map[string]bool) (*portcullisv1.FieldProblem, error) {
	for i, name := range x.Spec.Policies {
		if names[name] {
			continue
		}
		e := all.changed(key{policy.KindExemption, x.Metadata.Name})
		if e == nil {
			return nil, connect.NewError(connect.CodeFailedPrecondition,
				fmt.Errorf("exemption %q names policy %q; delete the exemption or take the policy out of it first", x.Metadata.Name, name))
		}
		return e.problem(fmt.Sprintf("spec.policies[%d]", i), "there is no policy %q; write the name of one, or leave policies out to mean all", name), nil
	}
	return nil, nil
}

// write puts the changes in force.
func (all *set) write(ctx context.Context, tx *store.Tx) error {
	for _, c := range all.changes {
		if err := all.writeOne(ctx, tx, c); err != nil {
			return fmt.Errorf("%s %q: %w", c.kind, c.name, err)
		}
	}
	_, err := tx.AddBundle(ctx, all.bundle(), all.now)
	return err
}

func (all *set) writeOne(ctx context.Context, tx *store.Tx, c *change) error {
	revision := store.DocumentRevision{Kind: c.kind, Name: c.name, Time: all.now, Author: all.author}
	if c.before != nil {
		revision.Revision = c.before.Revision + 1
	} else {
		last, err := tx.LastDocumentRevision(ctx, c.kind, c.name)
		if err != nil {
			return err
		}
		revision.Revision = last + 1
	}
	var err error
	if c.after != nil {
		revision.Text, c.after.Revision = c.after.Text, revision.Revision
		err = tx.PutDocument(ctx, *c.after)
	} else {
		err = tx.DeleteDocument(ctx, c.kind, c.name)
	}
	if err != nil {
		return err
	}
	if err := tx.AddDocumentRevision(ctx, revision); err != nil {
		return err
	}
	kind := "policy"
	if c.kind == policy.KindExemption {
		kind = "exemption"
	}
	return audit.Record(ctx, tx, kind, c.name, audited(c.before), audited(c.after))
}

// audited is what the audit log says of a document, nil of none.
func audited(d *store.Document) any {
	if d == nil {
		return nil
	}
	return map[string]any{"document": d.Text, "revision": d.Revision}
}

func readPolicy(d *store.Document) (*policy.ImagePolicy, error) {
	p := &policy.ImagePolicy{}
	if err := json.Unmarshal([]byte(d.Content), p); err != nil {
		return nil, fmt.Errorf("policy %q: %w", d.Name, err)
	}
	return p, nil
}

func readExemption(d *store.Document) (*policy.Exemption, error) {
	x := &policy.Exemption{}
	if err := json.Unmarshal([]byte(d.Content), x); err != nil {
		return nil, fmt.Errorf("exemption %q: %w", d.Name, err)
	}
	return x, nil
}
