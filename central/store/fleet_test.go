package store_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"portcullis/central/store"
	"portcullis/central/store/storetest"
)

func member(t *testing.T, tx *store.Tx, name string) string {
	t.Helper()
	id := store.NewID()
	require.NoError(t, tx.CreateNode(ctx, store.Node{ID: id, Name: name, JoinTime: noon}))
	return id
}

func TestANodeOfOneReplicaStaysConnectedWhenAnotherSaysThatItsStreamEnded(t *testing.T) {
	storetest.Run(t, func(t *testing.T, s *store.Store) {
		inTx(t, s, func(tx *store.Tx) {
			id := member(t, tx, "n")
			connected := func() bool {
				n, err := tx.Node(ctx, id, noon)
				require.NoError(t, err)
				return n.Connected
			}
			note := func(replica string, change store.StreamChange) {
				require.NoError(t, tx.NoteNodes(ctx, replica, []store.NodeNews{{ID: id, Contact: noon, Stream: change}, {ID: "removed", Stream: change}}))
			}
			require.NoError(t, tx.ReplicaLives(ctx, "a", noon))
			require.NoError(t, tx.ReplicaLives(ctx, "b", noon))
			require.False(t, connected())
			note("a", store.StreamBegan)
			note("b", store.StreamBegan)
			note("a", store.StreamEnded)
			require.True(t, connected())
			note("b", store.StreamEnded)
			require.False(t, connected())
			note("a", store.StreamBegan)
			require.NoError(t, tx.ReplicaEnds(ctx, "a"))
			require.False(t, connected())
		})
	})
}

func TestADayKeepsSoManyStartsAndCountsOnThoseItHas(t *testing.T) {
	storetest.Run(t, func(t *testing.T, s *store.Store) {
		inTx(t, s, func(tx *store.Tx) {
			var starts []store.Start
			for i := range 5 {
				starts = append(starts, store.Start{Day: noon.Truncate(24 * time.Hour), Container: fmt.Sprint(i), Count: 1, LastTime: noon})
			}
			require.NoError(t, tx.AddStarts(ctx, starts, 3))
			require.NoError(t, tx.AddStarts(ctx, starts, 3))
			total := func() (kinds int, count int64) {
				require.NoError(t, tx.EachStart(ctx, noon, func(s store.Start) error { kinds++; count += s.Count; return nil }))
				return kinds, count
			}
			kinds, count := total()
			require.Equal(t, 3, kinds)
			require.EqualValues(t, 6, count)
			require.NoError(t, tx.DeleteOldStarts(ctx, noon))
			kinds, _ = total()
			require.Equal(t, 3, kinds, "today's are not old")
			require.NoError(t, tx.DeleteOldStarts(ctx, noon.Add(24*time.Hour)))
			kinds, _ = total()
			require.Zero(t, kinds)
		})
	})
}

func TestImagesThatNobodyHasAreForgottenAndOthersAreNot(t *testing.T) {
	storetest.Run(t, func(t *testing.T, s *store.Store) {
		inTx(t, s, func(tx *store.Tx) {
			id := member(t, tx, "n")
			require.NoError(t, tx.AddImages(ctx, []store.Image{{ID: "present", LastSeenTime: noon}, {ID: "gone", LastSeenTime: noon}, {ID: "fresh", LastSeenTime: noon.Add(time.Hour)}}))
			require.NoError(t, tx.AddImageNames(ctx, []store.ImageName{{Image: "gone", Kind: "id", Name: "gone", Key: "gone"}}))
			require.NoError(t, tx.AddNodeImages(ctx, id, map[string]string{"present": "names"}))
			require.NoError(t, tx.DeleteOldImages(ctx, noon.Add(time.Minute)))
			left, err := tx.Images(ctx, []string{"present", "gone", "fresh"})
			require.NoError(t, err)
			require.Len(t, left, 2)
			names, err := tx.ImageNames(ctx, []string{"gone"})
			require.NoError(t, err)
			require.Empty(t, names)
		})
	})
}

func TestManyRowsAreWrittenAndReadByFewStatements(t *testing.T) {
	storetest.Run(t, func(t *testing.T, s *store.Store) {
		inTx(t, s, func(tx *store.Tx) {
			var images []store.Image
			var ids []string
			for i := range 7_000 {
				ids = append(ids, fmt.Sprintf("image-%d", i))
				images = append(images, store.Image{ID: ids[i]})
			}
			require.NoError(t, tx.AddImages(ctx, images))
			require.NoError(t, tx.AddImages(ctx, images), "those that are there stay")
			found, err := tx.Images(ctx, ids)
			require.NoError(t, err)
			require.Len(t, found, len(ids))
		})
	})
}
