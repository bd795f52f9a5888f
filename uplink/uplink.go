// Package uplink answers: what does central want of this node, and what does it need to know?
//
// An Uplink holds one stream to central. From it come bundles, which are put in force as an ordinary policy
// file, and word of verdicts that changed, which are fetched into a mirror; to central go the node's state,
// its images, its decisions from the spool and its starts. Everything works on without central, from what
// was put on disk.
package uplink

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"connectrpc.com/connect"
	"github.com/sirupsen/logrus"

	portcullisv1 "portcullis/api/portcullis/v1"
	"portcullis/api/portcullis/v1/portcullisv1connect"
	"portcullis/event"
	scanner "portcullis/scanner-client"
)

// Policies puts central's bundles in force.
type Policies interface {
	// Bundle is the number of central's bundle in force, 0 when none of central's is.
	Bundle() int64
	// BundleSHA256 is of that bundle's documents, in hexadecimal digits; empty when none of central's is in force.
	BundleSHA256() string
	// Documents are that bundle's, as central sent them; empty when none of central's is in force.
	Documents() string
	// Apply puts a bundle in force together with the node's own policies, or changes nothing and says why. Where sha256
	// is not empty and not the documents', it returns ErrOtherDocuments.
	Apply(number int64, documents, sha256 string) error
}

// ErrOtherDocuments says that the documents of a bundle are not those that central means.
var ErrOtherDocuments = errors.New("they are not the documents that central means")

// Images is the container runtime, as far as central wants to know.
type Images interface {
	Images(ctx context.Context) ([]scanner.Image, error)
}

// Spool holds the decisions that central does not have.
type Spool interface {
	Next(most int) (event.Batch, error)
	Acknowledge(through int64) error
	Changed() <-chan struct{}
}

// Options is what an Uplink needs.
type Options struct {
	// Addresses are of central's replicas, https://host:port each. Nodes begin at any of them, and when one
	// fails they go on to the next.
	Addresses []string
	Dir       string // where the node's certificate and the mirror are
	// Info describes the node.
	Info     func(context.Context) *portcullisv1.NodeInfo
	Policies Policies
	Images   Images
	Spool    Spool
	// VerdictsChanged is told of images whose verdict is another now. It may be nil.
	VerdictsChanged func(imageIDs []string)
	Times           Times
	Now             func() time.Time // default time.Now
	Log             logrus.FieldLogger
}

// Times are the intervals; zero values take the defaults. Those marked so vary by half, so that nodes which
// began together do not go on together.
type Times struct {
	// RetryMin and RetryMax bound the wait after a failure, which is random below a bound that doubles with
	// each; default 1s and 30s. It begins anew after a connection that lasted Stable; default 1m.
	RetryMin, RetryMax, Stable time.Duration
	// Elsewhere is how long a kind of call may fail before another replica is tried, where there is one; default 2m.
	Elsewhere time.Duration
	// Removed is the wait after central has said that the node was removed; default 10m, varies.
	Removed time.Duration
	// Silence is how long central may say nothing, heartbeats included; default 90s.
	Silence time.Duration
	// Call bounds one call; default 30s.
	Call time.Duration
	// State and Inventory are how often the node's state and images are looked at, Starts how often starts
	// are reported; default 1m, 30s and 1m, vary.
	State, Inventory, Starts time.Duration
	// Report is how long a change of the node's state is kept to itself where central does not say, so that central can
	// tell all nodes of a bundle before it hears from each that the bundle is in force; default 2s, varies.
	Report time.Duration
	// Upload is how long decisions are gathered for one upload; default 1s.
	Upload time.Duration
}

func (t Times) withDefaults() Times {
	for field, value := range map[*time.Duration]time.Duration{
		&t.Elsewhere: 2 * time.Minute, &t.RetryMin: time.Second, &t.RetryMax: 30 * time.Second, &t.Stable: time.Minute, &t.Removed: 10 * time.Minute,
		&t.Silence: 90 * time.Second, &t.Call: 30 * time.Second, &t.State: time.Minute, &t.Inventory: 30 * time.Second,
		&t.Starts: time.Minute, &t.Report: 2 * time.Second, &t.Upload: time.Second,
	} {
		if *field == 0 {
			*field = value
		}
	}
	return t
}

// Uplink is one node's connection to central.
type Uplink struct {
	options Options
	mirror  *mirror
	bundles bundles
	starts  starts

	client    atomic.Pointer[client] // nil while central is away
	connected atomic.Bool
	uploaded  atomic.Int64

	// tried is closed when the first attempt to connect has ended, well or not. Until then central is not
	// away: a restart of the node is no reason to take every new image for unknown.
	tried     chan struct{}
	triedOnce sync.Once

	seen    chan struct{} // an image was pulled
	changes changes
}

// client is a connection on which a call has succeeded.
type client struct {
	portcullisv1connect.SyncServiceClient
}

// New makes an uplink; Run connects it. The error says that the mirror cannot be used.
func New(options Options) (*Uplink, error) {
	if options.Now == nil {
		options.Now = time.Now
	}
	if options.VerdictsChanged == nil {
		options.VerdictsChanged = func([]string) {}
	}
	options.Times = options.Times.withDefaults()
	m, err := openMirror(filepath.Join(options.Dir, "verdicts"), options.Now)
	if err != nil {
		return nil, err
	}
	return &Uplink{
		options: options, mirror: m,
		bundles: bundles{changed: make(chan struct{}, 1)},
		starts:  starts{folds: map[startKey]*portcullisv1.Start{}},
		changes: changes{wake: make(chan struct{}, 1), ids: map[string]bool{}},
		seen:    make(chan struct{}, 1),
		tried:   make(chan struct{}),
	}, nil
}

// ImageSeen says that the node may have another image than a moment ago.
func (u *Uplink) ImageSeen() { wake(u.seen) }

// Stats says how an uplink is.
type Stats struct {
	Connected bool
	Bundle    int64 // in force, 0 when none of central's is
	Rejected  int64 // newest bundle that could not be used, 0 when there is none
	Uploaded  int64 // decisions that central has taken from this process
	Mirrored  int   // images of which central has told
	// StartsLost counts starts that were not reported.
	StartsLost int64
}

// Stats returns how the uplink is now.
func (u *Uplink) Stats() Stats {
	rejected, _ := u.bundles.rejection()
	return Stats{
		Connected: u.connected.Load(), Bundle: u.options.Policies.Bundle(), Rejected: rejected, Uploaded: u.uploaded.Load(),
		Mirrored: u.mirror.len(), StartsLost: u.starts.lostSoFar(),
	}
}

// Run keeps the node connected until ctx ends. It begins with the mirror as it is on disk then: another
// process may have kept it until now. It may run again after it has ended.
func (u *Uplink) Run(ctx context.Context) {
	if err := errors.Join(u.mirror.load(), u.mirror.sweep()); err != nil {
		u.options.Log.WithError(err).Error("state folder")
	}
	turn := newTurn(u.options.Addresses, u.options.Times)
	told := map[string]string{} // by address, why it could not be reached
	for ctx.Err() == nil {
		began, address := time.Now(), turn.address()
		wasConnected, err := u.session(ctx, address)
		u.triedOnce.Do(func() { close(u.tried) })
		if ctx.Err() != nil {
			return
		}
		lasted := time.Since(began)
		if lasted >= u.options.Times.Stable {
			turn.reset()
		}
		if !wasConnected {
			lasted = 0
		}
		log := u.options.Log.WithError(err).WithField("central", address)
		switch {
		case errors.Is(err, errRenewed):
			clear(told)
			continue
		case refused(err):
			log.Error("central refuses this node: it was removed, or its certificate is no longer good; what is in force stays. Join it anew with portcullisd join")
			wait(ctx, vary(u.options.Times.Removed), nil)
			continue
		case wasConnected:
			log.Warn("connection to central is lost; what is in force stays")
		case err.Error() != told[address]:
			log.Warn("central cannot be reached; what is in force stays")
		}
		told[address] = err.Error()
		pause := turn.next(lasted)
		own := errors.Is(err, errStale) || errors.Is(err, ErrOtherDocuments)
		if wasConnected && !own { // the others are lost, too, and central cannot take them all back at once
			pause = max(pause, 2*u.bundles.spread())
		}
		wait(ctx, pause, nil)
	}
}

// refused says that the node's certificate is of no use any more.
func refused(err error) bool {
	code := connect.CodeOf(err)
	return code == connect.CodePermissionDenied || code == connect.CodeUnauthenticated
}

var (
	errSilent  = errors.New("central has been silent for too long")
	errRenewed = errors.New("the node has a new certificate")
	errEnded   = errors.New("central has ended the stream")
	errStale   = errors.New("central's policy file is not as it was written; it is asked for again")
)

// session connects once and works until the connection is of no more use. It says whether a call had
// succeeded.
func (u *Uplink) session(ctx context.Context, address string) (bool, error) {
	id, err := readIdentity(u.options.Dir)
	if err != nil {
		return false, err
	}
	if now := u.options.Now(); now.After(id.leaf.NotAfter) {
		return false, u.renewExpired(ctx, address, id, now)
	}
	connection := dial(address, id, u.options.Now)
	defer connection.close()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	bundle, request := u.bundles.begin(u.options.Policies)
	request.Verdicts = u.mirror.version()
	stream, err := connection.client.Sync(ctx, request)
	if err != nil {
		return false, err
	}
	var tasks sync.WaitGroup
	defer func() {
		cancel(nil)
		_ = stream.Close() // what it was about is known
		tasks.Wait()
		u.connected.Store(false)
		u.client.Store(nil)
	}()
	tasks.Go(func() { cancel(u.receive(stream, cancel)) })
	if err := u.reportState(ctx, connection.client); err != nil {
		if cause := context.Cause(ctx); cause != nil {
			err = cause
		}
		return false, err
	}
	u.client.Store(&client{connection.client})
	u.connected.Store(true)
	u.triedOnce.Do(func() { close(u.tried) })
	u.options.Log.WithField("central", address).WithField("bundle", bundle).Info("connected to central")
	for _, task := range []func(context.Context, portcullisv1connect.SyncServiceClient) error{
		u.keepReportingState, u.keepInventory, u.upload, u.reportStarts,
		func(ctx context.Context, c portcullisv1connect.SyncServiceClient) error { return u.renew(ctx, c, id) },
	} {
		tasks.Go(func() {
			if err := task(ctx, connection.client); err != nil {
				cancel(err)
			}
		})
	}
	<-ctx.Done()
	return true, context.Cause(ctx)
}

// receive takes what central sends until the stream ends.
func (u *Uplink) receive(stream *connect.ServerStreamForClient[portcullisv1.SyncResponse], cancel context.CancelCauseFunc) error {
	silence := time.AfterFunc(u.options.Times.Silence, func() { cancel(errSilent) })
	defer silence.Stop()
	for stream.Receive() {
		silence.Reset(u.options.Times.Silence)
		switch change := stream.Msg().GetChange().(type) {
		case *portcullisv1.SyncResponse_Bundle:
			u.bundles.reportWithin(stream.Msg().GetReportWithin())
			if err := u.takeWhole(change.Bundle); err != nil {
				return err
			}
		case *portcullisv1.SyncResponse_Edit:
			u.bundles.reportWithin(stream.Msg().GetReportWithin())
			if err := u.takeEdit(change.Edit); err != nil {
				return err
			}
		case *portcullisv1.SyncResponse_Verdicts:
			u.changes.add(change.Verdicts)
		}
	}
	if err := stream.Err(); err != nil {
		return err
	}
	return errEnded
}

// unserved says that central could not serve a call. What it has against a call it would have anywhere, and a disk that is full
// is the node's own.
func unserved(err error) bool {
	code := connect.CodeOf(err)
	return code == connect.CodeUnavailable || code == connect.CodeDeadlineExceeded
}

// insist calls until it works or ctx ends. It gives up only when central refuses the node, or when another replica may be
// better off than this one, such as one that has lost its database: trouble with one kind of call must not keep the others
// from working.
func (u *Uplink) insist(ctx context.Context, what string, call func(context.Context) error) error {
	retry := backoff{min: u.options.Times.RetryMin, max: u.options.Times.RetryMax}
	began := time.Now()
	for {
		limited, cancel := context.WithTimeout(ctx, u.options.Times.Call)
		err := call(limited)
		cancel()
		switch {
		case err == nil:
			return nil
		case ctx.Err() != nil:
			return ctx.Err()
		case refused(err):
			return fmt.Errorf("%s: %w", what, err)
		case sentAway(err) > 0: // it is only busy
			began = time.Now()
		case len(u.options.Addresses) > 1 && unserved(err) && time.Since(began) > u.options.Times.Elsewhere:
			return fmt.Errorf("%s does not work at this address: %w", what, err)
		}
		u.options.Log.WithError(err).WithField("call", what).Warn("central could not take a call; it is repeated")
		wait(ctx, u.repeatAfter(err, &retry), nil)
	}
}
