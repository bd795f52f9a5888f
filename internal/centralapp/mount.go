package centralapp

import (
	"net/http"
	"strings"

	"connectrpc.com/connect"

	api "portcullis/api/portcullis/v1/portcullisv1connect"
	"portcullis/central/access"
	"portcullis/central/rpc"
	"portcullis/console"
)

// maxMessage bounds one request; a report comes otherwise.
const maxMessage = 16 << 20

// mountServices says which services central offers. A new one adds its line.
func (a *App) mountServices(mux *http.ServeMux, options ...connect.HandlerOption) {
	mux.Handle(api.NewAuditServiceHandler(a.audit, options...))
	mux.Handle(api.NewSessionServiceHandler(a.sessions, options...))
	mux.Handle(api.NewUserServiceHandler(a.users, options...))
}

// mountPages says what central offers besides services.
func (a *App) mountPages(mux *http.ServeMux) {
	mux.HandleFunc("GET /healthz", a.healthz)
	mux.HandleFunc("GET /readyz", a.readyz)
	if a.oidc != nil {
		mux.HandleFunc("GET "+access.OIDCLoginPath, a.oidc.Login)
		mux.HandleFunc("GET "+access.OIDCCallbackPath, a.oidc.Callback)
	}
	mux.Handle("/", console.Handler())
}

// handler is everything that is served on the one port.
func (a *App) handler() http.Handler {
	services, pages := http.NewServeMux(), http.NewServeMux()
	a.mountPages(pages)
	a.mountServices(services,
		connect.WithReadMaxBytes(maxMessage),
		connect.WithRecover(a.recovered),
		// The first is the outermost.
		connect.WithInterceptors(rpc.Errors(a.log), a.metrics, endStreams{a.ctx}, access.Interceptor()),
	)
	guarded := a.guard.RPC(services)
	return secured(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/portcullis.v1.") {
			guarded.ServeHTTP(w, r)
			return
		}
		pages.ServeHTTP(w, r)
	})
}
