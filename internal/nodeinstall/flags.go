package nodeinstall

import (
	"bytes"
	"regexp"
	"strings"
)

const endpointFlag = "container-runtime-endpoint"

// flags are those of the kubelet that say where it looks for its runtime, how it is asked for its health
// and where it keeps its things. "" stands for a flag that is not set.
type flags struct {
	endpoint, config, configDir, healthzPort, healthzAddress, rootDir string
}

// parseFlags reads a command line as the kubelet does: the last of a flag wins.
func parseFlags(arguments []string) flags {
	var f flags
	known := map[string]*string{
		endpointFlag: &f.endpoint, "config": &f.config, "config-dir": &f.configDir,
		"healthz-port": &f.healthzPort, "healthz-bind-address": &f.healthzAddress, "root-dir": &f.rootDir,
	}
	for i, argument := range arguments {
		name, ok := strings.CutPrefix(argument, "--")
		if !ok {
			continue
		}
		name, value, written := strings.Cut(name, "=")
		if !written && i+1 < len(arguments) {
			value = arguments[i+1]
		}
		if into := known[name]; into != nil {
			*into = strings.Trim(value, `"'`)
		}
	}
	return f
}

// flagOf finds the flag and its value in a line that is no comment.
var flagOf = regexp.MustCompile(`(?m)(^|[\s"'=])(--` + endpointFlag + `(?:=|[ \t]+)["']?)([^\s"'\\]+)`)

// replaceFlag sets the flag to endpoint wherever data has it with another value, and returns nil where
// it does not. Nothing else changes, not a byte.
func replaceFlag(data []byte, endpoint string) []byte {
	return replaceFlagIf(data, endpoint, func(value string) bool { return value != endpoint })
}

func replaceFlagIf(data []byte, endpoint string, wanted func(value string) bool) []byte {
	var out []byte
	rest, changed := 0, false
	for _, at := range flagOf.FindAllSubmatchIndex(data, -1) {
		value := string(data[at[6]:at[7]])
		if isComment(data, at[0]) || !wanted(value) {
			continue
		}
		out = append(append(out, data[rest:at[6]]...), endpoint...)
		rest, changed = at[7], true
	}
	if !changed {
		return nil
	}
	return append(out, data[rest:]...)
}

func isComment(data []byte, at int) bool {
	// The match may begin with the line break before the flag, whose line is the next one then.
	if at < len(data) && data[at] == '\n' {
		at++
	}
	line := bytes.TrimLeft(data[bytes.LastIndexByte(data[:at], '\n')+1:], " \t")
	return len(line) > 0 && (line[0] == '#' || line[0] == ';')
}
