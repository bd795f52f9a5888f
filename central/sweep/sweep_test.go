package sweep_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sirupsen/logrus"
	"github.com/sirupsen/logrus/hooks/test"
	"github.com/stretchr/testify/require"

	"portcullis/central/sweep"
)

func TestASweepGoesOnInPiecesAndAfterAFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, end := context.WithCancel(t.Context())
		log, logged := test.NewNullLogger()
		start := time.Now()
		var at []time.Duration
		answers := []struct {
			more bool
			err  error
		}{{true, nil}, {true, nil}, {false, errors.New("database away")}, {false, nil}, {false, nil}}
		sweep.Run(ctx, log, "things", func(context.Context) (bool, error) {
			answer := answers[len(at)]
			at = append(at, time.Since(start))
			if len(at) == len(answers) {
				end()
			}
			return answer.more, answer.err
		})
		gap, failed := 50*time.Millisecond, time.Minute+100*time.Millisecond
		require.Equal(t, []time.Duration{time.Minute, time.Minute + gap, failed, failed + time.Minute, failed + time.Minute + time.Hour}, at)
		require.Len(t, logged.AllEntries(), 1)
		require.Equal(t, logrus.WarnLevel, logged.LastEntry().Level)
		require.Equal(t, "old things could not be deleted; trying again later", logged.LastEntry().Message)
	})
}
