// Package centralapp answers: how do the parts make one central?
//
// It reads the configuration, builds the parts, connects them, and takes them down in the reverse
// order. All wiring is in New; what is served where is in mount.go.
package centralapp

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
	"golang.org/x/sys/unix"

	"portcullis/central/access"
	"portcullis/central/audit"
	"portcullis/central/events"
	"portcullis/central/images"
	"portcullis/central/nodes"
	"portcullis/central/notifications"
	"portcullis/central/pki"
	"portcullis/central/policies"
	"portcullis/central/store"
)

// App is one running portcullis-central.
type App struct {
	config  Config
	version string
	log     *logrus.Logger
	metrics *metrics
	now     func() time.Time
	ctx     context.Context // of everything that goes on in the background, streams included
	cancel  context.CancelFunc
	tasks   sync.WaitGroup

	store *store.Store
	pki   *pki.PKI
	guard *access.Guard

	policies *policies.Service
	audit    *audit.Service
	sessions *access.Sessions
	users    *access.Users
	nodes    *nodes.Service
	sync     *nodes.Sync
	images   *images.Service
	oidc     *access.OIDC // nil where it is not configured

	events        *events.Service
	notifications *notifications.Service

	listener  net.Listener
	http      net.Listener // nil when no metrics are served
	failed    chan error
	teardowns []func() error // in the order in which things were built
}

// Options is what an app needs beyond its configuration.
type Options struct {
	Version string
	Log     *logrus.Logger
	Now     func() time.Time // default time.Now
	// FirstPassword is told the one-time password of the first admin.
	FirstPassword func(user, password string)
}

// New builds central from a validated configuration and opens its addresses, but answers nobody yet. On
// an error nothing is left behind. It waits for the database, but not longer than ctx, which means nothing afterwards.
func New(ctx context.Context, config Config, options Options) (*App, error) {
	if options.Now == nil {
		options.Now = time.Now
	}
	a := &App{
		config: config, version: options.Version, log: options.Log, metrics: newMetrics(options.Version), now: options.Now,
		failed: make(chan error, 2),
	}
	a.ctx, a.cancel = context.WithCancel(context.Background())
	defer context.AfterFunc(ctx, a.cancel)()
	if err := a.build(options); err != nil {
		return nil, errors.Join(err, a.Stop())
	}
	return a, nil
}

func (a *App) build(options Options) error {
	if err := a.open(); err != nil {
		return err
	}
	var err error
	if a.store, err = openStore(a.ctx, a.config, a.log); err != nil {
		return err
	}
	a.onStop(a.store.Close)
	a.metrics.watch(a.store)
	a.buildEvents()
	a.onStop(func() error { a.cancel(); a.tasks.Wait(); return nil }) // the last words go to the store
	password, err := access.FirstAdmin(a.ctx, a.store, a.now())
	if err != nil {
		return err
	}
	if password != "" {
		options.FirstPassword(access.FirstAdminName, password)
	}
	a.pki, err = pki.Open(a.ctx, a.store, pki.Options{
		Names: a.config.Names, Files: pki.Files(a.config.TLS), Data: a.config.Data, Now: a.now, Log: a.log,
	})
	if err != nil {
		return err
	}
	if err := a.buildFleet(); err != nil {
		return err
	}
	a.guard = access.NewGuard(a.store, a.sync, a.pki, access.GuardOptions{Idle: a.config.Sessions.Idle, Now: a.now, Log: a.log})
	return a.buildServices()
}

// buildFleet makes what nodes talk to.
func (a *App) buildFleet() error {
	bundles := policies.NewBundles(a.store)
	var err error
	a.images, err = images.New(a.store, bundles, images.Options{Dir: a.config.Data, Now: a.now, Log: a.log})
	if err != nil {
		return err
	}
	options := nodes.Options{URL: a.config.url(), Now: a.now, Log: a.log}
	a.sync = nodes.NewSync(a.store, a.pki, bundles, a.images, a.events, options)
	a.nodes = nodes.NewService(a.store, a.sync, a.pki, options)
	return nil
}

// buildServices makes what mountServices mounts.
func (a *App) buildServices() error {
	a.policies = policies.NewService(a.store, policies.Options{
		Hits: policyHits{a.events}, Images: presentImages{a.images}, Now: a.now,
		Starts: []policies.Starts{allowedStarts{a.store, a.now}, blockedStarts{a.events}},
	})
	a.audit = audit.NewService(a.store, audit.Options{Retention: a.config.Audit.Retention, Now: a.now, Log: a.log})
	a.users = access.NewUsers(a.store, a.now)
	options := access.SessionOptions{
		Idle: a.config.Sessions.Idle, Lifetime: a.config.Sessions.Lifetime, Version: a.version, Now: a.now, Log: a.log,
	}
	if a.config.OIDC != nil {
		options.OIDCName = a.config.OIDC.Name
	}
	var err error
	if a.sessions, err = access.NewSessions(a.ctx, a.store, options); err != nil || a.config.OIDC == nil {
		return err
	}
	a.oidc, err = a.config.newOIDC(a.sessions)
	return err
}

// buildEvents makes what counts events and tells of them.
func (a *App) buildEvents() {
	a.events = events.New(a.store, events.Options{
		Nodes: eventNodes{a.store, a.now}, Retention: a.config.Events.Retention, Now: a.now, Log: a.log, Metrics: a.metrics.registry,
	})
	a.notifications = notifications.New(a.store, notifications.Options{
		AllowLocal: a.config.Notifications.AllowLocal, Now: a.now, Log: a.log, Metrics: a.metrics.registry,
	})
	a.onStop(func() error { a.events.Close(); return nil })
}

// openStore opens the database. At a machine's start that may be up a little later than we are.
func openStore(ctx context.Context, config Config, log logrus.FieldLogger) (*store.Store, error) {
	ctx, cancel := context.WithTimeout(ctx, databaseWait)
	defer cancel()
	again := time.NewTicker(time.Second)
	defer again.Stop()
	for {
		s, err := store.Open(ctx, store.Options{URL: config.Database, Log: log})
		if err == nil || !errors.Is(err, store.ErrUnavailable) {
			return s, err
		}
		log.WithError(err).Warn("waiting for the database")
		select {
		case <-ctx.Done():
			return nil, err
		case <-again.C:
		}
	}
}

// databaseWait is how long a start waits for the database.
const databaseWait = time.Minute

// open takes what only one process can have: the data folder and the addresses.
func (a *App) open() error {
	if err := os.MkdirAll(a.config.Data, 0o700); err != nil {
		return err
	}
	if err := a.lock(); err != nil {
		return err
	}
	var err error
	if a.listener, err = net.Listen("tcp", a.config.Listen); err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	a.onStop(a.listener.Close)
	if a.config.Metrics.Address != "" {
		if a.http, err = net.Listen("tcp", a.config.Metrics.Address); err != nil {
			return fmt.Errorf("metrics.address: %w", err)
		}
		a.onStop(a.http.Close)
	}
	return nil
}

// lock keeps a second central from the data folder: each would not hear of the other's changes.
func (a *App) lock() error {
	file, err := os.OpenFile(filepath.Join(a.config.Data, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	if err := unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return errors.Join(fmt.Errorf("data folder %s is in use by another portcullis-central: %w", a.config.Data, err), file.Close())
	}
	a.onStop(file.Close)
	return nil
}

// Start begins to answer.
func (a *App) Start() {
	a.tasks.Go(func() { a.sync.Run(a.ctx) })
	a.tasks.Go(func() { a.images.Run(a.ctx) })
	server := a.newServer()
	a.onStop(func() error { return a.drain(server) })
	a.tasks.Go(func() { a.events.Run(a.ctx) })
	a.tasks.Go(func() { a.audit.Run(a.ctx) })
	a.tasks.Go(func() { a.notifications.Run(a.ctx) })
	go a.serve("listen", func() error { return server.ServeTLS(patient{a.listener, writePatience}, "", "") })
	if a.http != nil {
		metrics := a.metricsServer()
		a.onStop(metrics.Close)
		go a.serve("metrics", func() error { return metrics.Serve(a.http) })
	}
	a.log.WithFields(logrus.Fields{"listen": a.listener.Addr().String(), "authority": a.pki.Fingerprint()}).Info("portcullis-central serves")
}

func (a *App) serve(what string, serve func() error) {
	err := serve()
	if err != nil && !errors.Is(err, http.ErrServerClosed) && !errors.Is(err, net.ErrClosed) {
		a.failed <- fmt.Errorf("%s: %w", what, err)
	}
}

// drain ends streams, which would go on for ever, and lets other calls under way end.
func (a *App) drain(server *http.Server) error {
	a.cancel()
	ctx, cancel := context.WithTimeout(context.Background(), a.config.Timeouts.Drain)
	defer cancel()
	if err := server.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	a.log.Warn("calls that took too long to end were cut off")
	return server.Close()
}

// Failed gives the error of a listener that broke while central was running.
func (a *App) Failed() <-chan error { return a.failed }

// Addr is the address that central is reached at.
func (a *App) Addr() net.Addr { return a.listener.Addr() }

// MetricsAddr is the address that metrics are served on, nil when they are not.
func (a *App) MetricsAddr() net.Addr {
	if a.http == nil {
		return nil
	}
	return a.http.Addr()
}

// Stop ends everything that New and Start began, the last first.
func (a *App) Stop() error {
	var failures []error
	for i := len(a.teardowns) - 1; i >= 0; i-- {
		if err := a.teardowns[i](); err != nil && !errors.Is(err, net.ErrClosed) {
			failures = append(failures, err)
		}
	}
	a.teardowns = nil
	return errors.Join(failures...)
}

func (a *App) onStop(teardown func() error) { a.teardowns = append(a.teardowns, teardown) }
