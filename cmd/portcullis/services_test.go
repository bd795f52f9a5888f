package main

import (
	"context"
	"encoding/pem"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/rogpeppe/go-internal/testscript"
	"github.com/sirupsen/logrus"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/types/known/timestamppb"

	portcullisv1 "portcullis/api/portcullis/v1"
	api "portcullis/api/portcullis/v1/portcullisv1connect"
	"portcullis/central/access"
	"portcullis/central/events"
	"portcullis/central/pki"
	"portcullis/central/policies"
	"portcullis/central/rpc"
	"portcullis/central/store"
	"portcullis/policy"
	"portcullis/scanner-client/verdict"
)

// TestScriptsAgainstKnownContent is for what needs nodes that run containers: nodes, images and what they
// did are made up; policies, events and access are central's own.
func TestScriptsAgainstKnownContent(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata/services", RequireExplicitExec: true, RequireUniqueNames: true, WorkdirRoot: t.TempDir(), UpdateScripts: os.Getenv("UPDATE_SCRIPTS") != "",
		Setup: func(env *testscript.Env) error {
			k, err := newKnown(t, env.WorkDir)
			if err == nil {
				env.Vars = append(env.Vars, k.environment...)
			}
			return err
		},
		Cmds: commands,
	})
}

// known is a central of known content.
type known struct {
	environment []string // that logs in as admin
	events      *events.Service
}

func newKnown(t *testing.T, folder string) (*known, error) {
	ctx := context.Background()
	log := logrus.New()
	log.SetOutput(t.Output())
	s, err := store.Open(ctx, store.Options{URL: "sqlite:" + filepath.Join(folder, "central.db"), Log: log})
	if err != nil {
		return nil, err
	}
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	password, err := access.FirstAdmin(ctx, s, time.Now())
	if err != nil {
		return nil, err
	}
	k := &known{events: events.New(s, events.Options{Nodes: fleet{}, Now: time.Now, Log: log, Metrics: prometheus.NewRegistry()})}
	t.Cleanup(k.events.Close)
	if _, err := k.events.Ingest(ctx, "n1", decisions(time.Now())); err != nil {
		return nil, err
	}
	server, err := k.serve(ctx, t, folder, s, log)
	if err != nil {
		return nil, err
	}
	authority := filepath.Join(folder, "server.crt")
	certificate := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	if err := os.WriteFile(authority, certificate, 0o600); err != nil {
		return nil, err
	}
	token, err := firstLogin(ctx, server, password)
	k.environment = []string{"PORTCULLIS_ADDRESS=" + server.URL, "PORTCULLIS_CA=" + authority, "PORTCULLIS_TOKEN=" + token, "HOME=" + folder}
	return k, err
}

// firstLogin returns a session's token.
func firstLogin(ctx context.Context, server *httptest.Server, password string) (string, error) {
	client := api.NewSessionServiceClient(server.Client(), server.URL)
	login, err := client.Login(ctx, &portcullisv1.LoginRequest{Name: "admin", Password: password, Token: true})
	if err != nil {
		return "", err
	}
	change := connect.NewRequest(&portcullisv1.ChangePasswordRequest{OldPassword: password, NewPassword: "correct horse battery"})
	change.Header().Set("Authorization", "Bearer "+login.GetToken())
	_, err = connect.NewClient[portcullisv1.ChangePasswordRequest, portcullisv1.ChangePasswordResponse](
		server.Client(), server.URL+api.SessionServiceChangePasswordProcedure).CallUnary(ctx, change)
	return login.GetToken(), err
}

func (k *known) serve(ctx context.Context, t *testing.T, folder string, s *store.Store, log *logrus.Logger) (*httptest.Server, error) {
	authority, err := pki.Open(ctx, s, pki.Options{Data: folder, Now: time.Now, Log: log})
	if err != nil {
		return nil, err
	}
	sessions, err := access.NewSessions(ctx, s, access.SessionOptions{Idle: time.Hour, Lifetime: time.Hour, Version: "test", Now: time.Now, Log: log})
	if err != nil {
		return nil, err
	}
	mux, options := http.NewServeMux(), connect.WithInterceptors(rpc.Errors(log), access.Interceptor())
	mux.Handle(api.NewSessionServiceHandler(sessions, options))
	mux.Handle(api.NewPolicyServiceHandler(policies.NewService(s, policies.Options{Hits: fleet{}, Images: fleet{}, Now: time.Now}), options))
	mux.Handle(api.NewEventServiceHandler(k.events, options))
	mux.Handle(api.NewNodeServiceHandler(fleet{}, options))
	mux.Handle(api.NewImageServiceHandler(fleet{}, options))
	guard := access.NewGuard(s, fleet{}, authority, access.GuardOptions{Idle: time.Hour, Now: time.Now, Log: log})
	server := httptest.NewUnstartedServer(guard.RPC(mux))
	server.EnableHTTP2 = true
	server.StartTLS()
	t.Cleanup(server.Close)
	return server, nil
}

// fleet is the made-up nodes and images.
type fleet struct {
	api.UnimplementedNodeServiceHandler
	api.UnimplementedImageServiceHandler
}

func (fleet) IsMember(context.Context, string) (bool, error) { return true, nil }

func (fleet) EventNode(_ context.Context, id string) (store.EventNode, error) {
	return store.EventNode{ID: id, Name: "worker-1", Cluster: "north"}, nil
}

func (fleet) PolicyHits(context.Context, []string, time.Time) (map[string]policies.Hits, error) {
	return map[string]policies.Hits{"no privileges": {Blocked: 7, Alerted: 1}}, nil
}

var (
	cartID  = "sha256:" + strings.Repeat("ca", 32)
	otherID = "sha256:" + strings.Repeat("0b", 32)
)

func (fleet) EachPresentImage(_ context.Context, each func(*policies.PresentImage) error) error {
	return each(&policies.PresentImage{
		Image: policy.Image{ID: cartID, Tags: []string{"registry.example.com/shop/cart:1"}},
		Verdict: &verdict.Verdict{ImageID: cartID, Scanned: verdict.Kinds(), Vulnerabilities: []verdict.Vulnerability{
			{ID: "CVE-2021-44228", Severity: verdict.Critical, Package: "log4j-core", Version: "2.14.1", Type: "maven"},
		}},
		Nodes: []policies.Node{{Name: "worker-1"}},
	})
}

func (fleet) KnownImage(context.Context, string) (policy.Image, *verdict.Verdict, error) {
	return policy.Image{}, nil, nil
}

// decisions are one block and one alert of one policy.
func decisions(now time.Time) *portcullisv1.UploadDecisionsRequest {
	return &portcullisv1.UploadDecisionsRequest{Spool: "s", Through: 8, Decisions: []*portcullisv1.FoldedDecision{
		decision("cart-0", portcullisv1.Action_ACTION_BLOCK, 7, now.Add(-3*time.Hour-time.Minute)),
		decision("cart-1", portcullisv1.Action_ACTION_ALERT, 1, now.Add(-30*time.Hour)),
	}}
}

func decision(pod string, action portcullisv1.Action, count int64, t time.Time) *portcullisv1.FoldedDecision {
	at := timestamppb.New(t)
	return &portcullisv1.FoldedDecision{Event: &portcullisv1.Event{
		Action: action, Policy: "no privileges", Template: "PrivilegedStart", Reason: "policy", Because: "asks for SYS_ADMIN",
		Message: "blocked by policy", Operation: "CreateContainer", Image: "registry.example.com/shop/cart:1", ImageId: cartID,
		Namespace: "shop", Pod: pod, PodUid: pod, Container: "app", FirstTime: at, LastTime: at, Count: count,
		Asks: []*portcullisv1.Ask{{Parameter: "SYS_ADMIN"}},
	}}
}

func (fleet) ListNodes(_ context.Context, r *portcullisv1.ListNodesRequest) (*portcullisv1.ListNodesResponse, error) {
	now := time.Now()
	all := []*portcullisv1.Node{
		{
			Id: "01a2099a-0000-7000-8000-000000000001", Name: "worker-1", Cluster: "north", State: portcullisv1.NodeState_NODE_STATE_IN_FORCE,
			Bundle: 7, NewestBundle: 7, Addresses: []string{"192.0.2.1"}, Version: "1.2.0", RuntimeVersion: "containerd 2.4.2", KernelVersion: "6.1.0",
			ImageCount: 12, JoinTime: ago(now, 80*time.Hour), LastContactTime: ago(now, 30*time.Minute),
		},
		{
			Id: "01a2099a-0000-7000-8000-000000000002", Name: "worker-\x1b[31m2\u202e", State: portcullisv1.NodeState_NODE_STATE_REJECTED,
			Bundle: 6, NewestBundle: 7, Rejection: "spec.\x07: no", JoinTime: ago(now, 80*time.Hour), LastContactTime: ago(now, 50*time.Hour),
		},
	}
	response := &portcullisv1.ListNodesResponse{Total: int64(len(all))}
	// Two pages, so that who reads the first only is found out.
	if r.GetPageToken() == "" {
		response.Nodes, response.NextPageToken = all[:1], "second"
	} else {
		response.Nodes = all[1:]
	}
	return response, nil
}

func ago(now time.Time, d time.Duration) *timestamppb.Timestamp {
	return timestamppb.New(now.Add(-d - 30*time.Second))
}

func (fleet) RemoveNode(_ context.Context, r *portcullisv1.RemoveNodeRequest) (*portcullisv1.RemoveNodeResponse, error) {
	if r.GetId() != "01a2099a-0000-7000-8000-000000000001" {
		return nil, connect.NewError(connect.CodeNotFound, errors.New("no such node"))
	}
	return &portcullisv1.RemoveNodeResponse{}, nil
}

func (fleet) CreateJoinToken(_ context.Context, r *portcullisv1.CreateJoinTokenRequest) (*portcullisv1.CreateJoinTokenResponse, error) {
	return &portcullisv1.CreateJoinTokenResponse{
		Token:  &portcullisv1.JoinToken{Id: "1", UsesLeft: r.GetUses(), ExpireTime: timestamppb.New(time.Now().Add(r.GetTtl().AsDuration() + time.Minute))},
		Secret: "pcj_1.x.y", Command: "portcullisd join --central https://central.example.com:8443 --token-file FILE",
	}, nil
}

func (fleet) ListImages(context.Context, *portcullisv1.ListImagesRequest) (*portcullisv1.ListImagesResponse, error) {
	return &portcullisv1.ListImagesResponse{Total: 2, Images: []*portcullisv1.Image{
		{
			Id: cartID, Tags: []string{"registry.example.com/shop/cart:1"}, ScanState: portcullisv1.ScanState_SCAN_STATE_SCANNED, Scanned: []string{"vulnerabilities"},
			WorstSeverity: "Critical", Vulnerabilities: 1, NodeCount: 5, Nodes: []string{"a", "b", "c", "d"}, ScanTime: ago(time.Now(), 50*time.Hour), Scanner: "trivy",
		},
		{Id: otherID, ScanState: portcullisv1.ScanState_SCAN_STATE_UNSCANNED},
	}}, nil
}
