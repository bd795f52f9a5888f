package fleet_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	portcullisv1 "portcullis/api/portcullis/v1"
	api "portcullis/api/portcullis/v1/portcullisv1connect"
	"portcullis/central/store/storetest"
	"portcullis/uplink"
)

const (
	uploaders = 40
	uploads   = 200_000 // decisions of each row
)

// BenchmarkCentralUploads measures how fast central takes decisions, all events of their own, of few nodes that have encoded
// them before: encoding takes as much processor time as taking them, which real nodes do not share with central.
//
//	make bench-central
func BenchmarkCentralUploads(b *testing.B) {
	for _, database := range []struct {
		name string
		url  func(testing.TB) string
	}{{"SQLite", storetest.SQLite}, {"PostgreSQL", storetest.DurablePostgres}} {
		b.Run(database.name, func(b *testing.B) {
			for b.Loop() {
				c := newCentral(b, database.url(b))
				nodes := uploadersOf(b, c)
				fmt.Printf("\n| %s | measured | processor time of central for each |\n| --- | --- | --- |\n", database.name)
				for _, size := range []int{1000, 100, 20} {
					requests := encoded(b, size, uploads/uploaders/size)
					began, before, counted := time.Now(), c.processor(), c.blocked()
					for i := range nodes {
						nodes[i].spool, nodes[i].through = fmt.Sprint("spool-", size), 0
					}
					require.NoError(b, uploadAll(nodes, requests))
					took, used := time.Since(began), c.processor()-before
					require.EqualValues(b, uploads, c.blocked()-counted)
					fmt.Printf("| decisions, %d in an upload, %d nodes | %.0f/s | %d µs |\n", size, uploaders, uploads/took.Seconds(), used.Microseconds()/uploads)
				}
			}
		})
	}
}

// uploader is a node that does nothing but upload.
type uploader struct {
	client  *http.Client
	url     string
	spool   string
	through int64
}

func uploadersOf(b *testing.B, c *central) []*uploader {
	token, nodes := c.token(uploaders), []*uploader(nil)
	for i := range uploaders {
		dir := b.TempDir()
		_, err := uplink.Join(ctx, uplink.Joining{Address: c.url, Token: token, Dir: dir, Info: &portcullisv1.NodeInfo{Name: fmt.Sprint("node-", i)}})
		require.NoError(b, err)
		file := filepath.Join(dir, "identity.pem")
		certificate, err := tls.LoadX509KeyPair(file, file)
		require.NoError(b, err)
		text, err := os.ReadFile(file)
		require.NoError(b, err)
		roots := x509.NewCertPool()
		roots.AppendCertsFromPEM(text)
		transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, Certificates: []tls.Certificate{certificate}}, ForceAttemptHTTP2: true}
		nodes = append(nodes, &uploader{client: &http.Client{Transport: transport}, url: c.url + api.SyncServiceUploadDecisionsProcedure})
	}
	return nodes
}

// encoded are the decisions of so many uploads of that size, as a message that lacks only of which spool they are.
func encoded(b *testing.B, size, many int) (requests [][]byte) {
	now := timestamppb.Now()
	for upload := range many {
		request := &portcullisv1.UploadDecisionsRequest{}
		for i := range size {
			n := upload*size + i
			var evidence []any
			for k := range 3 {
				evidence = append(evidence, map[string]any{"vulnerability": map[string]any{
					"id": fmt.Sprintf("CVE-2026-%05d", (n*7+k)%5000), "severity": "Critical", "package": "openssl", "version": "3.0.11-1", "fixedVersion": "3.0.14-1", "type": "deb",
				}})
			}
			match, err := structpb.NewStruct(map[string]any{"policy": fmt.Sprint("policy-", n%40), "template": "RiskyImage", "action": "block", "evidence": evidence})
			require.NoError(b, err)
			request.Decisions = append(request.Decisions, &portcullisv1.FoldedDecision{Event: &portcullisv1.Event{
				Action: portcullisv1.Action_ACTION_BLOCK, Policy: fmt.Sprint("policy-", n%40), Template: "RiskyImage", Reason: "policy", Because: "CVE-2026-00001 is critical",
				Message: "blocked by Portcullis: CVE-2026-00001 is critical", Severity: "Critical", Operation: "CreateContainer", Matches: []*structpb.Struct{match},
				Image: fmt.Sprintf("registry.example.com/team-%d/app-%d:1.0", n%20, n%200), ImageId: fmt.Sprintf("sha256:%064x", n%200), Cluster: "fleet", Namespace: fmt.Sprint("team-", n%20),
				Pod: fmt.Sprintf("app-%d-%d-%08x", size, n%200, n), PodUid: fmt.Sprintf("%08x-0000-4000-8000-000000000000", n), PodAddress: "10.64.0.7", Container: "app",
				BundleRevision: "17", Count: 1, FirstTime: now, LastTime: now,
			}})
		}
		text, err := proto.Marshal(request)
		require.NoError(b, err)
		requests = append(requests, text)
	}
	return requests
}

// uploadAll lets each node upload all of the requests, one after another.
func uploadAll(nodes []*uploader, requests [][]byte) error {
	uploading, ctx := errgroup.WithContext(ctx)
	for _, n := range nodes {
		uploading.Go(func() error {
			for _, decisions := range requests {
				if err := n.upload(ctx, decisions, int64(uploads/uploaders/len(requests))); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return uploading.Wait()
}

// upload sends decisions, and says whose they are in a message behind them: protobuf makes one of both.
func (n *uploader) upload(ctx context.Context, decisions []byte, count int64) error {
	whose, err := proto.Marshal(&portcullisv1.UploadDecisionsRequest{Spool: n.spool, After: n.through, Through: n.through + count})
	if err != nil {
		return err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, n.url, io.MultiReader(bytes.NewReader(decisions), bytes.NewReader(whose)))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/proto")
	response, err := n.client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", response.Status, text)
	}
	n.through += count
	return nil
}
