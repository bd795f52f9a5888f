package store_test

import (
	"errors"
	"flag"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"

	"portcullis/central/store"
	"portcullis/central/store/storetest"
)

var release = flag.String("release", "", "write the dump of this release first; make released does")

// databases make an empty one, by the name in dumps' file names.
var databases = map[string]func(testing.TB) string{"sqlite": storetest.SQLite, "postgres": storetest.Postgres}

const released = "testdata/released"

// TestAReleasedSchemaIsBroughtUpWithAllThatIsInIt also finds a migration that was edited after its release: what it makes of
// a new database is no longer what those have that it has run on.
func TestAReleasedSchemaIsBroughtUpWithAllThatIsInIt(t *testing.T) {
	for database, empty := range databases {
		if *release != "" {
			writeRelease(t, database)
		}
		latest := empty(t)
		storetest.Open(t, latest)
		want := storetest.Schema(t, latest)
		dumps, err := filepath.Glob(filepath.Join(released, "*."+database+".sql"))
		require.NoError(t, err)
		require.NotEmpty(t, dumps)
		for _, dump := range dumps {
			t.Run(filepath.Base(dump), func(t *testing.T) {
				text, err := os.ReadFile(dump)
				require.NoError(t, err)
				url := empty(t)
				storetest.Load(t, url, string(text))
				requireFilled(t, storetest.Open(t, url))
				require.Empty(t, cmp.Diff(want, storetest.Schema(t, url)), "- is a new database")
			})
		}
	}
}

func writeRelease(t *testing.T, database string) {
	t.Helper()
	url := databases[database](t)
	fill(t, storetest.Open(t, url))
	require.NoError(t, os.MkdirAll(released, 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(released, *release+"."+database+".sql"), []byte(storetest.Dump(t, url)), 0o644))
}

// fill writes a little of everything that central keeps. Its texts hold what a dump has to quote.
func fill(t *testing.T, s *store.Store) {
	t.Helper()
	_, err := s.Key(ctx, "ca", func() ([]byte, error) { return []byte("\x00no key"), nil })
	require.NoError(t, err)
	later := noon.Add(time.Hour)
	inTx(t, s, func(tx *store.Tx) {
		for _, err := range []error{
			tx.CreateUser(ctx, store.User{Name: "ann", Role: "admin", PasswordHash: "$argon2id$…", Subject: "https://issuer|1", CreateTime: noon}),
			tx.CreateSession(ctx, store.Session{Hash: []byte{1}, User: "ann", CreateTime: noon, LastUseTime: noon, ExpireTime: later}),
			tx.CreateToken(ctx, store.Token{ID: "token", Hash: []byte{2}, Description: "it's; --", User: "ann", Role: "viewer", CreateTime: noon, ExpireTime: later}),
			tx.AddAudit(ctx, store.AuditEntry{ID: "audit", Time: noon, Actor: "user:ann", Method: "CreatePolicy", Kind: "policy", Name: "p", After: `{"a":"ä'\n"}`}),
			tx.PutDocument(ctx, store.Document{Kind: "ImagePolicy", Name: "p", Text: "a: |\n  'b'\n", Content: "{}", Enabled: true, Revision: 1, CreateTime: noon, UpdateTime: noon}),
			tx.AddDocumentRevision(ctx, store.DocumentRevision{Kind: "ImagePolicy", Name: "p", Revision: 1, Text: "a", Time: noon, Author: "user:ann"}),
			tx.CreateJoinToken(ctx, store.JoinToken{ID: "join", Hash: []byte{3}, UsesLeft: 2, CreateTime: noon, ExpireTime: later}),
			tx.CreateNode(ctx, store.Node{ID: "n", Name: "worker", Cluster: "east", JoinTime: noon, NodeStatus: store.NodeStatus{Addresses: []string{"10.0.0.1"}}}),
			tx.ReplicaLives(ctx, "replica", noon),
			tx.AddStarts(ctx, []store.Start{{Day: noon, NodeID: "n", Container: "c", ImageID: "sha256:1", Count: 3, LastTime: noon}}, 10),
			tx.AddImages(ctx, []store.Image{{ID: "sha256:1", Platform: "linux/amd64", Names: "names", Search: "nginx", LastSeenTime: noon}}),
			tx.AddImageNames(ctx, []store.ImageName{{Image: "sha256:1", Names: "names", Kind: "tag", Name: "docker.io/library/nginx:1", Key: "key"}}),
			tx.AddNodeImages(ctx, "n", map[string]string{"sha256:1": "names"}),
			tx.CreateReport(ctx, store.Report{ID: "report", Hash: "h", Format: "trivy", About: "{}", Scanned: "[]", ScanTime: noon, UploadTime: noon, Size: 5}, []byte{0, 0xff}, []string{"key"}),
			tx.ChangeVerdicts(ctx, []string{"key"}),
			tx.PutChannel(ctx, store.Channel{Name: "ops", Enabled: true, Actions: 3, Settings: "{}", Secret: "secret", Revision: 1}),
		} {
			require.NoError(t, err)
		}
		_, err := tx.AddBundle(ctx, "documents", noon)
		require.NoError(t, err)
	})
	add(t, s, batch(0, 2, decided("a", nil), decided("a", nil)))
}

// requireFilled reads what fill wrote, by whatever release.
func requireFilled(t *testing.T, s *store.Store) {
	t.Helper()
	var starts int64
	require.NoError(t, s.Read(ctx, func(tx *store.Tx) error {
		require.Equal(t, "ann", must(tx.UserBySubject(ctx, "https://issuer|1")).Name)
		require.Equal(t, "ann", must(tx.Session(ctx, []byte{1})).User)
		require.Equal(t, "it's; --", must(tx.TokenByHash(ctx, []byte{2})).Description)
		require.Equal(t, `{"a":"ä'\n"}`, must(tx.Audit(ctx, store.AuditFilter{Kind: "policy"}, "", 9))[0].After)
		require.Equal(t, "a: |\n  'b'\n", must(tx.Document(ctx, "ImagePolicy", "p")).Text)
		require.EqualValues(t, 1, must(tx.LastDocumentRevision(ctx, "ImagePolicy", "p")))
		require.Equal(t, "documents", must(tx.NewestBundle(ctx)).Documents)
		require.EqualValues(t, 2, must(tx.JoinToken(ctx, "join")).UsesLeft)
		require.Equal(t, []string{"10.0.0.1"}, must(tx.Node(ctx, "n", noon)).Addresses)
		require.Equal(t, map[string]string{"sha256:1": "names"}, must(tx.NamedImages(ctx, "n")))
		require.Equal(t, []string{"sha256:1"}, must(tx.ImagesByKeys(ctx, []string{"key"})))
		require.Equal(t, "report", must(tx.ReportsByKeys(ctx, []string{"key"}))[0].ID)
		require.Equal(t, []byte{0, 0xff}, must(tx.ReportVerdict(ctx, "report")))
		require.Equal(t, []store.NodeImage{{Node: "n", Image: "sha256:1"}}, must(tx.ChangedImages(ctx, 0)))
		require.Equal(t, "secret", must(tx.Channel(ctx, "ops")).Secret)
		return tx.EachStart(ctx, noon, func(s store.Start) error { starts += s.Count; return nil })
	}))
	require.EqualValues(t, 3, starts)
	key, err := s.Key(ctx, "ca", func() ([]byte, error) { return nil, errors.New("every node would have to join again") })
	require.NoError(t, err)
	require.Equal(t, "\x00no key", string(key))

	require.Equal(t, []int64{2}, add(t, s, batch(0, 2, decided("a", nil))), "what a node sends again is not counted again")
	events := list(t, s, store.EventFilter{Finding: "CVE-2021-44228"}, store.EventOrder{})
	require.Len(t, events, 1)
	require.EqualValues(t, 2, events[0].Count)
	require.Equal(t, store.EventTotals{Blocked: 2}, total(t, s))
}

func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}
