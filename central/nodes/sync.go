package nodes

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"time"

	"connectrpc.com/connect"

	portcullisv1 "portcullis/api/portcullis/v1"
	api "portcullis/api/portcullis/v1/portcullisv1connect"
	"portcullis/central/access"
	"portcullis/central/store"
)

// Bundles gives what nodes enforce.
type Bundles interface {
	// NewestBundle returns store.ErrNotFound while there is none.
	NewestBundle(ctx context.Context) (*portcullisv1.Bundle, error)
}

// Images knows the verdicts of images, and which nodes have them.
type Images interface {
	// Present takes in what a node has.
	Present(ctx context.Context, nodeID string, request *portcullisv1.ReportInventoryRequest) error
	// Verdicts tells what is known of images by the names that the node holds for them.
	Verdicts(ctx context.Context, nodeID string, images []*portcullisv1.PresentImage) ([]*portcullisv1.ImageVerdict, error)
	// Leave forgets what a node that is removed said of images.
	Leave(ctx context.Context, tx *store.Tx, nodeID string) error
	// VerdictNumber is of the last change of any verdict.
	VerdictNumber(ctx context.Context) (int64, error)
	// Changed returns for nodes which of their images have verdicts that changed after that number, and the
	// number of the last change.
	Changed(ctx context.Context, after int64, nodeIDs []string) (changed map[string][]string, number int64, err error)
}

// Decisions takes what nodes decided.
type Decisions interface {
	// Ingest returns up to which record central has the spool now.
	Ingest(ctx context.Context, nodeID string, request *portcullisv1.UploadDecisionsRequest) (through int64, err error)
}

// Sync is SyncService, and what goes on in the background for it.
type Sync struct {
	store     *store.Store
	pki       Authority
	bundles   Bundles
	images    Images
	decisions Decisions
	options   Options
	replica   string // the ID of this process

	hub    hub
	news   news
	starts starts
	turns  map[string]*turns // by method
}

// NewSync makes the service. Run must be running while it is used.
func NewSync(s *store.Store, pki Authority, bundles Bundles, images Images, decisions Decisions, options Options) *Sync {
	return &Sync{
		store: s, pki: pki, bundles: bundles, images: images, decisions: decisions, options: options, replica: store.NewID(),
		hub:    hub{streams: map[string]*stream{}},
		news:   news{pending: map[string]*store.NodeNews{}, told: map[string]store.NodeStatus{}, urgent: make(chan struct{}, 1)},
		starts: starts{folds: map[string]*store.Start{}},
		turns: map[string]*turns{
			api.SyncServiceUploadDecisionsProcedure: newTurns(maxUploads, uploadsWait, oneByOne),
			api.SyncServiceReportInventoryProcedure: newTurns(maxInventories, inventoryWait, oneByOne),
			api.SyncServiceGetVerdictsProcedure:     newTurns(maxInventories, inventoryWait, lookups),
		},
	}
}

// Run passes on changes and writes what nodes tell, until ctx ends.
func (s *Sync) Run(ctx context.Context) {
	var tasks sync.WaitGroup
	tasks.Go(func() { s.watch(ctx) })
	tasks.Go(func() { s.writeNews(ctx) })
	tasks.Go(func() { s.live(ctx) })
	tasks.Go(func() { s.tidy(ctx) })
	tasks.Wait()
}

// IsMember tells whether there is a node of that ID. The database is asked only for nodes without a stream here:
// with thousands of nodes it would have little else to do.
func (s *Sync) IsMember(ctx context.Context, id string) (member bool, err error) {
	if s.hub.hasMember(id) {
		return true, nil
	}
	return member, s.store.Read(ctx, func(tx *store.Tx) error {
		member, err = tx.IsNode(ctx, id)
		return err
	})
}

// NewestNumber is of the newest bundle that this replica has heard of, 0 for none.
func (s *Sync) NewestNumber() int64 {
	if newest := s.hub.bundle.Load(); newest != nil {
		return newest.held.number
	}
	return 0
}

// heartbeat is how long a stream is quiet at most; each beats at its own time.
const heartbeat = 30 * time.Second

var (
	errRemoved  = connect.NewError(connect.CodePermissionDenied, errors.New("this node was removed"))
	errReplaced = connect.NewError(connect.CodeAborted, errors.New("the node has opened another stream"))
	beat        = &portcullisv1.SyncResponse{Change: &portcullisv1.SyncResponse_Heartbeat{Heartbeat: &portcullisv1.Heartbeat{}}}
)

// Sync sends a node the newest bundle and what changes from then on.
func (s *Sync) Sync(ctx context.Context, request *portcullisv1.SyncRequest, out *connect.ServerStream[portcullisv1.SyncResponse]) error {
	id := access.From(ctx).Name
	mine := s.hub.open(id, func() { s.news.stream(id, store.StreamBegan, s.options.Now()) })
	defer s.hub.close(id, mine, func() { s.news.stream(id, store.StreamEnded, s.options.Now()) })
	// It may have been removed before the stream was open to be ended.
	member, err := s.IsMember(ctx, id)
	if err != nil {
		return err
	}
	if !member {
		return errRemoved
	}
	mine.member.Store(true)
	if err := s.missedVerdicts(ctx, id, request.GetVerdicts(), mine); err != nil {
		return err
	}
	// A node that is sent nothing does not know that it is connected.
	if err := out.Send(beat); err != nil {
		return err
	}
	has := held{request.GetBundle(), request.GetBundleSha256()}
	timer := time.NewTimer(quiet())
	defer timer.Stop()
	for {
		sent, err := mine.send(s.hub.bundle.Load(), &has, request.GetEdits(), out)
		if err != nil {
			return err
		}
		if sent {
			timer.Reset(quiet())
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-mine.wake:
		case <-timer.C:
			if err := out.Send(beat); err != nil {
				return err
			}
			timer.Reset(quiet())
		}
		if err := mine.ended(); err != nil {
			return err
		}
	}
}

func quiet() time.Duration { return heartbeat*2/3 + rand.N(heartbeat/3) } //nolint:gosec // G404: jitter is no secret

// missedVerdicts tells a node what changed while it had no stream.
func (s *Sync) missedVerdicts(ctx context.Context, id string, has int64, mine *stream) error {
	changed, number, err := s.images.Changed(ctx, has, []string{id})
	if err != nil {
		return err
	}
	if number != has {
		mine.tell(changed[id], number)
	}
	return nil
}

// send sends what the stream has not sent, and reports whether there was anything. Of several bundles only the
// newest matters.
func (m *stream) send(bundle *outgoing, has *held, edits bool, out *connect.ServerStream[portcullisv1.SyncResponse]) (sent bool, err error) {
	if bundle != nil && bundle.held != *has {
		if err := out.Send(bundle.message(*has, edits)); err != nil {
			return true, err
		}
		*has, sent = bundle.held, true
	}
	if ids, number := m.take(); number != 0 {
		sent = true
		err = out.Send(&portcullisv1.SyncResponse{Change: &portcullisv1.SyncResponse_Verdicts{
			Verdicts: &portcullisv1.VerdictChanges{ImageIds: ids, Verdicts: number},
		}})
	}
	return sent, err
}
