package worst_test

import (
	"cmp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"portcullis/cmd/portcullis-scan/worst"
)

type finding struct {
	Level int
	Text  string
}

func newList() *worst.List[finding] {
	return worst.New(func(a, b finding) int {
		return cmp.Or(cmp.Compare(b.Level, a.Level), strings.Compare(a.Text, b.Text))
	})
}

func TestAFloodOfMildFindingsDoesNotPushOutTheWorst(t *testing.T) {
	list := newList()
	list.Add(finding{9, "first"})
	for i := range 5 * worst.MostFindings {
		list.Add(finding{1, strings.Repeat("x", i%7) + string(rune('a'+i%26)) + strings.Repeat("y", i%1000)})
	}
	list.Add(finding{9, "last"})
	kept, omitted := list.Findings()
	require.LessOrEqual(t, len(kept), worst.MostFindings)
	require.Positive(t, omitted)
	require.Equal(t, []finding{{9, "first"}, {9, "last"}}, kept[:2])
}

func TestTheSameFindingIsKeptOnceAndNotCountedAsLeftOut(t *testing.T) {
	list := newList()
	for i := range 3 * worst.MostFindings {
		list.Add(finding{1, string(rune('a' + i%3))})
	}
	kept, omitted := list.Findings()
	require.Equal(t, []finding{{1, "a"}, {1, "b"}, {1, "c"}}, kept)
	require.Zero(t, omitted)
}

func TestAFewFindingsAreAllKept(t *testing.T) {
	kept, omitted := newList().Findings()
	require.Empty(t, kept)
	require.Zero(t, omitted)
	list := newList()
	for i := range worst.MostFindings {
		list.Add(finding{i, ""})
	}
	kept, omitted = list.Findings()
	require.Len(t, kept, worst.MostFindings)
	require.Equal(t, worst.MostFindings-1, kept[0].Level)
	require.Zero(t, omitted)
}

// A path may be as long as an image wants, and control characters take six bytes each in JSON.
func TestFindingsWithLongTextsAreBoundedByTheirBytes(t *testing.T) {
	list := newList()
	text := strings.Repeat("\x01", 4000)
	for i := range 2000 {
		list.Add(finding{i, text})
	}
	list.Add(finding{1 << 30, strings.Repeat("z", 10<<20)})
	kept, omitted := list.Findings()
	require.Equal(t, 2001, len(kept)+omitted)
	require.Less(t, len(kept), 300)
	require.Equal(t, 1999, kept[0].Level)
}
