// Package nodes answers: which nodes are there, how are they, and what do they have to know?
//
// Service is for operators: join tokens, the list of nodes, removal. Sync is for the nodes themselves: they
// join, hold one stream by which they learn of changes, and report. Which node is calling, its certificate
// alone says.
//
// A name is had by one node of a cluster at a time. A node that joins under the name of one that is silent
// takes its place, as a machine that was installed anew does: the old identity is removed. The name of
// one that is connected is not given away, so that whoever finds a join token cannot push nodes out.
package nodes

import (
	"context"
	"time"

	"github.com/sirupsen/logrus"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	portcullisv1 "portcullis/api/portcullis/v1"
	"portcullis/central/audit"
	"portcullis/central/rpc"
	"portcullis/central/store"
)

// Fleet is all nodes, as Sync knows them.
type Fleet interface {
	// NewestNumber is of the newest bundle.
	NewestNumber() int64
	// Remove ends a node's membership.
	Remove(ctx context.Context, tx *store.Tx, node *store.Node) error
	// End ends the stream of a node that was removed, if this replica has it.
	End(id string)
}

// Authority proves who is who.
type Authority interface {
	// Issue makes a client certificate for the node, DER, of a PKCS #10 request.
	Issue(request []byte, nodeID string) ([]byte, error)
	// Authorities are whom to trust, DER.
	Authorities() [][]byte
	// KeyFingerprint is of the authority's public key.
	KeyFingerprint() string
}

// Service is NodeService.
type Service struct {
	store   *store.Store
	fleet   Fleet
	pki     Authority
	options Options
}

// Options is what the services of this package need besides.
type Options struct {
	// URL is where nodes reach central.
	URL string
	Now func() time.Time
	Log logrus.FieldLogger
}

// NewService makes the service.
func NewService(s *store.Store, fleet Fleet, pki Authority, options Options) *Service {
	return &Service{store: s, fleet: fleet, pki: pki, options: options}
}

const (
	defaultPage = 50
	maxPage     = 500
	maxSearch   = 200 // characters
	maxClusters = 100
)

type nodeKey struct{ Name, ID string }

// ListNodes lists nodes by name.
func (s *Service) ListNodes(ctx context.Context, request *portcullisv1.ListNodesRequest) (*portcullisv1.ListNodesResponse, error) {
	size, err := rpc.PageSize(request.GetPageSize(), defaultPage, maxPage)
	if err != nil {
		return nil, err
	}
	var after nodeKey
	if _, err := rpc.ReadPageToken(request.GetPageToken(), &after); err != nil {
		return nil, err
	}
	filter, err := s.filter(request)
	if err != nil {
		return nil, err
	}
	var found []store.Node
	response := &portcullisv1.ListNodesResponse{}
	err = s.store.Read(ctx, func(tx *store.Tx) error {
		now := s.options.Now()
		if found, err = tx.Nodes(ctx, filter, after.Name, after.ID, size+1, now); err != nil {
			return err
		}
		response.Total, err = tx.CountNodes(ctx, filter, now)
		return err
	})
	if err != nil {
		return nil, err
	}
	if len(found) > size {
		found = found[:size]
		last := found[size-1]
		if response.NextPageToken, err = rpc.PageToken(nodeKey{last.Name, last.ID}); err != nil {
			return nil, err
		}
	}
	for i := range found {
		response.Nodes = append(response.Nodes, toNode(&found[i], filter.Newest))
	}
	return response, nil
}

func (s *Service) filter(r *portcullisv1.ListNodesRequest) (store.NodeFilter, error) {
	f := store.NodeFilter{Search: r.GetSearch(), Clusters: r.GetClusters(), Newest: s.fleet.NewestNumber()}
	var problems []*portcullisv1.FieldProblem
	problems = append(problems, checkSearch("search", f.Search)...)
	if len(f.Clusters) > maxClusters {
		problems = append(problems, rpc.Problem("clusters", "are %d; at most %d are taken", len(f.Clusters), maxClusters))
	}
	for i, cluster := range f.Clusters {
		problems = append(problems, checkSearch(indexed("clusters", i), cluster)...)
	}
	if len(r.GetStates()) > len(portcullisv1.NodeState_name) {
		problems = append(problems, rpc.Problem("states", "are more than there are"))
	}
	for i, state := range r.GetStates() {
		if state < portcullisv1.NodeState_NODE_STATE_IN_FORCE || state > portcullisv1.NodeState_NODE_STATE_SILENT {
			problems = append(problems, rpc.Problem(indexed("states", i), "is not a state that is known"))
		}
		f.States = append(f.States, store.NodeState(state))
	}
	if problems != nil {
		return f, rpc.Invalid(problems...)
	}
	return f, nil
}

// GetNode returns one node.
func (s *Service) GetNode(ctx context.Context, request *portcullisv1.GetNodeRequest) (*portcullisv1.GetNodeResponse, error) {
	var node store.Node
	err := s.store.Read(ctx, func(tx *store.Tx) (err error) {
		node, err = tx.Node(ctx, request.GetId(), s.options.Now())
		return err
	})
	if err != nil {
		return nil, err
	}
	return &portcullisv1.GetNodeResponse{Node: toNode(&node, s.fleet.NewestNumber())}, nil
}

// GetNodeOverview counts nodes by state.
func (s *Service) GetNodeOverview(ctx context.Context, _ *portcullisv1.GetNodeOverviewRequest) (*portcullisv1.GetNodeOverviewResponse, error) {
	newest := s.fleet.NewestNumber()
	var counts map[store.NodeState]int64
	err := s.store.Read(ctx, func(tx *store.Tx) (err error) {
		counts, err = tx.CountNodeStates(ctx, newest, s.options.Now())
		return err
	})
	return &portcullisv1.GetNodeOverviewResponse{
		InForce: counts[store.NodeInForce], Behind: counts[store.NodeBehind], Rejected: counts[store.NodeRejected],
		Silent: counts[store.NodeSilent], NewestBundle: newest,
	}, err
}

// RemoveNode ends a node's membership.
func (s *Service) RemoveNode(ctx context.Context, request *portcullisv1.RemoveNodeRequest) (*portcullisv1.RemoveNodeResponse, error) {
	err := s.store.Tx(ctx, func(tx *store.Tx) error {
		node, err := tx.Node(ctx, request.GetId(), s.options.Now())
		if err != nil {
			return err
		}
		return s.fleet.Remove(ctx, tx, &node)
	})
	if err == nil {
		s.fleet.End(request.GetId()) // other replicas end it when they are notified
	}
	return &portcullisv1.RemoveNodeResponse{}, err
}

// Remove ends a node's membership, and forgets what it said.
func (s *Sync) Remove(ctx context.Context, tx *store.Tx, node *store.Node) error {
	if err := s.images.Leave(ctx, tx, node.ID); err != nil {
		return err
	}
	if err := tx.DeleteNode(ctx, node.ID); err != nil {
		return err
	}
	return audit.Record(ctx, tx, "node", node.ID, audited(node), nil)
}

// audited is what the audit log says of a node.
func audited(n *store.Node) *portcullisv1.Node {
	return &portcullisv1.Node{Id: n.ID, Name: n.Name, Cluster: n.Cluster, Addresses: n.Addresses, JoinTime: toTime(n.JoinTime)}
}

func toNode(n *store.Node, newest int64) *portcullisv1.Node {
	state := n.State(newest)
	node := &portcullisv1.Node{
		Id: n.ID, Name: n.Name, Cluster: n.Cluster, State: portcullisv1.NodeState(state), //nolint:gosec // G115: there are four
		Addresses: n.Addresses, Version: n.Version, RuntimeVersion: n.RuntimeVersion, KernelVersion: n.KernelVersion,
		Bundle: n.Bundle, NewestBundle: newest,
		JoinTime: toTime(n.JoinTime), LastContactTime: toTime(n.LastContactTime), CertificateExpireTime: toTime(n.ExpireTime),
		ImageCount: n.ImageCount, ClockSkew: durationpb.New(n.ClockSkew),
	}
	if n.RejectedBundle == newest {
		node.Rejection = n.Rejection
	}
	return node
}

func toTime(t time.Time) *timestamppb.Timestamp {
	if t.IsZero() {
		return nil
	}
	return timestamppb.New(t)
}
