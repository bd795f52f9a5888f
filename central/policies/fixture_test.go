package policies_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"connectrpc.com/connect"
	"github.com/sirupsen/logrus"
	"github.com/stretchr/testify/require"

	portcullisv1 "portcullis/api/portcullis/v1"
	api "portcullis/api/portcullis/v1/portcullisv1connect"
	"portcullis/central/access"
	"portcullis/central/audit"
	"portcullis/central/centraltest"
	"portcullis/central/policies"
	"portcullis/central/rpc"
	"portcullis/central/store"
	"portcullis/central/store/storetest"
	"portcullis/policy"
	"portcullis/scanner-client/verdict"
)

func TestMain(m *testing.M) { storetest.Main(m) }

var (
	ctx  = context.Background()
	noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
)

// world is what the service knows of nodes and events.
type world struct {
	*centraltest.Clock

	mu      sync.Mutex
	hits    map[string]policies.Hits
	since   time.Time // that hits were asked for
	present []policies.PresentImage
	known   map[string]policies.PresentImage
	starts  []policies.Start
	each    func() // called before each image and start
}

func (w *world) PolicyHits(_ context.Context, _ []string, since time.Time) (map[string]policies.Hits, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.since = since
	return w.hits, nil
}

func (w *world) EachPresentImage(_ context.Context, each func(*policies.PresentImage) error) error {
	for i := range w.present {
		w.each()
		if err := each(&w.present[i]); err != nil {
			return fmt.Errorf("images: %w", err)
		}
	}
	return nil
}

func (w *world) KnownImage(_ context.Context, id string) (policy.Image, *verdict.Verdict, error) {
	return w.known[id].Image, w.known[id].Verdict, nil
}

func (w *world) EachStart(_ context.Context, since time.Time, each func(*policies.Start) error) error {
	for i := range w.starts {
		w.each()
		if w.starts[i].Last.Before(since) {
			continue
		}
		if err := each(&w.starts[i]); err != nil {
			return fmt.Errorf("starts: %w", err)
		}
	}
	return nil
}

// fixture is the service behind a real server, called by ann.
type fixture struct {
	api.PolicyServiceClient
	t     *testing.T
	store *store.Store
	world *world
}

// run runs test on both databases.
func run(t *testing.T, test func(t *testing.T, f *fixture)) {
	t.Helper()
	storetest.Run(t, func(t *testing.T, s *store.Store) { test(t, newFixture(t, s)) })
}

// once runs test on SQLite, where the database makes no difference.
func once(t *testing.T) *fixture { return newFixture(t, storetest.Open(t, storetest.SQLite(t))) }

func newFixture(t *testing.T, s *store.Store) *fixture {
	t.Helper()
	log := logrus.New()
	log.SetOutput(t.Output())
	w := &world{Clock: centraltest.NewClock(noon), known: map[string]policies.PresentImage{}, each: func() {}}
	service := policies.NewService(s, policies.Options{Hits: w, Images: w, Starts: []policies.Starts{w}, Now: w.Now})
	mux := http.NewServeMux()
	mux.Handle(api.NewPolicyServiceHandler(service, connect.WithReadMaxBytes(16<<20), connect.WithInterceptors(rpc.Errors(log), ann(w))))
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return &fixture{api.NewPolicyServiceClient(server.Client(), server.URL), t, s, w}
}

// ann is who calls.
func ann(w *world) connect.UnaryInterceptorFunc {
	return func(next connect.UnaryFunc) connect.UnaryFunc {
		return func(ctx context.Context, r connect.AnyRequest) (connect.AnyResponse, error) {
			p := access.Principal{Kind: access.User, Name: "ann", Role: access.Editor, Address: "192.0.2.1"}
			method := r.Spec().Procedure[strings.LastIndexByte(r.Spec().Procedure, '/')+1:]
			return next(audit.With(access.With(ctx, p), audit.Actor{Name: p.Actor(), Address: p.Address, Method: method, Time: w.Now()}), r)
		}
	}
}

func (f *fixture) create(document string) *portcullisv1.Policy {
	f.t.Helper()
	created, err := f.CreatePolicy(ctx, &portcullisv1.CreatePolicyRequest{Document: document})
	require.NoError(f.t, err)
	return created.GetPolicy()
}

func (f *fixture) except(document string) {
	f.t.Helper()
	_, err := f.CreateExemption(ctx, &portcullisv1.CreateExemptionRequest{Document: document})
	require.NoError(f.t, err)
}

func (f *fixture) get(name string) *portcullisv1.Policy {
	f.t.Helper()
	got, err := f.GetPolicy(ctx, &portcullisv1.GetPolicyRequest{Name: name})
	require.NoError(f.t, err)
	return got.GetPolicy()
}

// enable switches the policy p.
func (f *fixture) enable(enabled bool) *portcullisv1.Policy {
	f.t.Helper()
	set, err := f.SetPolicyEnabled(ctx, &portcullisv1.SetPolicyEnabledRequest{Name: "p", Enabled: enabled})
	require.NoError(f.t, err)
	return set.GetPolicy()
}

func (f *fixture) apply(documents string, prune bool) []string {
	f.t.Helper()
	applied, err := f.ApplyDocuments(ctx, &portcullisv1.ApplyDocumentsRequest{Documents: documents, Prune: prune})
	require.NoError(f.t, err)
	return changes(applied)
}

func changes(applied *portcullisv1.ApplyDocumentsResponse) (list []string) {
	for _, a := range applied.GetApplied() {
		list = append(list, a.GetKind()+" "+a.GetName()+" "+strings.TrimPrefix(a.GetChange().String(), "CHANGE_"))
	}
	return list
}

func (f *fixture) export() string {
	f.t.Helper()
	exported, err := f.ExportDocuments(ctx, &portcullisv1.ExportDocumentsRequest{})
	require.NoError(f.t, err)
	return exported.GetDocuments()
}

// bundle is the newest, which always compiles; its number is 0 before there is one.
func (f *fixture) bundle() (bundle *portcullisv1.Bundle, docs *policy.Documents) {
	f.t.Helper()
	bundle, err := policies.NewBundles(f.store).NewestBundle(ctx)
	if err != nil {
		require.ErrorIs(f.t, err, store.ErrNotFound)
		return &portcullisv1.Bundle{}, &policy.Documents{}
	}
	if bundle.GetDocuments() == "" {
		return bundle, &policy.Documents{}
	}
	docs, err = policy.Parse(policy.Source{Name: "bundle", Data: []byte(bundle.GetDocuments())})
	require.NoError(f.t, err)
	_, err = policy.Compile(docs, policy.Options{})
	require.NoError(f.t, err)
	return bundle, docs
}

func (f *fixture) number() int64 {
	f.t.Helper()
	bundle, _ := f.bundle()
	return bundle.GetNumber()
}

// problems are those of an INVALID_ARGUMENT, as FIELD:LINE: MESSAGE.
func problems(t *testing.T, err error) (list []string) {
	t.Helper()
	centraltest.Code(t, err, connect.CodeInvalidArgument)
	var told *connect.Error
	require.ErrorAs(t, err, &told)
	for _, detail := range told.Details() {
		value, err := detail.Value()
		require.NoError(t, err)
		for _, p := range value.(*portcullisv1.FieldProblems).GetProblems() {
			list = append(list, fmt.Sprintf("%s:%d: %s", p.GetField(), p.GetLine(), p.GetMessage()))
		}
	}
	require.NotEmpty(t, list)
	return list
}

func risky(name string, rest ...string) string {
	more := "  effect: {mode: Immediate}\n  enabled: true\n"
	if len(rest) > 0 {
		more = ""
	}
	for _, line := range rest {
		more += "  " + line + "\n"
	}
	return fmt.Sprintf("apiVersion: portcullis/v1\nkind: ImagePolicy\nmetadata: {name: %q}\nspec:\n  template: RiskyImage\n  risk: {vulnerabilities: {severities: [Critical]}}\n  scope: {images: {all: true}}\n%s", name, more)
}

func observing(name string, days int) string {
	return risky(name, "enabled: true", fmt.Sprintf("effect: {mode: Observe, days: %d}", days))
}

func privileged(name string) string {
	return fmt.Sprintf("apiVersion: portcullis/v1\nkind: ImagePolicy\nmetadata: {name: %q}\nspec: {template: PrivilegedStart, enabled: true, effect: {mode: Immediate}, scope: {images: {all: true}}}\n", name)
}

func exemption(name, rest string) string {
	return fmt.Sprintf("apiVersion: portcullis/v1\nkind: Exemption\nmetadata: {name: %q}\nspec: {reason: accepted, author: bob, expires: 2026-12-01T00:00:00Z, %s}\n", name, rest)
}
