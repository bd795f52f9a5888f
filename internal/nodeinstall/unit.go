package nodeinstall

import (
	"bytes"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/coreos/go-systemd/v22/unit"
)

// unitFolders are where systemd looks for units, the first wins. Vendor's ones are not to be edited:
// the next upgrade of the package would put them back.
var unitFolders = []string{"/etc/systemd/system", "/run/systemd/system", "/usr/local/lib/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system"}

// ownUnits is where an administrator's units are.
const ownUnits = "/etc/systemd/system"

// piece is a text of a command line and the file it stands in.
type piece struct{ text, path string }

// service is what systemd would start.
type service struct {
	files     files
	command   piece
	variables map[string]piece
	sources   []string // the environment files, in order
}

// readService reads a unit with its drop-ins; command is empty where there is no such unit.
func readService(f files, name string) service {
	s := service{files: f, variables: map[string]piece{}}
	for _, path := range unitFiles(f, name) {
		data, err := f.read(path)
		if err != nil {
			continue // a link to nowhere, as systemd sees it too
		}
		options, err := unit.DeserializeOptions(bytes.NewReader(data))
		if err != nil {
			continue
		}
		for _, o := range options {
			if o.Section == "Service" {
				s.option(o.Name, o.Value, path)
			}
		}
	}
	for _, path := range s.sources {
		s.readVariables(path)
	}
	return s
}

// unitFiles returns the unit's file and its drop-ins in the order in which systemd reads them.
func unitFiles(f files, name string) []string {
	var paths []string
	for _, folder := range unitFolders {
		if path := filepath.Join(folder, name); f.exists(path) {
			paths = append(paths, path)
			break
		}
	}
	chosen := map[string]string{} // a drop-in hides those of its name in later folders
	var names []string
	for _, folder := range unitFolders {
		dropIns := filepath.Join(folder, name+".d")
		for _, n := range f.list(dropIns, "*.conf") {
			if chosen[n] == "" {
				chosen[n] = filepath.Join(dropIns, n)
				names = append(names, n)
			}
		}
	}
	for _, n := range sorted(names) {
		paths = append(paths, chosen[n])
	}
	return paths
}

func (s *service) option(name, value, path string) {
	value = strings.ReplaceAll(value, "\\\n", " ")
	switch name {
	case "ExecStart":
		s.command = piece{value, path} // an empty one takes back those before
	case "EnvironmentFile":
		if value == "" {
			s.sources = nil
			return
		}
		s.sources = append(s.sources, strings.TrimPrefix(value, "-"))
	case "Environment":
		for _, m := range assignment.FindAllStringSubmatch(value, -1) {
			name, value, _ := strings.Cut(unquote(m[0]), "=")
			s.variables[name] = piece{value, path}
		}
	}
}

// assignment is NAME=value, quoted as a whole or not at all.
var assignment = regexp.MustCompile(`"[^"]*"|'[^']*'|\S+`)

// readVariables takes the assignments of an environment file; a later one wins.
func (s *service) readVariables(path string) {
	data, err := s.files.read(path)
	if err != nil {
		return
	}
	text := strings.ReplaceAll(strings.ReplaceAll(string(data), "\r\n", "\n"), "\\\n", " ")
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		name, value, ok := strings.Cut(line, "=")
		if !ok || strings.HasPrefix(line, "#") || strings.HasPrefix(line, ";") {
			continue
		}
		s.variables[strings.TrimSpace(name)] = piece{unquote(strings.TrimSpace(value)), path}
	}
}

func unquote(text string) string {
	if len(text) >= 2 && (text[0] == '"' || text[0] == '\'') && text[len(text)-1] == text[0] {
		return text[1 : len(text)-1]
	}
	return text
}

var variable = regexp.MustCompile(`\$\{?(\w+)\}?`)

// arguments returns the command line with its variables filled in, and the pieces that it is made of.
func (s *service) arguments() (arguments []string, pieces []piece) {
	pieces = []piece{s.command}
	line := variable.ReplaceAllStringFunc(s.command.text, func(reference string) string {
		p := s.variables[variable.FindStringSubmatch(reference)[1]]
		if p.path != "" {
			pieces = append(pieces, p)
		}
		return p.text
	})
	for _, word := range strings.Fields(line) {
		arguments = append(arguments, strings.Trim(word, `"'`))
	}
	return arguments, pieces
}

// runsKubelet says whether the unit starts the kubelet itself, and not a script that does.
func (s *service) runsKubelet() bool {
	arguments, _ := s.arguments()
	return len(arguments) > 0 && filepath.Base(strings.TrimLeft(arguments[0], "-@:+!")) == "kubelet"
}
