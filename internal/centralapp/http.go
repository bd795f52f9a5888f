package centralapp

import (
	"context"
	"fmt"
	"io"
	stdlog "log"
	"net/http"
	"runtime/debug"
	"strings"
	"time"

	"connectrpc.com/connect"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/sirupsen/logrus"
)

// newServer serves the one port. Its limits are against callers who are slow on purpose; how long a
// body may take is the guard's to bound, because uploads may take longer than calls.
func (a *App) newServer() *http.Server {
	return &http.Server{
		Handler:           a.handler(),
		TLSConfig:         newEntrance().guard(a.pki.TLSConfig()),
		ReadHeaderTimeout: 30 * time.Second, // for handshakes, too: after a start, of all nodes at once,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    32 << 10,
		HTTP2: &http.HTTP2Config{
			MaxConcurrentStreams: 100,
			// The table of headers would be kept for each of thousands of connections that say little: none fits. Callers
			// may fill theirs before they hear of a limit, so there is none; nodes keep it empty.
			MaxEncoderHeaderTableSize: 1,
			SendPingTimeout:           30 * time.Second, // finds nodes that vanished
			PingTimeout:               15 * time.Second,
			WriteByteTimeout:          30 * time.Second,
		},
		ErrorLog: stdlog.New(serverLog{a.log}, "", 0),
	}
}

// serverLog takes what net/http says about connections that failed, which any stranger can make it say.
type serverLog struct{ log logrus.FieldLogger }

func (l serverLog) Write(line []byte) (int, error) {
	l.log.WithField("server", strings.TrimSpace(string(line))).Debug("connection")
	return len(line), nil
}

// secured tells browsers what they must not do with our answers, and refuses what another site makes
// them send.
func secured(next http.HandlerFunc) http.Handler {
	return http.NewCrossOriginProtection().Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		header := w.Header()
		header.Set("X-Content-Type-Options", "nosniff")
		header.Set("X-Frame-Options", "DENY")
		header.Set("Referrer-Policy", "no-referrer")
		header.Set("Cross-Origin-Opener-Policy", "same-origin")
		header.Set("Cross-Origin-Resource-Policy", "same-origin")
		header.Set("Cache-Control", "no-store") // the console says otherwise of its files
		next(w, r)
	}))
}

// healthz says that central lives. It asks nothing else: to start it again would not bring a database
// back.
func (a *App) healthz(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok\n") }

const readyTimeout = 5 * time.Second

// readyz says that central can do its work.
func (a *App) readyz(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), readyTimeout)
	defer cancel()
	if err := a.store.Ping(ctx); err != nil {
		a.log.WithError(err).Warn("database")
		http.Error(w, "the database does not answer", http.StatusServiceUnavailable)
		return
	}
	if a.store.Full() { // reading goes on, so nothing is gained where nobody is sent here any more
		_, _ = io.WriteString(w, "ok, but there is no space left for the database, and nothing can be changed\n")
		return
	}
	_, _ = io.WriteString(w, "ok\n")
}

// metricsServer serves /metrics, on an address of its own: what they tell is not for everyone who can
// reach the API.
func (a *App) metricsServer() *http.Server {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(a.metrics.registry, promhttp.HandlerOpts{}))
	return &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second, MaxHeaderBytes: 32 << 10, IdleTimeout: 2 * time.Minute}
}

// recovered makes a handler's panic an error of that call.
func (a *App) recovered(_ context.Context, spec connect.Spec, _ http.Header, what any) error {
	a.log.WithFields(logrus.Fields{"method": spec.Procedure, "panic": what, "stack": string(debug.Stack())}).Error("handler panicked")
	return fmt.Errorf("panic: %v", what)
}

// endStreams ends every stream when ctx does, and tells the caller to come back.
type endStreams struct{ ctx context.Context }

func (endStreams) WrapUnary(next connect.UnaryFunc) connect.UnaryFunc { return next }

func (endStreams) WrapStreamingClient(next connect.StreamingClientFunc) connect.StreamingClientFunc {
	return next
}

func (e endStreams) WrapStreamingHandler(next connect.StreamingHandlerFunc) connect.StreamingHandlerFunc {
	return func(ctx context.Context, stream connect.StreamingHandlerConn) error {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		defer context.AfterFunc(e.ctx, cancel)()
		err := next(ctx, stream)
		if e.ctx.Err() != nil {
			return connect.NewError(connect.CodeUnavailable, fmt.Errorf("central is stopping; connect again"))
		}
		return err
	}
}
