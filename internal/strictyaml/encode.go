package strictyaml

import (
	"encoding/json"

	"go.yaml.in/yaml/v4"
)

// Encode writes value as YAML under the names that it has in JSON.
func Encode(value any) ([]byte, error) {
	text, err := json.Marshal(value)
	if err != nil {
		return nil, err
	}
	var plain any
	if err := yaml.Load(text, &plain); err != nil { // JSON is YAML, and keeps whole numbers whole
		return nil, err
	}
	return yaml.Dump(plain)
}

// EncodeTagged writes value, a struct with yaml tags, in the order of its fields.
func EncodeTagged(value any) ([]byte, error) { return yaml.Dump(value) }
