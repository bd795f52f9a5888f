package centralapp

import (
	"compress/gzip"
	"io"
	"net/http"
	"slices"
	"strings"

	"connectrpc.com/connect"

	api "portcullis/api/portcullis/v1/portcullisv1connect"
	"portcullis/central/access"
	"portcullis/central/events"
	"portcullis/central/images"
	"portcullis/central/rpc"
	"portcullis/console"
)

const (
	// maxMessage bounds one request; a report comes otherwise.
	maxMessage = 16 << 20
	// maxSmall bounds one of the services that strangers may call, or that need no more.
	maxSmall = 64 << 10
)

// limited bounds messages, in bytes.
func limited(most int) connect.HandlerOption {
	return connect.WithHandlerOptions(
		connect.WithReadMaxBytes(most),
		connect.WithCompression("gzip", rpc.Unpacker(most), func() connect.Compressor { return gzip.NewWriter(io.Discard) }),
	)
}

// mountServices says which services central offers. A new one adds its line.
func (a *App) mountServices(mux *http.ServeMux, options ...connect.HandlerOption) {
	nodes := options // which are known to say odd things, and need not be kept from saying the rest
	options = append(slices.Clip(options), connect.WithInterceptors(rpc.Text()))
	small := append(slices.Clip(options), limited(maxSmall))
	mux.Handle(api.NewAuditServiceHandler(a.audit, small...))
	mux.Handle(api.NewPolicyServiceHandler(a.policies, options...))
	mux.Handle(api.NewEventServiceHandler(a.events, small...))
	mux.Handle(api.NewNotificationServiceHandler(a.notifications, small...))
	mux.Handle(api.NewSessionServiceHandler(a.sessions, small...))
	mux.Handle(api.NewUserServiceHandler(a.users, small...))
	mux.Handle(api.NewNodeServiceHandler(a.nodes, small...))
	mux.Handle(api.NewImageServiceHandler(a.images, small...))
	path, sync := api.NewSyncServiceHandler(a.sync, append(slices.Clip(nodes), a.sync.Compression(maxMessage))...)
	mux.Handle(path, a.sync.InTurn(sync))
	_, join := api.NewSyncServiceHandler(a.sync, small...)
	mux.Handle(api.SyncServiceJoinProcedure, join)
	_, stream := api.NewSyncServiceHandler(a.sync, append(slices.Clip(small), a.sync.Compression(maxSmall))...)
	mux.Handle(api.SyncServiceSyncProcedure, stream)
}

// mountPages says what central offers besides services.
func (a *App) mountPages(mux *http.ServeMux) {
	mux.HandleFunc("GET /healthz", a.healthz)
	mux.HandleFunc("GET /readyz", a.readyz)
	mux.Handle("POST "+images.UploadPath, a.guard.HTTP(access.ByEditor(), http.HandlerFunc(a.images.Upload)))
	if a.oidc != nil {
		mux.HandleFunc("GET "+access.OIDCLoginPath, a.oidc.Login)
		mux.HandleFunc("GET "+access.OIDCCallbackPath, a.oidc.Callback)
	}
	mux.Handle("GET "+events.CSVPath, a.guard.HTTP(access.ByViewer(), http.HandlerFunc(a.events.CSV)))
	mux.Handle("/", console.Handler())
}

// handler is everything that is served on the one port.
func (a *App) handler() http.Handler {
	services, pages := http.NewServeMux(), http.NewServeMux()
	a.mountPages(pages)
	a.mountServices(services,
		limited(maxMessage),
		connect.WithRecover(a.recovered),
		// The first is the outermost.
		connect.WithInterceptors(rpc.Errors(a.log), a.metrics, endStreams{a.ctx}, access.Interceptor()),
	)
	guarded := a.guard.RPC(services)
	return a.guard.Bodies(secured(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/portcullis.v1.") {
			guarded.ServeHTTP(w, r)
			return
		}
		pages.ServeHTTP(w, r)
	}))
}
