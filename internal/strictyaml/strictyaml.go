// Package strictyaml answers: what does this YAML say, and where exactly is it wrong?
//
// Every YAML file that Portcullis reads (node configuration, policy documents, test cases) comes
// through here, so that all of them are equally strict: unknown and duplicate keys, wrong types, empty
// input, anchors and aliases are mistakes, all mistakes are reported together, and each names its
// file, line and field.
package strictyaml

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v4"
)

const (
	// MaxSize bounds one file, in bytes.
	MaxSize = 16 << 20
	// maxDepth bounds nesting; nothing that Portcullis reads is deeper than ten.
	maxDepth = 64
	// maxPath bounds a field's path, which is kept for each of the values in it: a small file could
	// otherwise fill the memory.
	maxPath = 512
)

// Problem is one mistake: where it is, what is wrong, and what to write instead.
type Problem struct {
	File    string
	Line    int    // 1-based; 0 when the mistake has no line, such as an empty file
	Field   string // path such as spec.risk.severities[1]; empty for the document as a whole
	Message string
}

func (p Problem) Error() string {
	var b strings.Builder
	b.WriteString(p.File)
	if p.Line > 0 {
		b.WriteString(":" + strconv.Itoa(p.Line))
	}
	if p.Field != "" {
		b.WriteString(": " + p.Field)
	}
	b.WriteString(": " + p.Message)
	return b.String()
}

// Problems is every mistake found, in file and line order; as an error it is one line per mistake.
type Problems []Problem

func (ps Problems) Error() string {
	lines := make([]string, len(ps))
	for i, p := range ps {
		lines[i] = p.Error()
	}
	return strings.Join(lines, "\n")
}

// With adds what is wrong with the content of a document that could be read but for these problems, in the order of lines.
// Where something has the wrong type, what more is wrong under the same key of the document would only be a consequence.
func (ps Problems) With(more Problems) Problems {
	all := slices.Clone(ps)
	for _, one := range more {
		if !slices.ContainsFunc(ps, func(known Problem) bool { return known.hides(one) }) {
			all = append(all, one)
		}
	}
	slices.SortStableFunc(all, func(a, b Problem) int { return cmp.Compare(a.Line, b.Line) })
	return all
}

// hides says whether another problem may be a consequence of this one.
func (p Problem) hides(other Problem) bool {
	return p.Message != unknownKey && (p.Field == "" || topKey(p.Field) == topKey(other.Field))
}

// topKey is the first part of a path such as spec.risk.severities[1].
func topKey(field string) string {
	if end := strings.IndexAny(field, ".["); end >= 0 {
		return field[:end]
	}
	return field
}

// Err returns nil when there are no problems, so that a nil Problems never becomes a non-nil error.
func (ps Problems) Err() error {
	if len(ps) == 0 {
		return nil
	}
	return ps
}

// Document is one YAML document of a file.
type Document struct {
	file  string
	data  []byte // of the whole file
	root  *yaml.Node
	paths map[position]string // where a node starts → its field path
	lines map[string]int      // field path → line
}

type position struct{ line, column int }

// Split parses data into its documents. A document with a syntax error ends the file: what stands
// before it is still returned, so that its mistakes can be reported in the same run.
func Split(file string, data []byte) ([]*Document, Problems) {
	if len(data) > MaxSize {
		return nil, Problems{{File: file, Message: fmt.Sprintf("file is %d bytes, at most %d are read; split it", len(data), MaxSize)}}
	}
	loader, err := yaml.NewLoader(bytes.NewReader(data), yaml.WithUniqueKeys(false))
	if err != nil {
		return nil, Problems{{File: file, Message: err.Error()}}
	}
	var docs []*Document
	var problems Problems
	for {
		var node yaml.Node
		err := loader.Load(&node)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return docs, append(problems, syntaxProblem(file, err))
		}
		doc := &Document{file: file, data: data, root: &node, paths: map[position]string{}, lines: map[string]int{}}
		root := content(&node)
		if root.Kind == 0 || root.Tag == "!!null" {
			problems = append(problems, Problem{file, root.Line, "", "document is empty; remove the extra ---"})
			continue
		}
		if found := doc.index(root, "", 0); len(found) > 0 {
			problems = append(problems, found...)
			continue
		}
		docs = append(docs, doc)
	}
	if len(docs) == 0 && len(problems) == 0 {
		problems = append(problems, Problem{File: file, Message: "file is empty; write at least one document or remove the file"})
	}
	return docs, problems
}

// content unwraps the document node, which has no position of its own.
func content(n *yaml.Node) *yaml.Node {
	if n.Kind == yaml.DocumentNode && len(n.Content) == 1 {
		return n.Content[0]
	}
	return n
}

// index records where every field stands and finds what the decoder does not say with a field path:
// duplicate keys, aliases (an alias can make a small file expand without bound) and deep nesting.
func (d *Document) index(n *yaml.Node, path string, depth int) Problems {
	if len(path) > maxPath {
		return Problems{{d.file, n.Line, strings.ToValidUTF8(path[:maxPath], ""), fmt.Sprintf("keys are longer than %d bytes together; no field's are", maxPath)}}
	}
	d.paths[position{n.Line, n.Column}] = path
	if _, seen := d.lines[path]; !seen {
		d.lines[path] = n.Line
	}
	switch {
	case depth > maxDepth:
		return Problems{{d.file, n.Line, path, fmt.Sprintf("nested deeper than %d levels", maxDepth)}}
	case n.Kind == yaml.AliasNode || n.Anchor != "":
		return Problems{{d.file, n.Line, path, "anchors and aliases are not supported; write the value out"}}
	}
	var problems Problems
	switch n.Kind {
	case yaml.SequenceNode:
		for i, item := range n.Content {
			problems = append(problems, d.index(item, fmt.Sprintf("%s[%d]", path, i), depth+1)...)
		}
	case yaml.MappingNode:
		seen := make(map[string]int, len(n.Content)/2)
		for i := 0; i+1 < len(n.Content); i += 2 {
			key, value := n.Content[i], n.Content[i+1]
			field := join(path, key.Value)
			if first, twice := seen[key.Value]; twice {
				problems = append(problems, Problem{d.file, key.Line, field, fmt.Sprintf("key is already set on line %d; keep one", first)})
				continue
			}
			seen[key.Value] = key.Line
			if key.Value == "<<" {
				problems = append(problems, Problem{d.file, key.Line, field, "merge keys are not supported; write the fields out"})
			}
			problems = append(problems, d.index(value, field, depth+1)...)
			d.paths[position{key.Line, key.Column}] = field
			d.lines[field] = key.Line
		}
	}
	return problems
}

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

// Decode stores the document in into, which points to a struct with yaml tags. Keys that the struct
// does not have are problems.
func (d *Document) Decode(into any) Problems {
	err := d.root.Load(into, yaml.WithKnownFields(true))
	if err == nil {
		return nil
	}
	var several *yaml.LoadErrors
	if !errors.As(err, &several) {
		return Problems{syntaxProblem(d.file, err)}
	}
	problems := make(Problems, 0, len(several.Errors))
	for _, e := range several.Errors {
		field := d.paths[position{e.Mark.Line, e.Mark.Column}]
		problems = append(problems, Problem{d.file, e.Mark.Line, field, plain(e.Message)})
	}
	return problems
}

// Scalar returns the text of the scalar at a top-level key, or "" when there is none.
func (d *Document) Scalar(key string) string {
	root := content(d.root)
	for i := 0; root.Kind == yaml.MappingNode && i+1 < len(root.Content); i += 2 {
		if root.Content[i].Value == key && root.Content[i+1].Kind == yaml.ScalarNode {
			return root.Content[i+1].Value
		}
	}
	return ""
}

// Locate returns the scalar at a top-level key, and where in the file its text, or the quote before it,
// begins.
func (d *Document) Locate(key string) (value string, offset int, ok bool) {
	root := content(d.root)
	for i := 0; root.Kind == yaml.MappingNode && i+1 < len(root.Content); i += 2 {
		if v := root.Content[i+1]; root.Content[i].Value == key && v.Kind == yaml.ScalarNode {
			return v.Value, d.offset(v), true
		}
	}
	return "", 0, false
}

// First returns where in the file the first key of a mapping in block style begins.
func (d *Document) First() (offset int, ok bool) {
	root := content(d.root)
	if root.Kind != yaml.MappingNode || root.Style&yaml.FlowStyle != 0 || len(root.Content) == 0 {
		return 0, false
	}
	return d.offset(root.Content[0]), true
}

// offset turns the line and the column of a node, in characters, into bytes of the file.
func (d *Document) offset(n *yaml.Node) int {
	rest := d.data
	for range n.Line - 1 {
		rest = rest[bytes.IndexByte(rest, '\n')+1:]
	}
	for range n.Column - 1 {
		_, size := utf8.DecodeRune(rest)
		rest = rest[size:]
	}
	return len(d.data) - len(rest)
}

// Has says whether the document sets field at all, which a decoded zero value cannot tell.
func (d *Document) Has(field string) bool {
	_, ok := d.lines[field]
	return ok
}

// Problem makes a problem of this document about field, on the line of that field or, where the
// document does not have it, of the nearest field around it.
func (d *Document) Problem(field, format string, args ...any) Problem {
	return Problem{d.file, d.line(field), field, fmt.Sprintf(format, args...)}
}

func (d *Document) line(field string) int {
	for {
		if line, ok := d.lines[field]; ok {
			return line
		}
		cut := strings.LastIndexAny(field, ".[")
		if cut < 0 {
			return d.lines[""]
		}
		field = field[:cut]
	}
}

func syntaxProblem(file string, err error) Problem {
	var one *yaml.LoadError
	if errors.As(err, &one) {
		return Problem{File: file, Line: one.Mark.Line, Message: "not valid YAML: " + one.Message}
	}
	return Problem{File: file, Message: "not valid YAML: " + err.Error()}
}

const unknownKey = "unknown key; check the spelling and the indentation"

// plain turns the decoder's words into those of someone who writes YAML, not Go.
func plain(message string) string {
	switch {
	case strings.HasPrefix(message, "field ") && strings.Contains(message, " not found in type "):
		return unknownKey
	case strings.HasPrefix(message, "parsing time "):
		return "wrong type: write a time such as 2027-03-01T00:00:00Z"
	case strings.HasPrefix(message, "cannot construct "):
		what, goType, _ := strings.Cut(strings.TrimPrefix(message, "cannot construct "), " into ")
		for tag, words := range tagWords {
			what = strings.ReplaceAll(what, tag, words)
		}
		return "wrong type: cannot read " + what + " as " + typeWord(goType)
	}
	return message
}

var tagWords = map[string]string{
	"!!seq": "a list", "!!map": "a mapping", "!!str": "the text", "!!int": "the number",
	"!!float": "the number", "!!bool": "the boolean", "!!null": "an empty value", "!!timestamp": "the time",
}

func typeWord(goType string) string {
	switch goType {
	case "string":
		return "text"
	case "int", "int64":
		return "a whole number"
	case "bool":
		return "true or false"
	case "time.Duration":
		return "a duration such as 2s or 5m"
	case "time.Time":
		return "a time such as 2027-03-01T00:00:00Z"
	}
	if strings.HasPrefix(goType, "[]") {
		return "a list"
	}
	return "a mapping"
}
