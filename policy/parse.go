package policy

import (
	"cmp"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"portcullis/internal/strictyaml"
)

// Source is one file of documents, or a part of one. Name and Line are used in messages only.
type Source struct {
	Name string
	Data []byte
	Line int // how many lines of the file stand before Data
}

// Parse reads and validates documents. The error is a strictyaml.Problems with every mistake, in the
// order of the sources and of the lines within one.
func Parse(sources ...Source) (*Documents, error) {
	p := parser{docs: &Documents{}, policies: map[string]string{}, exemptions: map[string]string{}}
	var problems strictyaml.Problems
	for _, source := range sources {
		found := p.source(source)
		slices.SortStableFunc(found, func(a, b strictyaml.Problem) int { return cmp.Compare(a.Line, b.Line) })
		problems = append(problems, found...)
	}
	if err := problems.Err(); err != nil {
		return nil, err
	}
	return p.docs, nil
}

// parser carries what has to be unique over all sources: name → where it first stands.
type parser struct {
	docs       *Documents
	policies   map[string]string
	exemptions map[string]string
	privileged string // where the one PrivilegedStart policy stands
	line       int    // how many lines stand before the source that is being read
}

func (p *parser) source(source Source) strictyaml.Problems {
	p.line = source.Line
	docs, problems := strictyaml.Split(source.Name, source.Data)
	for _, doc := range docs {
		problems = append(problems, p.document(doc)...)
	}
	for i := range problems {
		if problems[i].Line > 0 {
			problems[i].Line += source.Line
		}
	}
	return problems
}

func (p *parser) document(doc *strictyaml.Document) strictyaml.Problems {
	switch kind := doc.Scalar("kind"); kind {
	case KindImagePolicy:
		return p.policy(doc)
	case KindExemption:
		return p.exemption(doc)
	case "":
		return strictyaml.Problems{doc.Problem("kind", "required; write %s or %s", KindImagePolicy, KindExemption)}
	default:
		return strictyaml.Problems{doc.Problem("kind", "unknown kind %q; write %s or %s", kind, KindImagePolicy, KindExemption)}
	}
}

func (p *parser) policy(doc *strictyaml.Document) strictyaml.Problems {
	var policy ImagePolicy
	problems := decode(doc, &policy, func(report report) {
		policy.check(report)
		if !doc.Has("spec.enabled") {
			report("spec.enabled", "required; write true or false")
		}
		p.unique(doc, p.policies, policy.Metadata.Name, report)
		if policy.Spec.Template == TemplatePrivilegedStart {
			if p.privileged != "" {
				report("spec.template", onlyOnePrivileged, p.privileged)
			} else {
				p.privileged = fmt.Sprintf("%q (%s)", policy.Metadata.Name, p.place(doc))
			}
		}
	})
	p.docs.Policies = append(p.docs.Policies, policy)
	return problems
}

func (p *parser) exemption(doc *strictyaml.Document) strictyaml.Problems {
	var exemption Exemption
	problems := decode(doc, &exemption, func(report report) {
		exemption.check(report)
		p.unique(doc, p.exemptions, exemption.Metadata.Name, report)
	})
	p.docs.Exemptions = append(p.docs.Exemptions, exemption)
	return problems
}

// unique reports a name that an earlier document of the same kind has.
func (p *parser) unique(doc *strictyaml.Document, names map[string]string, name string, report report) {
	if first, twice := names[name]; twice {
		report("metadata.name", "%q is already the name of %s; choose another", name, first)
	} else if name != "" {
		names[name] = p.place(doc)
	}
}

// place says where a document's name stands.
func (p *parser) place(doc *strictyaml.Document) string {
	problem := doc.Problem("metadata.name", "")
	return fmt.Sprintf("%s:%d", problem.File, problem.Line+p.line)
}

// decode stores the document in into and then lets check report. What check says about a field that
// could not be decoded is left out: it would blame the reader's zero value on the author.
func decode(doc *strictyaml.Document, into any, check func(report)) strictyaml.Problems {
	problems := doc.Decode(into)
	if len(problems) > maxProblems {
		return problems[:maxProblems]
	}
	undecoded := slices.Clone(problems)
	add := func(field, format string, args ...any) {
		if len(problems) >= maxProblems {
			return
		}
		for _, u := range undecoded {
			if within(field, u.Field) || within(u.Field, field) && u.Message != unknownKey {
				return
			}
		}
		problems = append(problems, doc.Problem(field, format, args...))
	}
	check(add)
	for _, field := range blanks(doc, "", reflect.ValueOf(into).Elem()) {
		if !slices.ContainsFunc(problems, func(p strictyaml.Problem) bool { return p.Field == field }) {
			add(field, "has no value; write one, or {} for the defaults of a section, or remove the key")
		}
	}
	return problems
}

// maxProblems bounds what is said about one document. Nobody corrects more at a time, and mistakes are held
// against each other.
const maxProblems = 500

// blanks returns the optional fields of the struct v that the document sets to nothing at all. They
// would count as left out, and what is left out often means everything.
func blanks(doc *strictyaml.Document, path string, v reflect.Value) []string {
	var fields []string
	for i := range v.NumField() {
		name, _, _ := strings.Cut(v.Type().Field(i).Tag.Get("yaml"), ",")
		field, value := strings.TrimPrefix(path+"."+name, "."), v.Field(i)
		switch kind := value.Kind(); {
		case (kind == reflect.Pointer || kind == reflect.Slice || kind == reflect.String || value.Type() == reflect.TypeFor[time.Time]()) && value.IsZero():
			if doc.Has(field) {
				fields = append(fields, field)
			}
		case kind == reflect.Pointer:
			fields = append(fields, blanks(doc, field, value.Elem())...)
		case kind == reflect.Struct && value.Type() != reflect.TypeFor[time.Time]():
			fields = append(fields, blanks(doc, field, value)...)
		case kind == reflect.Slice && value.Type().Elem().Kind() == reflect.Struct:
			for k := range value.Len() {
				fields = append(fields, blanks(doc, fmt.Sprintf("%s[%d]", field, k), value.Index(k))...)
			}
		}
	}
	return fields
}

// unknownKey is how strictyaml says that a key does not exist; its neighbours were decoded all the same.
const unknownKey = "unknown key; check the spelling and the indentation"

// within says whether field is outer or lies inside it.
func within(field, outer string) bool {
	rest, ok := strings.CutPrefix(field, outer)
	return ok && (rest == "" || outer == "" || rest[0] == '.' || rest[0] == '[')
}
