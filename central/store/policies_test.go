package store_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"portcullis/central/store"
	"portcullis/central/store/storetest"
)

func document(name string) store.Document {
	return store.Document{Kind: "ImagePolicy", Name: name, Search: strings.ToLower(name), Enabled: true, Revision: 1, CreateTime: noon, UpdateTime: noon}
}

func putDocuments(t *testing.T, s *store.Store, docs ...store.Document) {
	t.Helper()
	inTx(t, s, func(tx *store.Tx) {
		require.NoError(t, tx.LockDocuments(ctx))
		for _, d := range docs {
			require.NoError(t, tx.PutDocument(ctx, d))
		}
	})
}

func names(docs []store.Document) []string {
	list := []string{}
	for _, d := range docs {
		list = append(list, d.Name)
	}
	return list
}

func TestADocumentIsReadAsItWasWritten(t *testing.T) {
	storetest.Run(t, func(t *testing.T, s *store.Store) {
		d := store.Document{
			Kind: "ImagePolicy", Name: "'; DROP TABLE documents; --", Text: "text", Content: "{}", Enforced: "enforced", Search: "s", Template: "RiskyImage",
			Enabled: true, ObservingSince: noon, EnforceAt: noon.Add(time.Hour), Expires: time.Date(9999, 12, 31, 0, 0, 0, 0, time.UTC),
			Revision: 3, CreateTime: noon, UpdateTime: noon.Add(time.Microsecond), UpdatedBy: "user:ann",
		}
		for range 2 { // created, then written over
			putDocuments(t, s, d)
			inTx(t, s, func(tx *store.Tx) {
				read, err := tx.Document(ctx, d.Kind, d.Name)
				require.NoError(t, err)
				require.Equal(t, d, read)
			})
			d.Text, d.Enforced, d.Enabled, d.ObservingSince, d.Revision, d.Template = "other", "", false, time.Time{}, 4, "PrivilegedStart"
		}
		inTx(t, s, func(tx *store.Tx) {
			_, err := tx.Document(ctx, "Exemption", d.Name)
			require.ErrorIs(t, err, store.ErrNotFound, "kinds share names")
			require.NoError(t, tx.DeleteDocument(ctx, d.Kind, d.Name))
			_, err = tx.Document(ctx, d.Kind, d.Name)
			require.ErrorIs(t, err, store.ErrNotFound)
		})
	})
}

func TestDocumentsAreFoundBySearchTemplateAndState(t *testing.T) {
	storetest.Run(t, func(t *testing.T, s *store.Store) {
		off, observing, blocking, over := document("off"), document("Über 100%_\\"), document("blocking"), document("over")
		off.Enabled, off.Template = false, "PrivilegedStart"
		observing.EnforceAt, over.EnforceAt = noon.Add(time.Hour), noon
		exemption := document("exemption")
		exemption.Kind, exemption.Enabled, exemption.Expires = "Exemption", false, noon.Add(time.Hour)
		putDocuments(t, s, off, observing, blocking, over, exemption)
		policies := store.DocumentFilter{Kind: "ImagePolicy", Now: noon, Soon: noon.Add(time.Hour)}
		for _, c := range []struct {
			change func(f *store.DocumentFilter)
			want   []string
		}{
			{func(*store.DocumentFilter) {}, []string{"blocking", "off", "over", observing.Name}},
			{func(f *store.DocumentFilter) { f.Kind, f.Now = "Exemption", time.Time{} }, []string{"exemption"}},
			{func(f *store.DocumentFilter) { f.Kind, f.Active, f.Expired = "Exemption", true, true }, []string{}},
			{func(f *store.DocumentFilter) { f.Kind, f.Expiring = "Exemption", true }, []string{"exemption"}},
			{func(f *store.DocumentFilter) { f.Kind, f.Active, f.Soon = "Exemption", true, noon }, []string{"exemption"}},
			{func(f *store.DocumentFilter) { f.Kind, f.Expired, f.Now = "Exemption", true, noon.Add(time.Hour) }, []string{"exemption"}},
			{func(f *store.DocumentFilter) { f.Disabled = true }, []string{"off"}},
			{func(f *store.DocumentFilter) { f.Observing = true }, []string{observing.Name}},
			{func(f *store.DocumentFilter) { f.Blocking, f.Disabled = true, true }, []string{"blocking", "off", "over"}},
			{func(f *store.DocumentFilter) { f.Template = "PrivilegedStart" }, []string{"off"}},
			{func(f *store.DocumentFilter) { f.Search = "ÜBER" }, []string{observing.Name}},
			{func(f *store.DocumentFilter) { f.Search = "%" }, []string{observing.Name}},
			{func(f *store.DocumentFilter) { f.Search = `0%_\` }, []string{observing.Name}},
			{func(f *store.DocumentFilter) { f.Search = "o_f" }, []string{}},
			{func(f *store.DocumentFilter) { f.Search = `\` }, []string{observing.Name}},
			{func(f *store.DocumentFilter) { f.Search = `' OR '1'='1` }, []string{}},
		} {
			f := policies
			c.change(&f)
			inTx(t, s, func(tx *store.Tx) {
				found, err := tx.ListDocuments(ctx, f, "", 10)
				require.NoError(t, err)
				require.Equal(t, c.want, names(found))
				n, err := tx.CountDocuments(ctx, f)
				require.NoError(t, err)
				require.EqualValues(t, len(c.want), n)
			})
		}
		inTx(t, s, func(tx *store.Tx) {
			first, err := tx.ListDocuments(ctx, policies, "", 2)
			require.NoError(t, err)
			rest, err := tx.ListDocuments(ctx, policies, first[1].Name, 10)
			require.NoError(t, err)
			require.Equal(t, []string{"blocking", "off", "over", observing.Name}, names(append(first, rest...)))
			ending, err := tx.EndingObservations(ctx, noon, noon.Add(time.Hour), 10)
			require.NoError(t, err)
			require.Equal(t, []string{observing.Name}, names(ending))
			expiring, err := tx.ExpiringExemptions(ctx, noon, noon.Add(time.Hour), 10)
			require.NoError(t, err)
			require.Equal(t, []string{"exemption"}, names(expiring))
		})
	})
}

func TestRevisionsOutliveTheirDocument(t *testing.T) {
	storetest.Run(t, func(t *testing.T, s *store.Store) {
		putDocuments(t, s, document("a"))
		inTx(t, s, func(tx *store.Tx) {
			last, err := tx.LastDocumentRevision(ctx, "ImagePolicy", "a")
			require.NoError(t, err)
			require.Zero(t, last)
			for i := int64(1); i <= 3; i++ {
				require.NoError(t, tx.AddDocumentRevision(ctx, store.DocumentRevision{Kind: "ImagePolicy", Name: "a", Revision: i, Text: fmt.Sprint(i), Time: noon, Author: "user:ann"}))
			}
			require.NoError(t, tx.DeleteDocument(ctx, "ImagePolicy", "a"))
			last, err = tx.LastDocumentRevision(ctx, "ImagePolicy", "a")
			require.NoError(t, err)
			require.EqualValues(t, 3, last)
			newest, err := tx.DocumentRevisions(ctx, "ImagePolicy", "a", 0, 2)
			require.NoError(t, err)
			require.Equal(t, []int64{3, 2}, []int64{newest[0].Revision, newest[1].Revision})
			older, err := tx.DocumentRevisions(ctx, "ImagePolicy", "a", 2, 2)
			require.NoError(t, err)
			require.Equal(t, []store.DocumentRevision{{Kind: "ImagePolicy", Name: "a", Revision: 1, Text: "1", Time: noon, Author: "user:ann"}}, older)
		})
	})
}

func TestBundlesAreNumberedAndTheNewest100AreKept(t *testing.T) {
	storetest.Run(t, func(t *testing.T, s *store.Store) {
		require.ErrorIs(t, s.Read(ctx, func(tx *store.Tx) error { _, err := tx.NewestBundle(ctx); return err }), store.ErrNotFound)
		inTx(t, s, func(tx *store.Tx) {
			for i := int64(1); i <= 102; i++ {
				b, err := tx.AddBundle(ctx, fmt.Sprintf("# %d\n", i), noon)
				require.NoError(t, err)
				require.Equal(t, i, b.Number)
			}
		})
		inTx(t, s, func(tx *store.Tx) {
			newest, err := tx.NewestBundle(ctx)
			require.NoError(t, err)
			require.Equal(t, store.Bundle{Number: 102, Documents: "# 102\n", CreateTime: noon}, newest)
			var kept int
			require.NoError(t, tx.QueryRow(ctx, "SELECT COUNT(*) FROM bundles").Scan(&kept))
			require.Equal(t, 100, kept)
		})
	})
}

func TestANewBundleIsToldOnlyWhenItIsThere(t *testing.T) {
	storetest.Run(t, func(t *testing.T, s *store.Store) {
		heard := s.Subscribe(store.BundlesTopic)
		defer heard.End()
		users := s.Subscribe("users")
		defer users.End()
		settle(t, s, users)
		heard.Take() // that the listener began
		select {
		case <-heard.Ready():
		default:
		}
		failure := errors.New("no")
		require.ErrorIs(t, s.Tx(ctx, func(tx *store.Tx) error {
			_, err := tx.AddBundle(ctx, "", noon)
			return errors.Join(err, failure)
		}), failure)
		inTx(t, s, func(tx *store.Tx) {
			_, err := tx.AddBundle(ctx, "", noon)
			require.NoError(t, err)
		})
		payloads, _ := take(t, heard)
		require.Equal(t, []string{"1"}, payloads)
	})
}
