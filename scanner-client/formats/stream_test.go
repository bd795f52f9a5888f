package formats_test

import (
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"portcullis/scanner-client/formats"
)

// names reads a document {"list": [{"name": "…"}, …], …} and returns the names.
func names(r io.Reader, limit int64) ([]string, error) {
	stream := formats.NewStream(r, limit)
	var found []string
	err := stream.Object(func(key string) error {
		if key != "list" {
			return stream.Skip()
		}
		return stream.Array(func() error {
			var element struct{ Name string }
			if err := stream.Into(&element); err != nil {
				return err
			}
			found = append(found, element.Name)
			return nil
		})
	})
	if err != nil {
		return nil, err
	}
	return found, stream.End()
}

func TestAListIsReadWhateverStandsAroundIt(t *testing.T) {
	for _, document := range []string{
		`{"list": [{"name": "a"}, {"name": "b"}]}`,
		"\xef\xbb\xbf" + `{"list":[{"name":"a"},{"name":"b"}]}`,
		`{"x": null, "y": [1, [2, {"list": [{"name": "no"}]}]], "list": [{"name": "a", "more": {}}, {"name": "b"}], "z": {"list": [{"name": "no"}]}}` + "\n",
		`{"list": [{"name": "a"}], "list": [{"name": "b"}]}`,
	} {
		found, err := names(strings.NewReader(document), 1<<20)
		require.NoError(t, err, document)
		require.Equal(t, []string{"a", "b"}, found, document)
	}
	found, err := names(strings.NewReader(`{"list": null}`), 1<<20)
	require.NoError(t, err)
	require.Empty(t, found)
}

func TestAWrongTypeIsNamedByItsPlace(t *testing.T) {
	for document, want := range map[string]string{
		`{"list": {}}`:                           "list: is an object, not a list",
		`{"list": "x"}`:                          "list: is a string, not a list",
		`{"list": true}`:                         "list: is a boolean, not a list",
		`{"list": [{"name": "a"}, {"name": 1}]}`: "list[1]: json: cannot unmarshal number",
		`{"list": [1]}`:                          "list[0]: json: cannot unmarshal number",
		`{"list": [}`:                            "invalid character",
		`{"` + strings.Repeat("k", 100) + `": [1 2]}`: strings.Repeat("k", 40) + "…: invalid character '2' after array element",
		`{"a\u0000b": [1 2]}`:                         `"a\x00b": invalid character '2' after array element`,
	} {
		_, err := names(strings.NewReader(document), 1<<20)
		require.ErrorContains(t, err, want, document)
	}
}

func TestWhatIsNotLookedAtMayBeLargerThanAFinding(t *testing.T) {
	document := `{"labels": {"a": ["` + strings.Repeat("x", 2*formats.MaxValue) + `"]}, "list": [{"name": "a"}]}`
	found, err := names(strings.NewReader(document), 1<<30)
	require.NoError(t, err)
	require.Equal(t, []string{"a"}, found)
}

func TestDeepNestingIsGivenUp(t *testing.T) {
	_, err := names(strings.NewReader(`{"x": `+strings.Repeat("[", 4<<20)), 1<<30)
	require.ErrorContains(t, err, "x: is more than 10000 objects and lists deep")
}

// flood writes a document whose one value never ends.
type flood struct {
	start string
	fill  byte
	read  int
}

func (f *flood) Read(p []byte) (int, error) {
	n := copy(p, f.start)
	f.start = f.start[n:]
	for i := n; i < len(p); i++ {
		p[i] = f.fill
	}
	f.read += len(p)
	return len(p), nil
}

func TestAnEndlessValueIsGivenUp(t *testing.T) {
	for name, f := range map[string]*flood{
		"string":  {start: `{"list": [{"name": "`, fill: 'x'},
		"key":     {start: `{"`, fill: 'x'},
		"skipped": {start: `{"other": [{"a": "`, fill: 'x'},
		"space":   {start: `{"list": [{"name": "a"}`, fill: ' '},
	} {
		_, err := names(f, 1<<40)
		require.Error(t, err, name)
		require.NotErrorIs(t, err, formats.ErrTruncated, name)
		require.LessOrEqual(t, f.read, 10*formats.MaxValue, name)
	}
}

func TestSpaceThatHidesTheRestOfAListIsNoEnd(t *testing.T) {
	document := `{"list": [{"name": "a"},` + strings.Repeat(" ", 2*formats.MaxValue) + `{"name": "b"}]}`
	found, err := names(strings.NewReader(document), 1<<30)
	if err == nil {
		require.Equal(t, []string{"a", "b"}, found)
	}
}

func TestADocumentLargerThanTheLimitIsRefused(t *testing.T) {
	document := `{"list": [` + strings.Repeat(`{"name": "a"}, `, 1000) + `{"name": "b"}]}`
	_, err := names(strings.NewReader(document), int64(len(document))-1)
	require.ErrorIs(t, err, formats.ErrTooLarge)
	found, err := names(strings.NewReader(document), int64(len(document)))
	require.NoError(t, err)
	require.Len(t, found, 1001)
}

func TestAReaderThatFailsIsNotATruncatedReport(t *testing.T) {
	broken := errors.New("disk on fire")
	_, err := names(io.MultiReader(strings.NewReader(`{"list": [`), &failing{broken}), 1<<20)
	require.ErrorIs(t, err, broken)
}

type failing struct{ err error }

func (f *failing) Read([]byte) (int, error) { return 0, f.err }
