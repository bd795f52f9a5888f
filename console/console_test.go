package console

import (
	"bytes"
	"compress/gzip"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"
)

func pages(t *testing.T) fstest.MapFS {
	t.Helper()
	var zipped bytes.Buffer
	w := gzip.NewWriter(&zipped)
	_, err := w.Write([]byte("plain"))
	require.NoError(t, err)
	require.NoError(t, w.Close())
	files := fstest.MapFS{}
	for _, name := range []string{"index.html", "assets/main-abc.js", "icon.svg"} {
		files[name+".br"] = &fstest.MapFile{Data: []byte("br of " + name)}
		files[name+".gz"] = &fstest.MapFile{Data: zipped.Bytes()}
	}
	return files
}

func get(t *testing.T, h http.Handler, path, accept string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequest(http.MethodGet, path, nil)
	r.Header.Set("Accept-Encoding", accept)
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func TestAPageOfTheRouterIsNotFoundAfterReload(t *testing.T) {
	h := newHandler(pages(t))
	for _, path := range []string{"/", "/policies", "/policies/no.dots.please/edit", "/images/sha256:00"} {
		w := get(t, h, path, "gzip, deflate, br")
		require.Equal(t, http.StatusOK, w.Code, path)
		require.Equal(t, "br of index.html", w.Body.String())
		require.Equal(t, "no-store", w.Header().Get("Cache-Control"), "a new version would not be seen")
		require.Equal(t, "text/html; charset=utf-8", w.Header().Get("Content-Type"))
	}
}

func TestAMissingFileIsAnsweredWithThePage(t *testing.T) {
	h := newHandler(pages(t))
	for _, path := range []string{"/assets/old-123.js", "/assets/main-abc.js.br", "/api/v1/reports", "/assets/../../console.go"} {
		w := get(t, h, path, "br")
		if strings.Contains(path, "..") {
			require.Equal(t, "br of index.html", w.Body.String(), "a cleaned path is a page's")
			continue
		}
		require.Equal(t, http.StatusNotFound, w.Code, path)
	}
}

func TestABrowserGetsAnEncodingItDoesNotTake(t *testing.T) {
	h := newHandler(pages(t))
	for accept, encoding := range map[string]string{
		"br, gzip": "br", "gzip": "gzip", "br;q=0, gzip;q=0.5": "gzip", "": "", "identity": "",
	} {
		w := get(t, h, "/assets/main-abc.js", accept)
		require.Equal(t, encoding, w.Header().Get("Content-Encoding"), accept)
		require.Equal(t, "Accept-Encoding", w.Header().Get("Vary"))
		require.Contains(t, w.Header().Get("Cache-Control"), "immutable")
		if encoding == "" {
			require.Equal(t, "plain", w.Body.String())
		}
	}
}

func TestScriptsMayStandInThePage(t *testing.T) {
	for _, h := range []http.Handler{newHandler(pages(t)), newHandler(fstest.MapFS{})} {
		scripts, _, _ := strings.Cut(strings.SplitAfter(get(t, h, "/", "br").Header().Get("Content-Security-Policy"), "script-src ")[1], ";")
		require.Equal(t, "'self'", scripts)
	}
}

func TestABuildWithoutPagesSaysNothing(t *testing.T) {
	w := get(t, newHandler(fstest.MapFS{".gitignore": {}}), "/", "br")
	require.Equal(t, http.StatusOK, w.Code)
	require.Contains(t, w.Body.String(), "make console")
	require.Equal(t, http.StatusNotFound, get(t, newHandler(fstest.MapFS{}), "/policies", "br").Code)
}

func TestAFormPostedToAPageIsTaken(t *testing.T) {
	w := httptest.NewRecorder()
	newHandler(pages(t)).ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/", nil))
	require.Equal(t, http.StatusMethodNotAllowed, w.Code)
}
