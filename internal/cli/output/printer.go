package output

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"portcullis/internal/strictyaml"
)

// Formats are what -o takes.
func Formats() []string { return []string{"table", "wide", "json", "yaml", "name"} }

// Printer writes in one format.
type Printer struct {
	Out       io.Writer
	Format    string
	NoHeaders bool
	Now       time.Time
}

// Check says whether the format is one, of those or of all.
func (p *Printer) Check(formats ...string) error {
	if len(formats) == 0 {
		formats = Formats()
	}
	if !slices.Contains(formats, p.Format) {
		return fmt.Errorf("unknown output format %q; write %s", p.Format, strings.Join(formats, ", "))
	}
	return nil
}

// Kind says how one kind of thing is shown.
type Kind[T proto.Message] struct {
	// Name is kind/name, which other commands take.
	Name    func(T) string
	Columns []Column[T]
	// Document is what -o yaml shows, where that can be applied again; nil for the message.
	Document func(T) string
}

// Column is one of a table.
type Column[T proto.Message] struct {
	Title string
	Cell  func(item T, now time.Time) string
	// Wide ones are shown by -o wide only.
	Wide bool
}

// List shows things. One that was asked for by its name is not a list for programs.
func List[T proto.Message](p *Printer, kind Kind[T], items []T, one bool) error {
	switch {
	case p.Format == "name":
		for _, item := range items {
			fmt.Fprintln(p.Out, Line(kind.Name(item)))
		}
		return nil
	case p.Format == "yaml" && kind.Document != nil:
		return p.documents(mapped(items, kind.Document))
	case p.Format == "json" || p.Format == "yaml":
		if one && len(items) == 1 {
			return p.Message(items[0])
		}
		plains := make([]any, len(items))
		for i, item := range items {
			var err error
			if plains[i], err = plain(item); err != nil {
				return err
			}
		}
		return p.value(map[string]any{"items": plains})
	}
	rows := newRows(p, kind, 0)
	for _, item := range items {
		rows.add(item)
	}
	return rows.writer.Flush()
}

func mapped[T any](items []T, f func(T) string) []string {
	texts := make([]string, len(items))
	for i, item := range items {
		texts[i] = f(item)
	}
	return texts
}

func (p *Printer) documents(texts []string) error {
	for i, text := range texts {
		if i > 0 {
			fmt.Fprintln(p.Out, "---")
		}
		if _, err := io.WriteString(p.Out, Document(text)); err != nil {
			return err
		}
	}
	return nil
}

// rows is a table that grows.
type rows[T proto.Message] struct {
	printer *Printer
	columns []Column[T]
	writer  *tabwriter.Writer
}

func newRows[T proto.Message](p *Printer, kind Kind[T], least int) *rows[T] {
	r := &rows[T]{printer: p, writer: tabwriter.NewWriter(p.Out, least, 8, 3, ' ', 0)}
	var titles []string
	for _, c := range kind.Columns {
		if !c.Wide || p.Format == "wide" {
			r.columns = append(r.columns, c)
			titles = append(titles, c.Title)
		}
	}
	if !p.NoHeaders {
		fmt.Fprintln(r.writer, strings.Join(titles, "\t"))
	}
	return r
}

func (r *rows[T]) add(item T) {
	cells := make([]string, len(r.columns))
	for i, c := range r.columns {
		cells[i] = Line(c.Cell(item, r.printer.Now))
	}
	fmt.Fprintln(r.writer, strings.Join(cells, "\t"))
}

// followedWidth is the least of a column whose next cells are not known yet.
const followedWidth = 12

// Follow returns what shows things one by one, as they come: for programs one JSON text on each line.
func Follow[T proto.Message](p *Printer, kind Kind[T]) func(T) error {
	switch p.Format {
	case "name":
		return func(item T) error { _, err := fmt.Fprintln(p.Out, Line(kind.Name(item))); return err }
	case "json":
		return func(item T) error {
			value, err := plain(item)
			if err != nil {
				return err
			}
			return p.json(value, "")
		}
	case "yaml":
		return func(item T) error { fmt.Fprintln(p.Out, "---"); return p.Message(item) }
	}
	table := newRows(p, kind, followedWidth)
	_ = table.writer.Flush() // the next write tells what fails
	return func(item T) error {
		table.printer.Now = time.Now()
		table.add(item)
		return table.writer.Flush()
	}
}

// Message shows one message for programs: in the JSON form that the API has for it.
func (p *Printer) Message(message proto.Message) error {
	value, err := plain(message)
	if err != nil {
		return err
	}
	return p.value(value)
}

// plain goes through JSON once more, because protojson varies its blanks on purpose.
func plain(message proto.Message) (any, error) {
	text, err := protojson.Marshal(message)
	if err != nil {
		return nil, err
	}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	var value any
	return value, decoder.Decode(&value)
}

func (p *Printer) value(value any) error {
	if p.Format == "yaml" {
		text, err := strictyaml.Encode(value)
		if err != nil {
			return err
		}
		_, err = io.WriteString(p.Out, Document(string(text)))
		return err
	}
	return p.json(value, "  ")
}

func (p *Printer) json(value any, indent string) error {
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", indent)
	if err := encoder.Encode(value); err != nil {
		return err
	}
	_, err := io.WriteString(p.Out, safeJSON(text.String()))
	return err
}

// safeJSON escapes what json leaves as it is and a terminal may obey; it stands in strings only.
func safeJSON(text string) string {
	var b strings.Builder
	for _, r := range text {
		switch {
		case unicode.IsPrint(r) || r == '\n':
			b.WriteRune(r)
		case r < 0x10000:
			fmt.Fprintf(&b, `\u%04x`, r)
		default: // a pair of surrogates
			r -= 0x10000
			fmt.Fprintf(&b, `\u%04x\u%04x`, 0xd800+r>>10, 0xdc00+r&0x3ff)
		}
	}
	return b.String()
}

// Section writes lines of "Name:  value" for describe.
type Section struct {
	out    io.Writer
	writer *tabwriter.Writer
}

// NewSection begins one.
func NewSection(out io.Writer) *Section {
	return &Section{out, tabwriter.NewWriter(out, 0, 8, 2, ' ', 0)}
}

// Field writes one line, unless the value is empty.
func (s *Section) Field(name, format string, args ...any) {
	if value := fmt.Sprintf(format, args...); value != "" {
		fmt.Fprintf(s.writer, "%s:\t%s\n", name, Line(value))
	}
}

// Lines writes a title and what stands below it, indented; nothing when there is nothing.
func (s *Section) Lines(title string, lines ...string) {
	_ = s.writer.Flush() // writes to s.out, whose failure the next write tells
	if len(lines) == 0 {
		return
	}
	fmt.Fprintf(s.out, "%s:\n", title)
	for _, line := range lines {
		fmt.Fprintf(s.out, "  %s\n", Line(line))
	}
}

// End writes what is left.
func (s *Section) End() error { return s.writer.Flush() }
