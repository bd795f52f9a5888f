package nodes_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"connectrpc.com/connect"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	portcullisv1 "portcullis/api/portcullis/v1"
	"portcullis/central/access"
	"portcullis/central/centraltest"
	"portcullis/central/nodes/nodestest"
	"portcullis/central/pki"
	"portcullis/central/store"
	"portcullis/central/store/storetest"
)

func TestMain(m *testing.M) { storetest.Main(m) }

var ctx = context.Background()

func join(t *testing.T, c *nodestest.Central, token string, info *portcullisv1.NodeInfo) error {
	_, request := nodestest.Request(t)
	_, err := c.Anyone().Join(ctx, &portcullisv1.JoinRequest{Token: token, CertificateRequest: request, Info: info})
	return err
}

func state(t *testing.T, o *nodestest.Operator, id string) *portcullisv1.Node {
	t.Helper()
	answer, err := o.Nodes.GetNode(ctx, &portcullisv1.GetNodeRequest{Id: id})
	require.NoError(t, err)
	return answer.GetNode()
}

func TestAJoinTokenOfOneUseIsUsedOnceHoweverManyTryTogether(t *testing.T) {
	nodestest.Both(t, func(t *testing.T, c *nodestest.Central) {
		token := c.Token(1)
		var joined atomic.Int32
		var tasks sync.WaitGroup
		for i := range 8 {
			tasks.Go(func() {
				err := join(t, c, token, &portcullisv1.NodeInfo{Name: "node-" + string(rune('a'+i))})
				if err == nil {
					joined.Add(1)
				} else if connect.CodeOf(err) != connect.CodeUnauthenticated {
					t.Errorf("unexpected: %v", err)
				}
			})
		}
		tasks.Wait()
		require.EqualValues(t, 1, joined.Load())
		list, err := c.Operator(access.Viewer).Nodes.ListNodes(ctx, &portcullisv1.ListNodesRequest{})
		require.NoError(t, err)
		require.Len(t, list.GetNodes(), 1)
	})
}

func TestAJoinTokenThatIsNoGoodLetsNobodyIn(t *testing.T) {
	c := nodestest.New(t, storetest.SQLite(t))
	admin := c.Operator(access.Admin)
	info := &portcullisv1.NodeInfo{Name: "n"}
	good := c.Token(5)
	parts := strings.Split(good, ".")
	for name, token := range map[string]string{
		"empty": "", "form": "pcj_x", "another secret": parts[0] + "." + strings.Repeat("A", 52) + "." + parts[2],
		"unknown": "pcj_" + store.NewID() + "." + parts[1] + "." + parts[2], "huge": good + strings.Repeat("a", 1<<20),
	} {
		t.Run(name, func(t *testing.T) { centraltest.Code(t, join(t, c, token, info), connect.CodeUnauthenticated) })
	}
	deleted, err := admin.Nodes.CreateJoinToken(ctx, &portcullisv1.CreateJoinTokenRequest{Ttl: durationpb.New(time.Minute)})
	require.NoError(t, err)
	_, err = admin.Nodes.DeleteJoinToken(ctx, &portcullisv1.DeleteJoinTokenRequest{Id: deleted.GetToken().GetId()})
	require.NoError(t, err)
	centraltest.Code(t, join(t, c, deleted.GetSecret(), info), connect.CodeUnauthenticated)
	c.Clock.Add(25 * time.Hour)
	centraltest.Code(t, join(t, c, good, info), connect.CodeUnauthenticated)
	list, err := admin.Nodes.ListJoinTokens(ctx, &portcullisv1.ListJoinTokensRequest{})
	require.NoError(t, err)
	require.Empty(t, list.GetTokens())
}

func TestAFailedJoinUsesNothingUp(t *testing.T) {
	c := nodestest.New(t, storetest.SQLite(t))
	token := c.Token(1)
	weak, err := rsa.GenerateKey(rand.Reader, 1024)
	require.NoError(t, err)
	odd, err := ecdsa.GenerateKey(elliptic.P224(), rand.Reader)
	require.NoError(t, err)
	certify := func(key any) []byte {
		request, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key)
		require.NoError(t, err)
		return request
	}
	_, good := nodestest.Request(t)
	long := make([]string, 33)
	for i := range long {
		long[i] = "10.0.0.1"
	}
	for name, r := range map[string]*portcullisv1.JoinRequest{
		"no name":        {CertificateRequest: good, Info: &portcullisv1.NodeInfo{}},
		"name is HTML":   {CertificateRequest: good, Info: &portcullisv1.NodeInfo{Name: "<script>"}},
		"name is SQL":    {CertificateRequest: good, Info: &portcullisv1.NodeInfo{Name: "n'; DROP TABLE nodes; --"}},
		"long name":      {CertificateRequest: good, Info: &portcullisv1.NodeInfo{Name: strings.Repeat("a", 254)}},
		"cluster":        {CertificateRequest: good, Info: &portcullisv1.NodeInfo{Name: "n", Cluster: "a\nb"}},
		"address":        {CertificateRequest: good, Info: &portcullisv1.NodeInfo{Name: "n", Addresses: []string{"x"}}},
		"many addresses": {CertificateRequest: good, Info: &portcullisv1.NodeInfo{Name: "n", Addresses: long}},
		"no request":     {Info: &portcullisv1.NodeInfo{Name: "n"}},
		"weak key":       {CertificateRequest: certify(weak), Info: &portcullisv1.NodeInfo{Name: "n"}},
		"odd curve":      {CertificateRequest: certify(odd), Info: &portcullisv1.NodeInfo{Name: "n"}},
		"large request":  {CertificateRequest: make([]byte, 1<<20), Info: &portcullisv1.NodeInfo{Name: "n"}},
		"forged request": {CertificateRequest: append(good[:len(good)-3:len(good)-3], 1, 2, 3), Info: &portcullisv1.NodeInfo{Name: "n"}},
	} {
		t.Run(name, func(t *testing.T) {
			r.Token = token
			_, err := c.Anyone().Join(ctx, r)
			centraltest.Code(t, err, connect.CodeInvalidArgument)
		})
	}
	require.NoError(t, join(t, c, token, &portcullisv1.NodeInfo{Name: "n"}))
}

func TestJoinTokensAreBounded(t *testing.T) {
	admin := nodestest.New(t, storetest.SQLite(t)).Operator(access.Admin)
	for name, r := range map[string]*portcullisv1.CreateJoinTokenRequest{
		"short": {Ttl: durationpb.New(time.Second)}, "long": {Ttl: durationpb.New(31 * 24 * time.Hour)}, "negative": {Uses: -1},
		"many": {Uses: 10_001}, "description": {Description: strings.Repeat("ä", 257)}, "lines": {Description: "a\nb"}, "zero byte": {Description: "a\x00"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := admin.Nodes.CreateJoinToken(ctx, r)
			centraltest.Code(t, err, connect.CodeInvalidArgument)
		})
	}
}

func TestANameIsTakenOverFromASilentNodeOnly(t *testing.T) {
	nodestest.Both(t, func(t *testing.T, c *nodestest.Central) {
		viewer := c.Operator(access.Viewer)
		first := c.Join("same")
		stream := first.Open(t, &portcullisv1.SyncRequest{})
		centraltest.Eventually(t, func() bool { return state(t, viewer, first.ID).GetState() != portcullisv1.NodeState_NODE_STATE_SILENT }, "connected")
		centraltest.Code(t, join(t, c, c.Token(1), &portcullisv1.NodeInfo{Name: "same"}), connect.CodeAlreadyExists)
		require.NoError(t, join(t, c, c.Token(1), &portcullisv1.NodeInfo{Name: "same", Cluster: "other"}), "a cluster has names of its own")
		ended, err := stream.Ended()
		require.False(t, ended, err)

		silent := c.Join("silent")
		second := c.Join("silent")
		require.NotEqual(t, silent.ID, second.ID)
		_, err = silent.ReportState(ctx, &portcullisv1.ReportStateRequest{})
		centraltest.Code(t, err, connect.CodePermissionDenied)
		_, err = second.ReportState(ctx, &portcullisv1.ReportStateRequest{})
		require.NoError(t, err)
	})
}

func TestARemovedNodeIsRefusedAtOnceAndItsStreamEnds(t *testing.T) {
	nodestest.Both(t, func(t *testing.T, c *nodestest.Central) {
		node, other := c.Join("gone"), c.Join("stays")
		stream, stays := node.Open(t, &portcullisv1.SyncRequest{}), other.Open(t, &portcullisv1.SyncRequest{})
		viewer := c.Operator(access.Viewer)
		for _, id := range []string{node.ID, other.ID} {
			centraltest.Eventually(t, func() bool { return state(t, viewer, id).GetState() != portcullisv1.NodeState_NODE_STATE_SILENT }, "connected")
		}
		_, err := c.Operator(access.Admin).Nodes.RemoveNode(ctx, &portcullisv1.RemoveNodeRequest{Id: node.ID})
		require.NoError(t, err)
		_, err = node.ReportState(ctx, &portcullisv1.ReportStateRequest{})
		centraltest.Code(t, err, connect.CodePermissionDenied)
		centraltest.Eventually(t, func() bool { ended, _ := stream.Ended(); return ended }, "stream ends")
		_, err = stream.Ended()
		centraltest.Code(t, err, connect.CodePermissionDenied)
		ended, err := stays.Ended()
		require.False(t, ended, err)
		_, request := nodestest.Request(t)
		_, err = node.Renew(ctx, &portcullisv1.RenewRequest{CertificateRequest: request})
		centraltest.Code(t, err, connect.CodePermissionDenied)
	})
}

func TestWhoHasNoGoodCertificateIsNoNode(t *testing.T) {
	c, foreign := nodestest.New(t, storetest.SQLite(t)), nodestest.New(t, storetest.SQLite(t))
	node := c.Join("n")
	_, err := c.Anyone().ReportState(ctx, &portcullisv1.ReportStateRequest{})
	centraltest.Code(t, err, connect.CodeUnauthenticated)

	stranger := foreign.Join("n")
	_, err = c.Node(stranger.ID, "n", stranger.Certificate).ReportState(ctx, &portcullisv1.ReportStateRequest{})
	require.Error(t, err, "another central's node")

	_, err = c.Node(node.ID, "n", tls.Certificate{Certificate: [][]byte{c.PKI.Authorities()[0]}, PrivateKey: node.Certificate.PrivateKey}).ReportState(ctx, &portcullisv1.ReportStateRequest{})
	require.Error(t, err, "the authority's own certificate, without its key")

	c.Clock.Add(31 * 24 * time.Hour)
	_, err = node.ReportState(ctx, &portcullisv1.ReportStateRequest{})
	centraltest.Code(t, err, connect.CodeUnauthenticated)
	key, request := nodestest.Request(t)
	renewed, err := node.Renew(ctx, &portcullisv1.RenewRequest{CertificateRequest: request})
	require.NoError(t, err, "central may have been away for long")
	again := c.Node(node.ID, "n", tls.Certificate{Certificate: [][]byte{renewed.GetCertificate()}, PrivateKey: key})
	_, err = again.ReportState(ctx, &portcullisv1.ReportStateRequest{})
	require.NoError(t, err)
}

// What is open may go on for years, so a certificate that was stolen would be good for as long.
func TestAStreamEndsWhenItsCertificateExpires(t *testing.T) {
	nodestest.Both(t, func(t *testing.T, c *nodestest.Central) {
		node := c.Join("n")
		c.Clock.Add(pki.NodeLife / 2)
		other := c.Join("other")
		c.Clock.Add(pki.NodeLife/2 - 2*time.Second)
		stream, stays := node.Open(t, &portcullisv1.SyncRequest{}), other.Open(t, &portcullisv1.SyncRequest{})
		centraltest.Eventually(t, func() bool { ended, _ := stream.Ended(); return ended }, "the stream ends")
		_, err := stream.Ended()
		centraltest.Code(t, err, connect.CodeUnauthenticated)
		require.ErrorContains(t, err, "the node's certificate has expired; renew it")
		ended, err := stays.Ended()
		require.False(t, ended, err)
	})
}

func TestTheNewestBundleReachesEveryNodeAndIsSentOnce(t *testing.T) {
	nodestest.Both(t, func(t *testing.T, c *nodestest.Central) {
		c.Bundles.Publish(t, c.Store, 1, "first")
		var streams []*nodestest.Stream
		for _, name := range []string{"a", "b", "c"} {
			streams = append(streams, c.Join(name).Open(t, &portcullisv1.SyncRequest{}))
		}
		current := c.Join("current").Open(t, &portcullisv1.SyncRequest{Bundle: 2})
		for _, number := range []int64{1, 2} {
			if number > 1 {
				c.Bundles.Publish(t, c.Store, number, "next")
			}
			for _, s := range streams {
				centraltest.Eventually(t, func() bool { n, _ := s.Bundle(); return n == number }, "bundle")
			}
		}
		for _, s := range streams {
			_, count := s.Bundle()
			require.Equal(t, 2, count)
		}
		centraltest.Eventually(t, func() bool { ended, _ := current.Ended(); return !ended }, "stays")
	})
}

func TestANodeWithNothingToBeToldKnowsAtOnceThatItIsConnected(t *testing.T) {
	node := nodestest.New(t, storetest.SQLite(t)).Join("n")
	limited, cancel := context.WithTimeout(ctx, 15*time.Second) // heartbeats come later
	defer cancel()
	stream, err := node.Sync(limited, &portcullisv1.SyncRequest{})
	require.NoError(t, err)
	require.True(t, stream.Receive())
	require.NotNil(t, stream.Msg().GetHeartbeat())
}

func TestARestoredDatabaseWithASmallerNumberIsFollowed(t *testing.T) {
	c := nodestest.New(t, storetest.SQLite(t))
	c.Bundles.Publish(t, c.Store, 3, "restored")
	s := c.Join("n").Open(t, &portcullisv1.SyncRequest{Bundle: 9, Verdicts: 77})
	centraltest.Eventually(t, func() bool { n, _ := s.Bundle(); return n == 3 }, "bundle")
}

func TestANodeThatHoldsAnotherBundleUnderTheSameNumberIsSentCentrals(t *testing.T) {
	c := nodestest.New(t, storetest.SQLite(t))
	c.Bundles.Publish(t, c.Store, 3, "changed after a restore")
	sum := func(text string) string { return fmt.Sprintf("%x", sha256.Sum256([]byte(text))) }
	lost := c.Join("lost").Open(t, &portcullisv1.SyncRequest{Bundle: 3, BundleSha256: sum("changed before the restore")})
	centraltest.Eventually(t, func() bool { n, _ := lost.Bundle(); return n == 3 }, "bundle")
	same := c.Join("same").Open(t, &portcullisv1.SyncRequest{Bundle: 3, BundleSha256: sum("changed after a restore")})
	c.Bundles.Publish(t, c.Store, 4, "next")
	centraltest.Eventually(t, func() bool { n, _ := same.Bundle(); return n == 4 }, "bundle")
	_, count := same.Bundle()
	require.Equal(t, 1, count, "it held the one before")
}

func TestTheStateOfANodeFollowsWhatItReports(t *testing.T) {
	nodestest.Both(t, func(t *testing.T, c *nodestest.Central) {
		viewer := c.Operator(access.Viewer)
		c.Bundles.Publish(t, c.Store, 7, "x")
		node := c.Join("n")
		is := func(want portcullisv1.NodeState) {
			t.Helper()
			centraltest.Eventually(t, func() bool { return state(t, viewer, node.ID).GetState() == want }, want.String())
		}
		is(portcullisv1.NodeState_NODE_STATE_SILENT)
		streamCtx, cancel := context.WithCancel(ctx)
		defer cancel()
		_, err := node.Sync(streamCtx, &portcullisv1.SyncRequest{})
		require.NoError(t, err)
		is(portcullisv1.NodeState_NODE_STATE_BEHIND)
		report := &portcullisv1.ReportStateRequest{
			Info:   &portcullisv1.NodeInfo{Name: "impostor", Cluster: "other", Version: "v1\x00\x1b[31m", Addresses: []string{"10.0.0.9", "nonsense"}, Platform: "linux/arm64"},
			Bundle: 6, RejectedBundle: 7, Rejection: "two policies have one name\n" + strings.Repeat("x", 10_000), Time: timestamppb.New(c.Clock.Now().Add(-time.Hour)),
		}
		_, err = node.ReportState(ctx, report)
		require.NoError(t, err)
		is(portcullisv1.NodeState_NODE_STATE_REJECTED)
		now := state(t, viewer, node.ID)
		require.Equal(t, "n", now.GetName(), "a name is not changed by saying so")
		require.Empty(t, now.GetCluster())
		require.Equal(t, []string{"10.0.0.9"}, now.GetAddresses())
		require.Equal(t, "v1  [31m", now.GetVersion())
		require.True(t, strings.HasPrefix(now.GetRejection(), "two policies have one name "))
		require.Len(t, []rune(now.GetRejection()), 4096)
		require.InDelta(t, -time.Hour, now.GetClockSkew().AsDuration(), float64(time.Minute))
		require.Equal(t, c.Clock.Now().Truncate(time.Microsecond).UTC(), now.GetLastContactTime().AsTime(), "by central's clock")

		_, err = node.ReportState(ctx, &portcullisv1.ReportStateRequest{Info: report.GetInfo(), Bundle: 7})
		require.NoError(t, err)
		is(portcullisv1.NodeState_NODE_STATE_IN_FORCE)
		overview, err := viewer.Nodes.GetNodeOverview(ctx, &portcullisv1.GetNodeOverviewRequest{})
		require.NoError(t, err)
		require.EqualValues(t, 1, overview.GetInForce())
		require.EqualValues(t, 7, overview.GetNewestBundle())
		cancel()
		is(portcullisv1.NodeState_NODE_STATE_SILENT)
	})
}

func TestASecondStreamOfANodeReplacesTheFirstAndItStaysConnected(t *testing.T) {
	c := nodestest.New(t, storetest.SQLite(t))
	viewer, node := c.Operator(access.Viewer), c.Join("n")
	first := node.Open(t, &portcullisv1.SyncRequest{})
	centraltest.Eventually(t, func() bool { return state(t, viewer, node.ID).GetState() != portcullisv1.NodeState_NODE_STATE_SILENT }, "connected")
	second := node.Open(t, &portcullisv1.SyncRequest{})
	centraltest.Eventually(t, func() bool { ended, _ := first.Ended(); return ended }, "first ends")
	_, err := first.Ended()
	centraltest.Code(t, err, connect.CodeAborted)
	c.Bundles.Publish(t, c.Store, 1, "x")
	centraltest.Eventually(t, func() bool { n, _ := second.Bundle(); return n == 1 }, "bundle")
	centraltest.Eventually(t, func() bool { return state(t, viewer, node.ID).GetState() == portcullisv1.NodeState_NODE_STATE_BEHIND }, "connected still")
}

func TestAChangeAtOneReplicaReachesNodesOfTheOther(t *testing.T) {
	database := storetest.Postgres(t)
	one := nodestest.New(t, database)
	other := one.Replica(database)
	viewer := other.Operator(access.Viewer)
	joined := one.Join("n")
	node := other.Node(joined.ID, "n", joined.Certificate)
	stream := node.Open(t, &portcullisv1.SyncRequest{})
	centraltest.Eventually(t, func() bool {
		return state(t, one.Operator(access.Viewer), node.ID).GetState() != portcullisv1.NodeState_NODE_STATE_SILENT
	}, "seen by the replica that does not hold the stream")
	one.Bundles.Publish(t, one.Store, 4, "x")
	centraltest.Eventually(t, func() bool { n, _ := stream.Bundle(); return n == 4 }, "bundle")

	moved := one.Node(joined.ID, "n", joined.Certificate).Open(t, &portcullisv1.SyncRequest{Bundle: 4})
	centraltest.Eventually(t, func() bool { return state(t, viewer, node.ID).GetState() != portcullisv1.NodeState_NODE_STATE_SILENT }, "connected")
	other.Stop()
	centraltest.Eventually(t, func() bool {
		return state(t, one.Operator(access.Viewer), node.ID).GetState() == portcullisv1.NodeState_NODE_STATE_BEHIND
	}, "the other replica's end is not the stream's")

	_, err := one.Operator(access.Admin).Nodes.RemoveNode(ctx, &portcullisv1.RemoveNodeRequest{Id: node.ID})
	require.NoError(t, err)
	centraltest.Eventually(t, func() bool { ended, _ := moved.Ended(); return ended }, "removed")
}

func TestARemovalAtOneReplicaEndsTheStreamAtTheOther(t *testing.T) {
	database := storetest.Postgres(t)
	one := nodestest.New(t, database)
	other := one.Replica(database)
	joined := one.Join("n")
	stream := other.Node(joined.ID, "n", joined.Certificate).Open(t, &portcullisv1.SyncRequest{})
	admin := one.Operator(access.Admin)
	centraltest.Eventually(t, func() bool { return state(t, admin, joined.ID).GetState() != portcullisv1.NodeState_NODE_STATE_SILENT }, "connected")
	_, err := admin.Nodes.RemoveNode(ctx, &portcullisv1.RemoveNodeRequest{Id: joined.ID})
	require.NoError(t, err)
	centraltest.Eventually(t, func() bool { ended, _ := stream.Ended(); return ended }, "stream ends")
	_, err = stream.Ended()
	centraltest.Code(t, err, connect.CodePermissionDenied)
}

func TestAReplicaThatDiedLeavesItsNodesSilent(t *testing.T) {
	database := storetest.Postgres(t)
	one := nodestest.New(t, database)
	node := one.Join("n")
	node.Open(t, &portcullisv1.SyncRequest{})
	viewer := one.Operator(access.Viewer)
	centraltest.Eventually(t, func() bool { return state(t, viewer, node.ID).GetState() != portcullisv1.NodeState_NODE_STATE_SILENT }, "connected")
	one.Clock.Add(time.Minute) // nothing says since that the replica lives
	require.Equal(t, portcullisv1.NodeState_NODE_STATE_SILENT, state(t, viewer, node.ID).GetState())
}

func TestNodesAreListedPageByPageAndFiltered(t *testing.T) {
	nodestest.Both(t, func(t *testing.T, c *nodestest.Central) {
		for _, name := range []string{"b", "a", "web_1", "Web-2", "c"} {
			c.Join(name)
		}
		viewer := c.Operator(access.Viewer)
		var names []string
		for token := ""; ; {
			page, err := viewer.Nodes.ListNodes(ctx, &portcullisv1.ListNodesRequest{PageSize: 2, PageToken: token})
			require.NoError(t, err)
			require.EqualValues(t, 5, page.GetTotal())
			for _, n := range page.GetNodes() {
				names = append(names, n.GetName())
			}
			if token = page.GetNextPageToken(); token == "" {
				break
			}
		}
		require.ElementsMatch(t, []string{"Web-2", "a", "b", "c", "web_1"}, names)
		for search, want := range map[string]int{"WEB": 2, "web_": 1, "%": 0, `\`: 0, "10.0.0": 5, "'; --": 0} {
			page, err := viewer.Nodes.ListNodes(ctx, &portcullisv1.ListNodesRequest{Search: search})
			require.NoError(t, err)
			require.Len(t, page.GetNodes(), want, search)
		}
		page, err := viewer.Nodes.ListNodes(ctx, &portcullisv1.ListNodesRequest{States: []portcullisv1.NodeState{portcullisv1.NodeState_NODE_STATE_IN_FORCE}})
		require.NoError(t, err)
		require.Empty(t, page.GetNodes())
		page, err = viewer.Nodes.ListNodes(ctx, &portcullisv1.ListNodesRequest{States: []portcullisv1.NodeState{portcullisv1.NodeState_NODE_STATE_SILENT}, Clusters: []string{""}})
		require.NoError(t, err)
		require.Len(t, page.GetNodes(), 5)
		for name, r := range map[string]*portcullisv1.ListNodesRequest{
			"page size": {PageSize: 501}, "negative": {PageSize: -1}, "token": {PageToken: "x"}, "search": {Search: strings.Repeat("x", 201)},
			"zero byte": {Search: "\x00"}, "state": {States: []portcullisv1.NodeState{9}}, "clusters": {Clusters: make([]string, 101)},
		} {
			t.Run(name, func(t *testing.T) {
				_, err := viewer.Nodes.ListNodes(ctx, r)
				centraltest.Code(t, err, connect.CodeInvalidArgument)
			})
		}
		_, err = viewer.Nodes.GetNode(ctx, &portcullisv1.GetNodeRequest{Id: "x"})
		centraltest.Code(t, err, connect.CodeNotFound)
	})
}

func TestStartsAreFoldedOverNodesAndBounded(t *testing.T) {
	nodestest.Both(t, func(t *testing.T, c *nodestest.Central) {
		image := "sha256:" + strings.Repeat("a", 64)
		start := func(count int64) *portcullisv1.Start {
			return &portcullisv1.Start{
				Namespace: "shop", Pod: "p", Container: "web", Image: "web:1", ImageId: image, Count: count, LastTime: timestamppb.New(c.Clock.Now().Add(40 * 24 * time.Hour)),
				Asks: []*portcullisv1.Ask{{Parameter: "host-path", Detail: "/etc\x00"}},
			}
		}
		for _, node := range []*nodestest.Node{c.Join("a"), c.Join("b")} {
			_, err := node.ReportStarts(ctx, &portcullisv1.ReportStartsRequest{Starts: []*portcullisv1.Start{start(2), {ImageId: "nonsense", Count: 1}, start(-5)}})
			require.NoError(t, err)
			_, err = node.ReportStarts(ctx, &portcullisv1.ReportStartsRequest{Starts: make([]*portcullisv1.Start, 1001)})
			centraltest.Code(t, err, connect.CodeInvalidArgument)
		}
		var found []store.Start
		centraltest.Eventually(t, func() bool {
			found = nil
			require.NoError(t, c.Store.Read(ctx, func(tx *store.Tx) error {
				return tx.EachStart(ctx, c.Clock.Now(), func(s store.Start) error { found = append(found, s); return nil })
			}))
			return len(found) == 1 && found[0].Count == 4
		}, "folded")
		require.Equal(t, []store.StartAsk{{Parameter: "host-path", Detail: "/etc "}}, found[0].Asks)
		require.False(t, found[0].LastTime.After(c.Clock.Now()), "the node's clock is not believed")
	})
}

func TestANodeSpeaksForItselfOnly(t *testing.T) {
	c := nodestest.New(t, storetest.SQLite(t))
	a, b := c.Join("a"), c.Join("b")
	_, err := a.UploadDecisions(ctx, &portcullisv1.UploadDecisionsRequest{Decisions: []*portcullisv1.FoldedDecision{{Event: &portcullisv1.Event{NodeId: b.ID, Node: "b"}}}})
	require.NoError(t, err)
	require.Equal(t, 1, c.Decisions.Of(a.ID))
	require.Zero(t, c.Decisions.Of(b.ID))
}

func TestNothingIsLeftRunning(t *testing.T) {
	ignored := goleak.IgnoreCurrent()
	t.Cleanup(func() { goleak.VerifyNone(t, ignored) })
	c := nodestest.New(t, storetest.SQLite(t))
	c.Join("n").Open(t, &portcullisv1.SyncRequest{})
}
