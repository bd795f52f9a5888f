// Package console answers: what does a browser see at central?
package console

import (
	"bytes"
	"compress/gzip"
	"embed"
	"io"
	"io/fs"
	"mime"
	"net/http"
	"path"
	"strings"
)

// Built pages, where make console has built them; otherwise the folder has nothing but its .gitignore.
//
//go:embed all:dist
var built embed.FS

//go:embed unbuilt.html
var unbuilt []byte

// contentPolicy lets the console's own files be used, and nothing else. Styles may stand in the page, because Ant
// Design writes them there, in part without a nonce. Scripts may not; and since nothing may be loaded
// from elsewhere, a style that an attacker got into the page has nowhere to send what it sees.
const contentPolicy = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; " +
	"font-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

const (
	// forever is for files whose name is made of their content.
	forever = "public, max-age=31536000, immutable"
	// never is for files that the next version may change. Besides, a page that is not kept does not come back
	// after a logout.
	never = "no-store"
)

// Handler serves the console. In a build without its pages it says how to build them.
func Handler() http.Handler {
	pages, err := fs.Sub(built, "dist")
	if err != nil {
		panic(err) // the name is a constant
	}
	return newHandler(pages)
}

// newHandler serves what make console built: every file as .br and .gz only.
func newHandler(pages fs.FS) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			http.Error(w, "only GET is answered here", http.StatusMethodNotAllowed)
			return
		}
		w.Header().Set("Content-Security-Policy", contentPolicy)
		if _, err := fs.Stat(pages, "index.html.br"); err != nil {
			serveUnbuilt(w, r)
			return
		}
		name := strings.TrimPrefix(path.Clean(r.URL.Path), "/")
		if isPage(name) {
			name = "index.html"
		}
		serve(w, r, pages, name)
	})
}

func serveUnbuilt(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path != "/" {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_, _ = w.Write(unbuilt) // the browser is gone
}

// isPage tells a path that the console's own router shows, such as /policies/x, from a file. The last part
// of a page's path is often a name with dots, so only where files are decides.
func isPage(name string) bool {
	return name == "" || name != "icon.svg" && !strings.HasPrefix(name, "assets/") && !strings.HasPrefix(name, "api/")
}

func serve(w http.ResponseWriter, r *http.Request, pages fs.FS, name string) {
	encoding, suffix := negotiate(r.Header.Get("Accept-Encoding"))
	content, err := fs.ReadFile(pages, name+suffix)
	if err != nil {
		http.NotFound(w, r)
		return
	}
	header := w.Header()
	header.Set("Content-Type", mime.TypeByExtension(path.Ext(name)))
	header.Set("Cache-Control", never)
	if strings.HasPrefix(name, "assets/") {
		header.Set("Cache-Control", forever)
	}
	header.Add("Vary", "Accept-Encoding")
	if encoding != "" {
		header.Set("Content-Encoding", encoding)
	} else if content, err = gunzip(content); err != nil {
		http.Error(w, "this build of the console is damaged", http.StatusInternalServerError)
		return
	}
	_, _ = w.Write(content) //nolint:gosec // content is a file of the build; an error is the browser's going
}

// negotiate picks how a file is sent. A browser that takes neither gets the gzip unpacked.
func negotiate(accept string) (encoding, suffix string) {
	takes := map[string]bool{}
	for part := range strings.SplitSeq(accept, ",") {
		name, parameter, _ := strings.Cut(part, ";")
		weight := strings.ReplaceAll(parameter, " ", "")
		takes[strings.ToLower(strings.TrimSpace(name))] = weight != "q=0" && !strings.HasPrefix(weight, "q=0.000")
	}
	switch {
	case takes["br"]:
		return "br", ".br"
	case takes["gzip"]:
		return "gzip", ".gz"
	default:
		return "", ".gz"
	}
}

func gunzip(content []byte) ([]byte, error) {
	reader, err := gzip.NewReader(bytes.NewReader(content))
	if err != nil {
		return nil, err
	}
	return io.ReadAll(reader) // of our own build
}
