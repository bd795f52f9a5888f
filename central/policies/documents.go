package policies

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"
	"unicode"

	portcullisv1 "portcullis/api/portcullis/v1"
	"portcullis/central/rpc"
	"portcullis/internal/strictyaml"
	"portcullis/policy"
)

// entry is one document that somebody sent.
type entry struct {
	key
	text    string // canonical
	content string
	search  string

	policy    *policy.ImagePolicy // one of the two is set
	exemption *policy.Exemption

	// problem says a mistake that only the other documents make one, with its line.
	problem problemMaker
}

type problemMaker func(field, format string, args ...any) *portcullisv1.FieldProblem

// key names a document.
type key struct{ kind, name string }

// parse reads documents that came in a field of a request.
func (s *Service) parse(ctx context.Context, field, text string, most int) ([]*entry, error) {
	if len(text) > most {
		return nil, rpc.Invalid(rpc.Problem(field, "is %d bytes, at most %d are taken", len(text), most))
	}
	if strings.TrimSpace(text) == "" {
		return nil, rpc.Invalid(rpc.Problem(field, "required; write a document that begins with apiVersion: %s", policy.APIVersion))
	}
	if err := s.parsing.Acquire(ctx, 1); err != nil {
		return nil, err
	}
	defer s.parsing.Release(1)
	sources := split(field, text)
	if len(sources) > 2*MaxDocuments {
		return nil, rpc.Invalid(rpc.Problem(field, "holds %d documents, at most %d are taken", len(sources), 2*MaxDocuments))
	}
	for _, source := range sources {
		if len(source.Data) > MaxDocument {
			return nil, rpc.Invalid(toProblem(strictyaml.Problem{Field: field, Line: source.Line + 1, Message: fmt.Sprintf("a document is %d bytes, at most %d are taken; split it", len(source.Data), MaxDocument)}))
		}
	}
	docs, err := policy.Parse(sources...)
	if err != nil {
		return nil, invalid(err)
	}
	return entries(sources, docs)
}

var (
	marker = regexp.MustCompile(`(?m)^---([ \t\r]|$)`)
	silent = regexp.MustCompile(`\A(?:[ \t\r]*(?:#.*)?(?:\n|\z))*\z`)
)

// split makes each document a source of its own: read, a document takes up to two hundred times its size,
// and is soon forgotten again.
func split(field, text string) (sources []policy.Source) {
	starts := []int{0}
	for _, at := range marker.FindAllStringIndex(text, -1) {
		starts = append(starts, at[0])
	}
	line := 0
	for i, start := range starts {
		end := len(text)
		if i+1 < len(starts) {
			end = starts[i+1]
		}
		part := text[start:end]
		if i > 0 || len(starts) == 1 || !silent.MatchString(part) { // comments may stand before the first document
			sources = append(sources, policy.Source{Name: field, Data: []byte(part), Line: line})
		}
		line += strings.Count(part, "\n")
	}
	return sources
}

// entries returns the policies, then the exemptions.
func entries(sources []policy.Source, docs *policy.Documents) ([]*entry, error) {
	var all []*entry
	for i := range docs.Policies {
		e, err := newPolicyEntry(&docs.Policies[i], locator(sources, policy.KindImagePolicy, i))
		if err != nil {
			return nil, err
		}
		all = append(all, e)
	}
	for i := range docs.Exemptions {
		e, err := newExemptionEntry(&docs.Exemptions[i], locator(sources, policy.KindExemption, i))
		if err != nil {
			return nil, err
		}
		all = append(all, e)
	}
	return all, nil
}

func newPolicyEntry(p *policy.ImagePolicy, problem problemMaker) (*entry, error) {
	e := &entry{key: key{policy.KindImagePolicy, p.Metadata.Name}, policy: p, search: searchable(p.Metadata.Name, p.Spec.Description), problem: problem}
	return e, e.encode(p)
}

func newExemptionEntry(x *policy.Exemption, problem problemMaker) (*entry, error) {
	e := &entry{key: key{policy.KindExemption, x.Metadata.Name}, exemption: x, search: searchable(x.Metadata.Name, x.Spec.Reason, x.Spec.Author), problem: problem}
	return e, e.encode(x)
}

func (e *entry) encode(document any) (err error) {
	e.text, e.content, err = canonical(document)
	if err != nil {
		return fmt.Errorf("%s %q: %w", e.kind, e.name, err)
	}
	if len(e.text) > MaxDocument {
		return rpc.Invalid(e.problem("", "%s %q is %d bytes, at most %d are taken; split it", e.kind, e.name, len(e.text), MaxDocument))
	}
	return nil
}

// canonical writes a policy or an exemption as YAML and as JSON. The YAML is read again, because what
// nodes get must be what was meant.
func canonical(document any) (text, content string, err error) {
	encoded, err := json.Marshal(document)
	if err != nil {
		return "", "", err
	}
	written, err := strictyaml.EncodeTagged(document)
	if err != nil {
		return "", "", err
	}
	docs, err := policy.Parse(policy.Source{Name: "canonical form", Data: written})
	if err != nil {
		return "", "", err
	}
	var read any
	switch {
	case len(docs.Policies) == 1:
		read = &docs.Policies[0]
	case len(docs.Exemptions) == 1:
		read = &docs.Exemptions[0]
	}
	if again, err := json.Marshal(read); err != nil || !bytes.Equal(again, encoded) {
		return "", "", fmt.Errorf("its canonical form would not say the same: %q, not %q", again, encoded)
	}
	return string(written), string(encoded), nil
}

func searchable(texts ...string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, strings.ToLower(strings.Join(texts, " ")))
}

// locator finds lines in the i-th document of a kind. That is seldom asked for, so it is read again.
func locator(sources []policy.Source, kind string, i int) problemMaker {
	return func(path, format string, args ...any) *portcullisv1.FieldProblem {
		before := i
		for _, source := range sources {
			docs, _ := strictyaml.Split(source.Name, source.Data)
			for _, doc := range docs {
				if doc.Scalar("kind") != kind {
					continue
				}
				if before == 0 {
					problem := doc.Problem(path, format, args...)
					problem.Line += source.Line
					return toProblem(problem)
				}
				before--
			}
		}
		return rpc.Problem(path, format, args...)
	}
}

// one returns the only entry, of which kind it has to be.
func (s *Service) one(ctx context.Context, kind, text string) (*entry, error) {
	all, err := s.parse(ctx, "document", text, MaxDocument)
	switch {
	case err != nil:
		return nil, err
	case len(all) != 1:
		return nil, rpc.Invalid(rpc.Problem("document", "holds %d documents; send one, or all of them to ApplyDocuments", len(all)))
	case all[0].kind != kind:
		return nil, rpc.Invalid(all[0].problem("kind", "is %s; write %s here", all[0].kind, kind))
	}
	return all[0], nil
}

// The limits of what is told about mistakes: answers to gRPC calls are headers.
const (
	maxProblems = 20
	maxMessage  = 300
)

// invalid says the problems that Parse found.
func invalid(err error) error {
	var found strictyaml.Problems
	if !errors.As(err, &found) {
		return err
	}
	var problems []*portcullisv1.FieldProblem
	for _, p := range found[:min(len(found), maxProblems)] {
		problems = append(problems, toProblem(p))
	}
	if more := len(found) - maxProblems; more > 0 {
		problems = append(problems, rpc.Problem("", "and %d more mistakes", more))
	}
	return rpc.Invalid(problems...)
}

func toProblem(p strictyaml.Problem) *portcullisv1.FieldProblem {
	return &portcullisv1.FieldProblem{Field: shorten(cmp.Or(p.Field, "document")), Line: int32(p.Line), Message: shorten(p.Message)} //nolint:gosec // G115: a document has fewer lines
}

func shorten(text string) string {
	if len(text) <= maxMessage {
		return text
	}
	return strings.ToValidUTF8(text[:maxMessage], "") + "…"
}

// enforced is the text of an observing policy with when it began to observe.
func enforced(p *policy.ImagePolicy, since time.Time) (string, error) {
	with := *p
	with.Spec.Effect.Since = since
	text, _, err := canonical(&with)
	return text, err
}
