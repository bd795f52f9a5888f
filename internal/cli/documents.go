package cli

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"portcullis/internal/cli/failure"
	"portcullis/internal/policyfile"
	"portcullis/internal/strictyaml"
	"portcullis/policy"
)

// documents are YAML files put together to one stream, which remembers where each line came from.
type documents struct {
	text  strings.Builder
	lines int
	parts []part
}

type part struct {
	file  string
	first int // line of the stream at which the file begins, from 1
}

// readDocuments reads files, folders and, for -, the input.
func readDocuments(paths []string, in io.Reader) (*documents, error) {
	d := &documents{}
	for _, path := range paths {
		sources, err := readSources(path, in)
		if err != nil {
			return nil, err
		}
		for _, source := range sources {
			d.add(source)
		}
	}
	if len(d.parts) == 0 {
		return nil, fmt.Errorf("there is no YAML file in %s; nothing was changed", strings.Join(paths, ", "))
	}
	return d, nil
}

func readSources(path string, in io.Reader) ([]policy.Source, error) {
	if path != "-" {
		return policyfile.Read(path)
	}
	text, err := io.ReadAll(io.LimitReader(in, strictyaml.MaxSize+1))
	if err == nil && len(text) > strictyaml.MaxSize {
		err = fmt.Errorf("the input is larger than %d bytes", strictyaml.MaxSize)
	}
	return []policy.Source{{Name: "-", Data: text}}, err
}

func (d *documents) add(source policy.Source) {
	data := bytes.TrimPrefix(source.Data, []byte("\ufeff"))
	if len(bytes.TrimSpace(data)) > 0 && len(d.parts) > 0 && !begins(data) {
		d.write("---\n")
	}
	d.parts = append(d.parts, part{source.Name, d.lines + 1})
	d.write(string(data))
	if len(data) > 0 && data[len(data)-1] != '\n' {
		d.write("\n")
	}
}

func (d *documents) write(text string) {
	d.text.WriteString(text)
	d.lines += strings.Count(text, "\n")
}

// begins says whether the file separates itself from what comes before.
func begins(data []byte) bool {
	for line := range bytes.Lines(data) {
		line = bytes.TrimSpace(line)
		if len(line) > 0 && line[0] != '#' {
			return bytes.HasPrefix(line, []byte("---"))
		}
	}
	return true // nothing but comments
}

// locate is where a line of the stream came from.
func (d *documents) locate(line int) string {
	for i := len(d.parts) - 1; i >= 0; i-- {
		if p := d.parts[i]; line >= p.first {
			return fmt.Sprintf("%s:%d", p.file, line-p.first+1)
		}
	}
	return fmt.Sprintf("line %d", line)
}

// say puts errors into words with the places in the files.
func (d *documents) say(c *call, err error) error {
	return failure.Say(err, c.Context.Address, d.locate)
}

// readOne is for a single document.
func readOne(path string, in io.Reader) (*documents, error) {
	if path != "-" {
		if info, err := os.Stat(path); err == nil && info.IsDir() {
			return nil, errors.New(path + " is a folder; name one file")
		}
	}
	return readDocuments([]string{path}, in)
}
