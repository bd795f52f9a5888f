package node

import (
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// httpServer serves what monitoring asks: /metrics, /healthz (the daemon lives) and /readyz (it can
// do its work). Nothing on it changes anything or tells what images hold.
func (n *Node) httpServer() *http.Server {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(n.metrics.registry, promhttp.HandlerOpts{}))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		missing := n.missing()
		if len(missing) == 0 {
			fmt.Fprintln(w, "ok")
			n.sayTrouble(w)
			return
		}
		w.WriteHeader(http.StatusServiceUnavailable)
		for _, what := range missing {
			fmt.Fprintln(w, what)
		}
	})
	return &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second, MaxHeaderBytes: 1 << 16}
}

// sayTrouble says what keeps nobody from being judged, but needs somebody's attention.
func (n *Node) sayTrouble(w io.Writer) {
	if n.spool != nil && n.spool.Stats().Trouble {
		fmt.Fprintln(w, "but the spool cannot be written: decisions are held in memory")
	}
}

// missing lists what keeps this node from judging containers.
func (n *Node) missing() []string {
	var missing []string
	if !n.path.Connected() {
		missing = append(missing, "not connected to the container runtime")
	}
	if n.bundles.Current() == nil {
		missing = append(missing, "no policies in force")
	}
	return missing
}
