// Package node answers: how do the parts make one node daemon?
//
// It reads the configuration, builds the parts, connects them, and takes them down in the reverse
// order. All wiring is in New.
package node

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sirupsen/logrus"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials/insecure"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"

	"portcullis/event"
	"portcullis/gate"
	"portcullis/internal/watch"
	"portcullis/policy"
	"portcullis/proxy"
	"portcullis/proxy/relay"
	scanner "portcullis/scanner-client"
	"portcullis/uplink"
)

// Node is one running portcullisd.
type Node struct {
	config  Config
	log     *logrus.Logger
	metrics *metrics
	now     func() time.Time
	ctx     context.Context // of everything that goes on in the background
	cancel  context.CancelFunc
	tasks   sync.WaitGroup

	bundles  *bundles
	folders  []*reportsFolder
	chain    *scanner.Chain
	verdicts *scanner.Cache
	images   runtimeImages

	// spool, uplink and central are nil where central is not configured.
	spool   *event.Spools
	uplink  *uplink.Uplink
	central *centralPolicies
	// disconnect ends what connect began.
	disconnect func()

	refreshing sync.Mutex // held while reports are taken in or what is known of them is kept
	path       *relay.Relay

	seat      *seat
	custody   atomic.Bool     // of the state folder: nobody else writes it
	succeeded chan struct{}   // closed when a successor serves
	retiring  bool            // it ends because a successor serves
	patient   context.Context // until it is told not to wait for its last calls
	hurry     context.CancelFunc
	probe     *probe
	failed    chan error
	teardowns []func() error // in the order in which things were built
}

// Options is what a node needs beyond its configuration.
type Options struct {
	Version string // of this build, for the metrics
	Log     *logrus.Logger
	Now     func() time.Time // default time.Now
	// Activated is the socket that systemd holds for us, nil when it holds none.
	Activated *net.UnixListener
	// Stored are connections to the runtime that systemd has kept over a restart. They are the node's.
	Stored []*os.File
	// TakeOver has a portcullisd that runs hand over to this one.
	TakeOver bool
}

// New builds a node from a validated configuration and opens its sockets, but answers nobody yet. On
// an error nothing is left behind.
func New(config Config, options Options) (*Node, error) {
	if options.Now == nil {
		options.Now = time.Now
	}
	n := &Node{
		config: config, log: options.Log, metrics: newMetrics(options.Version), now: options.Now,
		succeeded: make(chan struct{}), failed: make(chan error, 2),
	}
	n.ctx, n.cancel = context.WithCancel(context.Background())
	n.patient, n.hurry = context.WithCancel(context.Background())
	if err := n.build(options); err != nil {
		n.cancel()
		return nil, errors.Join(err, n.Stop())
	}
	return n, nil
}

func (n *Node) build(options Options) error {
	config, log := n.config, n.log
	n.hold(options.Stored)
	if err := n.open(options); err != nil {
		return err
	}
	countdowns, err := openObservations(filepath.Join(config.State, "observations.json"))
	if err != nil {
		log.WithError(err).Error("state folder")
	}
	n.bundles = &bundles{
		path: config.Policies, lastGood: filepath.Join(config.State, "last-good-policies.json"),
		options: config.compileOptions(), observations: countdowns, custody: &n.custody, now: n.now, log: log, reloaded: n.metrics.reloaded,
	}
	events := event.NewRecorder(event.NewSink(log), event.Options{
		Node: config.Node, FoldInterval: config.Events.FoldInterval, Lost: n.metrics.eventsLost.Inc, Log: log,
	})
	n.onStop(func() error { events.Close(); return nil })

	connection, err := dialRuntime(config.Runtime)
	if err != nil {
		return err
	}
	n.onStop(connection.Close)
	n.images = runtimeImages{cri.NewImageServiceClient(connection)}
	if err := n.openCentral(connection, options.Version); err != nil {
		return err
	}
	if err := n.openVerdicts(); err != nil {
		return err
	}
	judge := gate.New(runtimeClient(connection), n.verdicts, n.bundles, decisions{n.spool, events}, gate.Options{
		Cluster: config.Cluster, NoBundle: config.Unknown.NoBundle.Action(), Host: config.host(),
		Decided: n.metrics.decided, Started: n.started(), Now: n.now, Log: log,
	})
	n.probe = newProbe(proxy.NewGuard(judge, prefetch{n.verdicts, n.uplink}, log), judge)
	n.path = relay.New(config.Runtime, n.probe, relay.Options{
		Finished: n.metrics.finished, Endless: proxy.Endless, Unfinished: n.leave, Log: log,
	})
	n.onStop(n.drain)
	n.metrics.observe(n)
	return nil
}

// open takes what only one process can have, and makes the folders.
func (n *Node) open(options Options) error {
	var err error
	if n.seat, err = take(n.config, options); err != nil {
		return err
	}
	n.onStop(n.seat.close)
	n.custody.Store(n.seat.predecessor == nil)
	folders := []string{n.config.State}
	for _, s := range n.config.Sources {
		if s.Reports != "" {
			folders = append(folders, s.Reports)
		}
	}
	for _, folder := range folders {
		if err := os.MkdirAll(folder, 0o700); err != nil {
			return err
		}
	}
	return nil
}

// dialRuntime makes the gate's own connection to the runtime. The runtime need not be there: until it
// is, calls end with Unavailable at once.
func dialRuntime(socket string) (*grpc.ClientConn, error) {
	connection, err := grpc.NewClient("unix:"+socket,
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithNoProxy(),
		grpc.WithIdleTimeout(0),
		// grpc's own back-off grows to two minutes, in which nothing could be judged after a restart of
		// the runtime.
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff:           backoff.Config{BaseDelay: 100 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: 300 * time.Millisecond},
			MinConnectTimeout: 3 * time.Second,
		}),
		// What a container's status says of its environment may be large.
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(16<<20)),
	)
	if err != nil {
		return nil, fmt.Errorf("runtime socket %s: %w", socket, err)
	}
	return connection, nil
}

func runtimeClient(connection *grpc.ClientConn) gate.Runtime {
	return struct {
		cri.RuntimeServiceClient
		cri.ImageServiceClient
	}{cri.NewRuntimeServiceClient(connection), cri.NewImageServiceClient(connection)}
}

// compileOptions is what of the configuration goes into every bundle.
func (c *Config) compileOptions() policy.Options {
	return policy.Options{Defaults: policy.Unknowns{Unscanned: c.Unknown.Unscanned, SourceFailed: c.Unknown.SourceFailed}}
}

// Start begins to answer. It waits for nothing but the policy files: not for the runtime, which may
// come later, and not for the reports folder, whose index is built meanwhile. It fails only if the
// process that it takes over from does not let go; that one then serves on.
func (n *Node) Start() error {
	if err := n.seat.own(); err != nil {
		return err
	}
	n.custody.Store(true)
	n.bundles.load()
	n.tasks.Go(func() { watch.Run(n.ctx, n.config.Policies, n.log, n.bundles.load) })
	for _, folder := range n.folders {
		n.tasks.Go(func() { watch.Run(n.ctx, folder.path, n.log, func() { n.refresh(folder) }) })
	}
	n.tasks.Go(func() { n.warm(func(scanner.Image) bool { return true }) })
	n.tasks.Go(debug.FreeOSMemory) // reading what was kept has left as much garbage again
	n.tasks.Go(n.snapshotNowAndThen)
	n.connect()
	n.onStop(func() error { n.cancel(); n.tasks.Wait(); return nil })

	go n.serve("socket", func() error { return n.path.Serve(n.seat.socket) })
	if n.seat.metrics != nil {
		server := n.httpServer()
		n.onStop(server.Close)
		go n.serve("metrics", func() error { return server.Serve(n.seat.metrics) })
	}
	if err := n.succeed(); err != nil {
		return err
	}
	n.log.WithFields(logrus.Fields{"listen": n.config.Listen, "runtime": n.config.Runtime}).Info("portcullisd serves")
	return nil
}

func (n *Node) serve(what string, serve func() error) {
	err := serve()
	if err != nil && !errors.Is(err, http.ErrServerClosed) && !errors.Is(err, net.ErrClosed) && !errors.Is(err, grpc.ErrServerStopped) {
		n.failed <- fmt.Errorf("%s: %w", what, err)
	}
}

// Reload looks at policies and reports now instead of when a change is noticed.
func (n *Node) Reload() {
	n.bundles.load()
	for _, folder := range n.folders {
		n.refresh(folder)
	}
}

// Failed gives the error of a listener that broke while the node was running.
func (n *Node) Failed() <-chan error { return n.failed }

// MetricsAddr is the address that metrics are served on, nil when they are not.
func (n *Node) MetricsAddr() net.Addr {
	if n.seat.metrics == nil {
		return nil
	}
	return n.seat.metrics.Addr()
}

// Stop ends everything that New and Start began, the last first.
func (n *Node) Stop() error {
	var failures []error
	for i := len(n.teardowns) - 1; i >= 0; i-- {
		if err := n.teardowns[i](); err != nil && !errors.Is(err, net.ErrClosed) {
			failures = append(failures, err)
		}
	}
	n.teardowns = nil
	return errors.Join(failures...)
}

func (n *Node) onStop(teardown func() error) { n.teardowns = append(n.teardowns, teardown) }
