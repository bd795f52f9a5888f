package audit_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sirupsen/logrus"
	"github.com/stretchr/testify/require"

	portcullisv1 "portcullis/api/portcullis/v1"
	"portcullis/central/audit"
	"portcullis/central/store"
	"portcullis/central/store/storetest"
)

func TestAnEntryIsDeletedWhenItIsOlderThanTheRetention(t *testing.T) {
	url := storetest.SQLite(t)
	synctest.Test(t, func(t *testing.T) { // the store's own test sweeps PostgreSQL's, too
		s := storetest.Open(t, url)
		const retention = 48 * time.Hour
		for name, age := range map[string]time.Duration{"old": retention, "new": retention - time.Hour} {
			ctx := audit.With(t.Context(), audit.Actor{Name: "user:ann", Time: time.Now().Add(-age)})
			require.NoError(t, s.Tx(ctx, func(tx *store.Tx) error { return audit.Record(ctx, tx, "policy", name, nil, nil) }))
		}
		service := audit.NewService(s, audit.Options{Retention: retention, Now: time.Now, Log: logrus.New()})
		ctx, end := context.WithTimeout(t.Context(), 10*time.Minute)
		defer end()
		service.Run(ctx)
		left, err := service.ListAuditEntries(t.Context(), &portcullisv1.ListAuditEntriesRequest{})
		require.NoError(t, err)
		require.Len(t, left.GetEntries(), 1)
		require.Equal(t, "new", left.GetEntries()[0].GetName())
	})
}
