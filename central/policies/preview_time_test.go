package policies_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	portcullisv1 "portcullis/api/portcullis/v1"
	"portcullis/central/centraltest"
	"portcullis/central/policies"
	"portcullis/central/store/storetest"
	"portcullis/scanner-client/verdict"
)

// slow has an image a second.
type slow struct{ *world }

func (s slow) EachPresentImage(ctx context.Context, each func(*policies.PresentImage) error) error {
	for n := 0; ; n++ {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(time.Second):
		}
		i := image(n, "app", verdict.Critical)
		i.Nodes = []policies.Node{{Name: "a"}}
		if err := each(&i); err != nil {
			return err
		}
	}
}

func TestAPreviewEndsInTimeWithWhatItSaw(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{Clock: centraltest.NewClock(noon), each: func() {}}
		service := policies.NewService(storetest.Open(t, storetest.SQLite(t)), policies.Options{Hits: w, Images: slow{w}, Now: w.Now})
		began := time.Now()
		r, err := service.PreviewPolicy(ctx, &portcullisv1.PreviewPolicyRequest{Document: risky("d")})
		require.NoError(t, err)
		require.True(t, r.GetIncomplete())
		require.Equal(t, 20*time.Second, time.Since(began))
		require.InDelta(t, 20, r.GetImagesTotal(), 1)

		hurried, cancel := context.WithTimeout(ctx, 5*time.Second)
		defer cancel()
		_, err = service.PreviewPolicy(hurried, &portcullisv1.PreviewPolicyRequest{Document: risky("d")})
		require.ErrorIs(t, err, context.DeadlineExceeded, "the caller was told something although they went away")
	})
}
