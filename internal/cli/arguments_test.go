package cli_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"portcullis/internal/cli"
)

func TestWhatOneCommandPrintsAnotherTakes(t *testing.T) {
	for typed, meant := range map[string]string{
		"delete imagepolicy/a imagepolicy/b":        "delete imagepolicy a b",
		"delete policy imagepolicy/a b --context c": "delete policy a b --context c",
		"disable policy imagepolicy/imagepolicy/a":  "disable policy imagepolicy/a",
		"get node/worker-1":                         "get node worker-1",
		"nodes remove node/worker-1":                "nodes remove worker-1",
		"nodes join-token delete join-token/1":      "nodes join-token delete 1",
		"images delete-report report/1":             "images delete-report 1",
		"delete imagepolicy/a exemption/b":          "delete imagepolicy a exemption/b", // nothing else is deleted by mistake
		"get images registry/a":                     "get images registry/a",
		"get other/a":                               "get other/a",
		"policy check imagepolicy/a":                "policy check imagepolicy/a",
		"delete":                                    "delete",
	} {
		require.Equal(t, meant, strings.Join(cli.Arguments(strings.Fields(typed)), " "), typed)
	}
}
