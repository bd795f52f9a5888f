package adapter_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"portcullis/scanner-client/scannertest"
	"portcullis/scanner-client/verdict"
)

// stub is an adapter that can be told to misbehave. Its handlers run until the test ends.
type stub struct {
	*httptest.Server

	mu       sync.Mutex
	known    map[string]*verdict.Verdict // by repository digest
	broken   map[string]bool
	scans    map[string]string // repository digest by scan ID
	requests []request
	headers  []http.Header // of every call
	// report, when it is not nil, may answer a poll itself; asked counts from 1 for each scan.
	report func(w http.ResponseWriter, asked int) bool
	asked  map[string]int
	// accept, when it is not nil, may answer a scan request itself.
	accept func(w http.ResponseWriter) bool
}

type request struct {
	Registry struct{ URL, Authorization string }
	Artifact struct {
		Repository, Digest string
		MIMEType           string `json:"mime_type"`
	}
}

func newStub(t *testing.T) *stub {
	t.Helper()
	s := &stub{known: map[string]*verdict.Verdict{}, broken: map[string]bool{}, scans: map[string]string{}, asked: map[string]int{}}
	s.Server = httptest.NewServer(s.handler())
	t.Cleanup(s.Close)
	return s
}

func (s *stub) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /api/v1/scan", s.scan)
	mux.HandleFunc("GET /api/v1/scan/{id}/report", s.poll)
	return mux
}

func (s *stub) scan(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.headers = append(s.headers, r.Header.Clone())
	if s.accept != nil && s.accept(w) {
		return
	}
	var asked request
	if err := json.NewDecoder(r.Body).Decode(&asked); err != nil {
		fail(w, http.StatusBadRequest, err.Error())
		return
	}
	s.requests = append(s.requests, asked)
	id := fmt.Sprint("scan/", len(s.requests)) // the slash must survive
	s.scans[id] = asked.Artifact.Digest
	w.Header().Set("Content-Type", "application/vnd.scanner.adapter.scan.response+json; version=1.0")
	w.WriteHeader(http.StatusAccepted)
	_ = json.NewEncoder(w).Encode(map[string]string{"id": id})
}

func (s *stub) poll(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.headers = append(s.headers, r.Header.Clone())
	id := r.PathValue("id")
	s.asked[id]++
	digest, ok := s.scans[id]
	switch {
	case !ok:
		w.WriteHeader(http.StatusNotFound)
	case s.report != nil && s.report(w, s.asked[id]):
	case s.broken[digest]:
		fail(w, http.StatusInternalServerError, "scanner crashed")
	default:
		s.write(w, digest)
	}
}

func fail(w http.ResponseWriter, code int, message string) {
	w.Header().Set("Content-Type", "application/vnd.scanner.adapter.error; version=1.0")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(map[string]any{"error": map[string]string{"message": message}})
}

func (s *stub) write(w io.Writer, digest string) {
	v := s.known[digest]
	if v == nil {
		v = &verdict.Verdict{ScannedAt: time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)}
	}
	found := []map[string]any{}
	for _, f := range v.Vulnerabilities {
		found = append(found, map[string]any{"id": f.ID, "package": f.Package, "version": f.Version, "fix_version": f.FixedVersion, "severity": f.Severity.String()})
	}
	_ = json.NewEncoder(w).Encode(map[string]any{
		"generated_at": v.ScannedAt, "artifact": map[string]string{"digest": digest}, "scanner": map[string]string{"name": "Stub", "version": "1"}, "vulnerabilities": found,
	})
}

// digestOf is the digest under which the image with this ID can be pulled.
func digestOf(imageID string) string {
	for n := range 100 {
		if image := scannertest.Image(n); image.ID == imageID {
			return image.Digests[0][len(image.Digests[0])-len(image.ID):]
		}
	}
	panic("not one of scannertest's images")
}

func (s *stub) put(v *verdict.Verdict) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.known[digestOf(v.ImageID)] = v
	delete(s.broken, digestOf(v.ImageID))
}

func (s *stub) breakDown(imageID string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.broken[digestOf(imageID)] = true
}

// scansOf is how many scans were asked for.
func (s *stub) scansAsked() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.requests)
}
