package nodeinstall

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"
	"strings"

	"portcullis/internal/strictyaml"
)

const endpointKey = "containerRuntimeEndpoint"

// kubeletConfig is a file of the kubelet's configuration: YAML, or JSON, which is YAML too.
type kubeletConfig struct {
	path string
	data []byte
	doc  *strictyaml.Document
}

func parseConfig(path string, data []byte) (*kubeletConfig, error) {
	docs, problems := strictyaml.Split(path, data)
	if problems.Err() != nil {
		return nil, problems
	}
	if len(docs) > 1 {
		return nil, fmt.Errorf("%s holds %d YAML documents; the kubelet's configuration is one", path, len(docs))
	}
	return &kubeletConfig{path, data, docs[0]}, nil
}

// set returns the file's bytes with endpoint in force. Only the value changes or, where there was none,
// one key comes before the first.
func (c *kubeletConfig) set(endpoint string) ([]byte, error) {
	edit := c.replaceValue
	if !c.doc.Has(endpointKey) {
		edit = c.addKey
	}
	edited, err := edit(endpoint)
	if err != nil {
		return nil, err
	}
	return edited, c.verify(edited, endpoint)
}

var errForm = errors.New("is written in a form that is not edited by program")

func (c *kubeletConfig) replaceValue(endpoint string) ([]byte, error) {
	value, at, ok := c.doc.Locate(endpointKey)
	if !ok {
		return nil, fmt.Errorf("%s in %s %w; write %q there by hand", endpointKey, c.path, errForm, endpoint)
	}
	for _, quote := range []string{`"`, `'`, ""} {
		written := quote + value + quote
		if written != "" && bytes.HasPrefix(c.data[at:], []byte(written)) {
			return splice(c.data, at, len(written), quote+endpoint+quote), nil
		}
	}
	return nil, fmt.Errorf("%s in %s %w; write %q there by hand", endpointKey, c.path, errForm, endpoint)
}

// addKey writes a line of the first key's indentation before it, so that it fits whatever stands below.
func (c *kubeletConfig) addKey(endpoint string) ([]byte, error) {
	if start := bytes.TrimLeft(c.data, " \t\r\n"); bytes.HasPrefix(start, []byte("{")) {
		at := len(c.data) - len(start) + 1
		return splice(c.data, at, 0, fmt.Sprintf("%q: %q, ", endpointKey, endpoint)), nil
	}
	at, ok := c.doc.First()
	if !ok {
		return nil, fmt.Errorf("%s %w; add %s: %q by hand", c.path, errForm, endpointKey, endpoint)
	}
	indent := c.data[bytes.LastIndexByte(c.data[:at], '\n')+1 : at]
	return splice(c.data, at, 0, c.addedLine(endpoint)+string(indent)), nil
}

func (c *kubeletConfig) addedLine(endpoint string) string {
	end := "\n"
	if bytes.Contains(c.data, []byte("\r\n")) {
		end = "\r\n"
	}
	return endpointKey + ": " + endpoint + end
}

// unset takes back what addKey did, in a file that may have been edited since.
func (c *kubeletConfig) unset(endpoint string) ([]byte, error) {
	for _, written := range []string{fmt.Sprintf("%q: %q, ", endpointKey, endpoint), c.addedLine(endpoint)} {
		if at := bytes.Index(c.data, []byte(written)); at >= 0 {
			indent := 0
			if !strings.HasSuffix(written, ", ") {
				indent = at - bytes.LastIndexByte(c.data[:at], '\n') - 1
			}
			return splice(c.data, at-indent, len(written)+indent, ""), nil
		}
	}
	return nil, fmt.Errorf("%s in %s %w; remove it by hand", endpointKey, c.path, errForm)
}

// verify makes sure that the edit changed what it was to change and nothing else.
func (c *kubeletConfig) verify(edited []byte, endpoint string) error {
	var before, after map[string]any
	changed, err := parseConfig(c.path, edited)
	if err == nil {
		err = errors.Join(c.doc.Decode(&before).Err(), changed.doc.Decode(&after).Err())
	}
	if err == nil {
		before[endpointKey] = endpoint
	}
	if err != nil || !reflect.DeepEqual(before, after) {
		return fmt.Errorf("%s %w; set %s: %q by hand", c.path, errForm, endpointKey, endpoint)
	}
	return nil
}

func splice(data []byte, at, length int, text string) []byte {
	out := append([]byte(nil), data[:at]...)
	out = append(out, text...)
	return append(out, data[at+length:]...)
}
