package output_test

import (
	"bytes"
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/types/known/timestamppb"

	portcullisv1 "portcullis/api/portcullis/v1"
	"portcullis/internal/cli/output"
)

const hostile = "a\x1b[2J\u009b31m\u202e\t\x00\U000e0001é"

var kind = output.Kind[*portcullisv1.Node]{
	Name: func(n *portcullisv1.Node) string { return "node/" + n.GetName() },
	Columns: []output.Column[*portcullisv1.Node]{
		{Title: "NAME", Cell: func(n *portcullisv1.Node, _ time.Time) string { return n.GetName() }},
		{Title: "ID", Wide: true, Cell: func(n *portcullisv1.Node, _ time.Time) string { return n.GetId() }},
	},
}

func TestNoFormatLetsNamesReachATerminalAsTheyAre(t *testing.T) {
	for _, format := range output.Formats() {
		var out bytes.Buffer
		p := &output.Printer{Out: &out, Format: format}
		node := &portcullisv1.Node{Name: hostile, Id: "1"}
		require.NoError(t, output.List(p, kind, []*portcullisv1.Node{node}, true))
		require.NoError(t, output.Follow(p, kind)(node))
		require.NotContains(t, out.String(), "\x1b", format)
		require.NotContains(t, out.String(), "\u009b", format)
		require.NotContains(t, out.String(), "\x00", format)
		require.Contains(t, out.String(), "é", format)
	}
}

func TestJSONStaysWhatItWas(t *testing.T) {
	var out bytes.Buffer
	p := &output.Printer{Out: &out, Format: "json"}
	require.NoError(t, p.Message(&portcullisv1.Node{Name: hostile, Bundle: 1 << 60}))
	var back map[string]string
	require.NoError(t, json.Unmarshal(out.Bytes(), &back))
	require.Equal(t, map[string]string{"name": hostile, "bundle": "1152921504606846976"}, back)
}

func TestOneIsNotAListAndAListOfOneIs(t *testing.T) {
	nodes := []*portcullisv1.Node{{Name: "a"}}
	for one, want := range map[bool]string{true: "name: a\n", false: "items:\n- name: a\n"} {
		var out bytes.Buffer
		require.NoError(t, output.List(&output.Printer{Out: &out, Format: "yaml"}, kind, nodes, one))
		require.Equal(t, want, out.String())
	}
}

func TestAgesAreShort(t *testing.T) {
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	for ago, want := range map[time.Duration]string{
		0: "0s", 90 * time.Second: "90s", 5 * time.Minute: "5m", 5 * time.Hour: "5h", 72 * time.Hour: "3d", 3 * 365 * 24 * time.Hour: "3y",
		-72 * time.Hour: "in 3d",
	} {
		require.Equal(t, want, output.Age(timestamppb.New(now.Add(-ago)), now))
	}
	require.Equal(t, "<none>", output.Age(nil, now))
}

func TestWordsAreThoseOfPeople(t *testing.T) {
	require.Equal(t, "in-force", output.Word(portcullisv1.NodeState_NODE_STATE_IN_FORCE))
	require.Empty(t, output.Word(portcullisv1.NodeState_NODE_STATE_UNSPECIFIED))
	require.Equal(t, "99", output.Word(portcullisv1.NodeState(99)), "of a newer central")
	number, err := output.ParseWord(portcullisv1.NodeState(0).Descriptor(), "Behind")
	require.NoError(t, err)
	require.Equal(t, portcullisv1.NodeState_NODE_STATE_BEHIND.Number(), number)
	_, err = output.ParseWord(portcullisv1.NodeState(0).Descriptor(), "unspecified")
	require.EqualError(t, err, `"unspecified" is not known; write in-force, behind, rejected, silent`)
}
