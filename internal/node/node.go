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
	"sync"
	"time"

	"github.com/sirupsen/logrus"
	"google.golang.org/grpc"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"

	"portcullis/event"
	"portcullis/gate"
	"portcullis/internal/watch"
	"portcullis/policy"
	"portcullis/proxy"
	"portcullis/proxy/grpcpath"
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
	path       *grpcpath.Path

	socket    *socket
	http      net.Listener // nil when no metrics are served
	failed    chan error
	teardowns []func() error // in the order in which things were built
}

// Options is what a node needs beyond its configuration.
type Options struct {
	Version string // of this build, for the metrics
	Log     *logrus.Logger
	Now     func() time.Time // default time.Now
}

// New builds a node from a validated configuration and opens its sockets, but answers nobody yet. On
// an error nothing is left behind.
func New(config Config, options Options) (*Node, error) {
	if options.Now == nil {
		options.Now = time.Now
	}
	n := &Node{config: config, log: options.Log, metrics: newMetrics(options.Version), now: options.Now, failed: make(chan error, 2)}
	n.ctx, n.cancel = context.WithCancel(context.Background())
	if err := n.build(options); err != nil {
		n.cancel()
		return nil, errors.Join(err, n.Stop())
	}
	return n, nil
}

func (n *Node) build(options Options) error {
	config, log := n.config, n.log
	if err := n.open(); err != nil {
		return err
	}
	countdowns, err := openObservations(filepath.Join(config.State, "observations.json"))
	if err != nil {
		log.WithError(err).Error("state folder")
	}
	n.bundles = &bundles{
		path: config.Policies, lastGood: filepath.Join(config.State, "last-good-policies.json"),
		options: config.compileOptions(), observations: countdowns, now: n.now, log: log, reloaded: n.metrics.reloaded,
	}
	events := event.NewRecorder(event.NewSink(log), event.Options{
		Node: config.Node, FoldInterval: config.Events.FoldInterval, Lost: n.metrics.eventsLost.Inc, Log: log,
	})
	n.onStop(func() error { events.Close(); return nil })

	connection, err := grpcpath.Dial(config.Runtime)
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
	n.path = grpcpath.New(connection, proxy.NewGuard(judge, prefetch{n.verdicts, n.uplink}, log), grpcpath.Options{Finished: n.metrics.finished})
	n.onStop(n.drain)
	n.metrics.observe(n)
	return nil
}

// open takes what only one process can have: the socket and the metrics address.
func (n *Node) open() error {
	var err error
	if n.socket, err = listen(n.config.Listen); err != nil {
		return err
	}
	n.onStop(n.socket.Close)
	if n.config.Metrics.Address != "" {
		if n.http, err = net.Listen("tcp", n.config.Metrics.Address); err != nil {
			return fmt.Errorf("metrics.address: %w", err)
		}
		n.onStop(n.http.Close)
	}
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
// come later, and not for the reports folder, whose index is built meanwhile.
func (n *Node) Start() {
	n.bundles.load()
	n.tasks.Go(func() { watch.Run(n.ctx, n.config.Policies, n.log, n.bundles.load) })
	for _, folder := range n.folders {
		n.tasks.Go(func() { watch.Run(n.ctx, folder.path, n.log, func() { n.refresh(folder) }) })
	}
	n.tasks.Go(func() { n.warm(func(scanner.Image) bool { return true }) })
	n.tasks.Go(n.snapshotNowAndThen)
	n.connect()
	n.onStop(func() error { n.cancel(); n.tasks.Wait(); return nil })

	go n.serve("socket", func() error { return n.path.Serve(n.socket) })
	if n.http != nil {
		server := n.httpServer()
		n.onStop(server.Close)
		go n.serve("metrics", func() error { return server.Serve(n.http) })
	}
	n.log.WithFields(logrus.Fields{"listen": n.config.Listen, "runtime": n.config.Runtime}).Info("portcullisd serves")
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
	if n.http == nil {
		return nil
	}
	return n.http.Addr()
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

// drain lets calls under way end before the data path is closed.
func (n *Node) drain() error {
	ctx, cancel := context.WithTimeout(context.Background(), n.config.Timeouts.Drain)
	defer cancel()
	n.path.Stop(ctx)
	return nil
}
