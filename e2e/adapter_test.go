package e2e

import (
	"context"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	runtime "k8s.io/cri-api/pkg/apis/runtime/v1"

	"portcullis/e2e/lab"
)

func TestOneScanHoweverManyContainersWait(t *testing.T) {
	scanner := newAdapter(t)
	onEachRuntimeWith(t, noCriticals, scanner.options(patience), func(n *node) {
		const containers = 100
		id, repository := n.unseen("new")
		finish := scanner.hang(repository)
		pod := n.pod(lab.Pod{Name: "shop"})
		before := n.metric(cacheMisses)
		answers := make(chan error)
		for i := range containers {
			go func() {
				_, err := n.cri.Create(n.ctx, pod, lab.Container{Name: fmt.Sprint("web-", i), Image: id})
				answers <- err
			}()
		}
		require.Eventually(n.t, func() bool { return n.metric(cacheMisses) == before+containers }, patience, 20*time.Millisecond)

		finish()

		for range containers {
			require.Contains(n.t, n.refused(<-answers), foundByAdapter)
		}
		require.Equal(n.t, 1, scanner.scans(repository))
	})
}

func TestLookupBeginsWithThePull(t *testing.T) {
	scanner := newAdapter(t)
	onEachRuntimeWith(t, noCriticals, scanner.options(patience), func(n *node) {
		pod := n.pod(lab.Pod{Name: "shop"})
		for call, see := range map[string]func(*runtime.ImageSpec) error{
			"pull": func(image *runtime.ImageSpec) error {
				_, err := n.cri.Images.PullImage(n.ctx, &runtime.PullImageRequest{Image: image})
				return err
			},
			"status": func(image *runtime.ImageSpec) error {
				if _, err := n.direct.Pull(n.ctx, image.GetImage()); err != nil {
					return err
				}
				_, err := n.cri.Images.ImageStatus(n.ctx, &runtime.ImageStatusRequest{Image: image})
				return err
			},
		} {
			repository := n.Node + "/" + call
			reference, err := world.push(repository+":v1", n.Node+" "+call, "print", "hello")
			require.NoError(n.t, err)
			require.Zero(n.t, scanner.scans(repository))

			require.NoError(n.t, see(&runtime.ImageSpec{Image: reference}))

			require.Eventually(n.t, func() bool { return scanner.isReported(repository) }, patience, 5*time.Millisecond, call)
			require.Zero(n.t, n.containers(pod))
			_, err = n.cri.Create(n.ctx, pod, lab.Container{Name: call, Image: n.held(reference).GetId()})
			require.Contains(n.t, n.refused(err), foundByAdapter)
			require.Equal(n.t, 1, scanner.scans(repository), call)
		}
	})
}

func TestScannerThatHangsCostsTheBudgetAndNoMore(t *testing.T) {
	const budget = 500 * time.Millisecond
	for answer, code := range map[string]codes.Code{"Alert": codes.OK, "Block": codes.PermissionDenied} {
		t.Run(answer, func(t *testing.T) {
			scanner := newAdapter(t)
			options := scanner.options(budget)
			options.SourceFailed = answer
			onEachRuntimeWith(t, noCriticals, options, func(n *node) {
				id, repository := n.unseen("slow")
				finish := scanner.hang(repository)
				pod := n.pod(lab.Pod{Name: "shop"})

				began := time.Now()
				_, err := n.cri.Create(n.ctx, pod, lab.Container{Name: "early", Image: id})

				took := time.Since(began)
				require.Equal(n.t, code, status.Code(err), "%v", err)
				require.GreaterOrEqual(n.t, took, budget)
				require.Less(n.t, took, budget+sourceTimeout/2, "it waited for the scanner")

				finish()
				n.eventually(pod, lab.Container{Name: "late", Image: id}, codes.PermissionDenied)
				_, err = n.cri.Create(n.ctx, pod, lab.Container{Name: "late", Image: id})
				require.Contains(n.t, n.refused(err), foundByAdapter)
				require.Equal(n.t, 1, scanner.scans(repository), "the scan went on")
				said := n.events("PORTCULLIS_REASON=source-failed", "PORTCULLIS_IMAGE_ID="+id, "PORTCULLIS_CONTAINER=early")
				require.Len(n.t, said, 1)
				require.Equal(n.t, strings.ToLower(answer), said[0]["PORTCULLIS_ACTION"])
			})
		})
	}
}

func TestScannerThatFailsShowsNothingCleanAndMayComeBack(t *testing.T) {
	scanner := newAdapter(t)
	options := scanner.options(patience)
	options.SourceFailed = "Block"
	onEachRuntimeWith(t, noCriticals, options, func(n *node) {
		pod := n.pod(lab.Pod{Name: "shop"})
		failures := map[string]misbehaviour{
			"unreachable": {scan: hangUp},
			"locked":      {scan: answerWith(http.StatusUnauthorized)},
			"overloaded":  {scan: answerWith(http.StatusInternalServerError)},
			"crashed":     {report: answerWith(http.StatusInternalServerError)},
			"cut-off":     {report: halfABody},
			"elsewhere":   {report: anotherImage},
		}
		for failure, misbehaviour := range failures {
			id, repository := n.unseen(failure)
			container := lab.Container{Name: failure, Image: id}
			scanner.misbehave(repository, misbehaviour)

			_, err := n.cri.Create(n.ctx, pod, container)
			text := n.refused(err)
			require.Contains(n.t, text, notHad, failure)
			require.NotContains(n.t, text, foundByAdapter, failure)

			scanner.misbehave(repository, asItShould)
			n.answers(pod, container, foundByAdapter)
		}
		require.Len(n.t, n.events("PORTCULLIS_REASON=source-failed", "PORTCULLIS_ACTION=block", "PORTCULLIS_COUNT=1"), len(failures), "repeats are summed up")
		require.NotContains(n.t, n.Log(), adapterToken)
	})
}

func TestScannerThatFailsIsAskedOnceForOneContainer(t *testing.T) {
	scanner := newAdapter(t)
	options := scanner.options(patience)
	options.SourceFailed = "Block"
	onEachRuntimeWith(t, noCriticals, options, func(n *node) {
		id, repository := n.unseen("once")
		pod := n.pod(lab.Pod{Name: "shop"})
		scanner.misbehave(repository, misbehaviour{scan: answerWith(http.StatusInternalServerError)})

		began := time.Now()
		_, err := n.cri.Images.ImageStatus(n.ctx, &runtime.ImageStatusRequest{Image: &runtime.ImageSpec{Image: id}})
		require.NoError(n.t, err)
		_, err = n.cri.Create(n.ctx, pod, lab.Container{Name: "web", Image: id})
		require.Contains(n.t, n.refused(err), notHad)
		_, err = n.cri.Create(n.ctx, pod, lab.Container{Name: "sidecar", Image: id})
		require.Contains(n.t, n.refused(err), notHad)

		require.LessOrEqual(n.t, scanner.scans(repository), 1+int(time.Since(began)/rememberedFailure))
	})
}

func TestScannerThatIsGoneIsLeftAlone(t *testing.T) {
	scanner := newAdapter(t)
	scanner.Close()
	options := scanner.options(patience)
	options.SourceFailed = "Block"
	onEachRuntimeWith(t, noCriticals, options, func(n *node) {
		id, _ := n.unseen("unknown")
		pod := n.pod(lab.Pod{Name: "shop"})
		container := lab.Container{Name: "web", Image: id}

		require.Eventually(n.t, func() bool {
			_, err := n.cri.Create(n.ctx, pod, container)
			require.Contains(n.t, n.refused(err), notHad)
			return n.metric(`portcullis_verdict_source_resting{source="scanner"}`) == 1
		}, patience, 20*time.Millisecond)

		n.scanned(id)
		n.answers(pod, container, "")
	})
}

func TestScannerIsNotAskedWhatAReportTells(t *testing.T) {
	scanner := newAdapter(t)
	onEachRuntimeWith(t, noCriticals, scanner.options(patience), func(n *node) {
		id, repository := n.unseen("reported")
		n.scannedRisky(id)

		_, err := n.cri.Create(n.ctx, n.pod(lab.Pod{Name: "shop"}), lab.Container{Name: "web", Image: id})

		require.Contains(n.t, n.refused(err), "CVE-2021-44228")
		require.Zero(n.t, scanner.scans(repository))
	})
}

func TestScannerThatIsNotReadyIsAskedAgain(t *testing.T) {
	scanner := newAdapter(t)
	onEachRuntimeWith(t, noCriticals, scanner.options(patience), func(n *node) {
		pod := n.pod(lab.Pod{Name: "shop"})
		for reason, notReady := range map[string]http.HandlerFunc{
			"unknown-at-first": answerWith(http.StatusNotFound),
			"still-scanning":   refreshLater,
		} {
			id, repository := n.unseen(reason)
			scanner.misbehave(repository, misbehaviour{report: scanner.first(notReady)})

			_, err := n.cri.Create(n.ctx, pod, lab.Container{Name: reason, Image: id})

			require.Contains(n.t, n.refused(err), foundByAdapter, reason)
			require.Equal(n.t, 1, scanner.scans(repository), reason)
		}
	})
}

// unseen makes an image as n.image does, but the runtime pulls it past the daemon.
func (n *node) unseen(image string) (id, repository string) {
	n.t.Helper()
	repository = n.Node + "/" + image
	reference, err := world.push(repository+":v1", n.Node+" "+image, "print", "hello")
	require.NoError(n.t, err)
	id, err = n.direct.Pull(n.ctx, reference)
	require.NoError(n.t, err)
	return id, repository
}

// held is an image as the runtime names it.
func (n *node) held(reference string) *runtime.Image {
	n.t.Helper()
	response, err := n.direct.Images.ImageStatus(n.ctx, &runtime.ImageStatusRequest{Image: &runtime.ImageSpec{Image: reference}})
	require.NoError(n.t, err)
	require.NotNil(n.t, response.GetImage())
	return response.GetImage()
}

const (
	cacheMisses = "portcullis_verdict_cache_misses_total"
	// sourceTimeout is how long the daemon waits for a source that is not configured otherwise.
	sourceTimeout = 10 * time.Second
	// rememberedFailure is how long the daemon does not ask again after a lookup that failed.
	rememberedFailure = 2 * time.Second
	// notHad stands in the refusal of an image that a source which failed may know of.
	notHad = "the scan result for vulnerabilities could not be had"
	// foundByAdapter is what the adapter finds in every image.
	foundByAdapter = "CVE-2024-3094"
	adapterToken   = "token-of-the-lab"
)

// adapter is a scanner behind Harbor's pluggable API, which finds foundByAdapter in every image and
// misbehaves as told. At its start a daemon asks about all images of its runtime, those of other tests
// too; so everything is told and counted by repository.
type adapter struct {
	*httptest.Server
	token, authority string // files for its clients

	mu       sync.Mutex
	told     map[string]misbehaviour
	scanned  map[string]int
	accepted map[string]scanRequest // by ID of the scan
	reported map[string]bool
}

type scanRequest struct {
	Registry struct{ URL string }
	Artifact struct{ Repository, Digest string }
}

// misbehaviour answers in place of the adapter.
type misbehaviour struct {
	scan, report http.HandlerFunc
}

var asItShould misbehaviour

func newAdapter(t *testing.T) *adapter {
	a := &adapter{
		token: filepath.Join(t.TempDir(), "token"), authority: filepath.Join(t.TempDir(), "ca.pem"),
		told: map[string]misbehaviour{}, scanned: map[string]int{}, accepted: map[string]scanRequest{}, reported: map[string]bool{},
	}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /api/v1/scan", a.scan)
	mux.HandleFunc("GET /api/v1/scan/{id}/report", a.report)
	mux.HandleFunc("/", func(_ http.ResponseWriter, r *http.Request) { t.Errorf("the adapter is asked for %s", r.URL) })
	a.Server = httptest.NewTLSServer(withToken(mux))
	t.Cleanup(a.Close)
	require.NoError(t, os.WriteFile(a.token, []byte(adapterToken+"\n"), 0o600))
	certificate := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.Certificate().Raw})
	require.NoError(t, os.WriteFile(a.authority, certificate, 0o600))
	return a
}

func withToken(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer "+adapterToken {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// options are those of a daemon that asks the adapter, and lets a container wait for the decision.
func (a *adapter) options(decision time.Duration) lab.PortcullisdOptions {
	return lab.PortcullisdOptions{
		Decision: decision,
		Sources:  fmt.Sprintf("- {name: scanner, adapter: {url: %q, tokenFile: %s, caFile: %s}}", a.URL, a.token, a.authority),
	}
}

func (a *adapter) misbehave(repository string, how misbehaviour) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.told[repository] = how
}

// hang makes the adapter give no report about a repository until finish is called.
func (a *adapter) hang(repository string) (finish func()) {
	hanging := make(chan struct{})
	a.misbehave(repository, misbehaviour{report: func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-hanging:
			a.found(w, r)
		case <-r.Context().Done():
		}
	}})
	return sync.OnceFunc(func() { close(hanging) })
}

// scans is how many scans of a repository were asked for.
func (a *adapter) scans(repository string) int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.scanned[repository]
}

// isReported says whether a report about a repository was given.
func (a *adapter) isReported(repository string) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.reported[repository]
}

func (a *adapter) scan(w http.ResponseWriter, r *http.Request) {
	var asked scanRequest
	if err := json.NewDecoder(r.Body).Decode(&asked); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	a.mu.Lock()
	a.scanned[asked.Artifact.Repository]++
	id := fmt.Sprint("scan-", len(a.accepted))
	a.accepted[id] = asked
	how := a.told[asked.Artifact.Repository]
	a.mu.Unlock()
	if how.scan != nil {
		how.scan(w, r)
		return
	}
	if err := asked.pull(r.Context()); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	w.WriteHeader(http.StatusAccepted)
	_ = json.NewEncoder(w).Encode(map[string]string{"id": id})
}

// pull looks for the image where a scanner would, by plain HTTP as everything in the lab.
func (s scanRequest) pull(ctx context.Context) error {
	host, _ := strings.CutPrefix(s.Registry.URL, "https://")
	image, err := name.NewDigest(host + "/" + s.Artifact.Repository + "@" + s.Artifact.Digest)
	if err != nil {
		return err
	}
	_, err = remote.Head(image, remote.WithContext(ctx))
	return err
}

func (a *adapter) report(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	report := a.told[a.accepted[r.PathValue("id")].Artifact.Repository].report
	a.mu.Unlock()
	if report == nil {
		report = a.found
	}
	report(w, r)
}

// found reports on the image that was to be scanned.
func (a *adapter) found(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	image := a.accepted[r.PathValue("id")].Artifact
	a.reported[image.Repository] = true
	a.mu.Unlock()
	writeScan(w, image.Digest)
}

func writeScan(w io.Writer, digest string) {
	_ = json.NewEncoder(w).Encode(object{
		"generated_at": time.Now(), "scanner": object{"name": "lab"}, "artifact": object{"digest": digest},
		"vulnerabilities": []object{{"id": foundByAdapter, "package": "xz-utils", "version": "5.6.1-1", "fix_version": "5.6.1+really5.4.5-1", "severity": "Critical"}},
	})
}

// first makes the adapter answer in this way one time, and then report.
func (a *adapter) first(instead http.HandlerFunc) http.HandlerFunc {
	var asked atomic.Bool
	return func(w http.ResponseWriter, r *http.Request) {
		if asked.CompareAndSwap(false, true) {
			instead(w, r)
			return
		}
		a.found(w, r)
	}
}

func answerWith(code int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) }
}

// hangUp ends the connection, as a proxy before a scanner that is gone does.
func hangUp(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }

// halfABody looks like the report of a clean image up to where it ends.
func halfABody(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Length", "1000")
	_, _ = io.WriteString(w, `{"generated_at": "2026-11-02T10:20:30Z", "scanner": {"name": "lab"}, "vulnerabilities": []`)
}

func anotherImage(w http.ResponseWriter, _ *http.Request) {
	writeScan(w, "sha256:"+strings.Repeat("0", 64))
}

func refreshLater(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Location", "/elsewhere")
	w.Header().Set("Refresh-After", "1")
	w.WriteHeader(http.StatusFound)
}
