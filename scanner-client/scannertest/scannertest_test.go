package scannertest_test

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	scanner "portcullis/scanner-client"
	"portcullis/scanner-client/scannertest"
	"portcullis/scanner-client/verdict"
)

func TestTheFakeIsASource(t *testing.T) {
	scannertest.Run(t, func(*testing.T) *scannertest.Subject {
		source := scannertest.NewSource()
		return &scannertest.Subject{
			Source: source,
			Put:    func(_ *testing.T, v *verdict.Verdict) { source.Put(v) },
			Remove: func(_ *testing.T, id string) { source.Remove(id) },
			Break:  func(_ *testing.T, id string) { source.Break(id, errors.New("broken")) },
		}
	})
}

func TestAFailingFakeFailsForEveryImage(t *testing.T) {
	source := scannertest.NewSource(scannertest.Verdict(1, 1))
	down := errors.New("down")
	source.Fail(down)
	for n := range 2 {
		_, err := source.Verdict(t.Context(), scannertest.Image(n))
		require.ErrorIs(t, err, down)
	}
	source.Fail(nil)
	_, err := source.Verdict(t.Context(), scanner.Image{ID: scannertest.ImageID(2)})
	require.ErrorIs(t, err, scanner.ErrUnscanned)
	require.Equal(t, 1, source.Asked(scannertest.ImageID(2)))
}
