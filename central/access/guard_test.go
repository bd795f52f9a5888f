package access_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"connectrpc.com/connect"
	"github.com/sirupsen/logrus"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	portcullisv1 "portcullis/api/portcullis/v1"
	api "portcullis/api/portcullis/v1/portcullisv1connect"
	"portcullis/central/access"
	"portcullis/central/centraltest"
)

func TestAHandlerBesideTheGuardAnswersNobody(t *testing.T) {
	mux := http.NewServeMux()
	mux.Handle(api.NewUserServiceHandler(api.UnimplementedUserServiceHandler{}, connect.WithInterceptors(access.Interceptor())))
	server := httptest.NewServer(mux)
	defer server.Close()
	_, err := api.NewUserServiceClient(server.Client(), server.URL).ListUsers(ctx, &portcullisv1.ListUsersRequest{})
	centraltest.Code(t, err, connect.CodePermissionDenied)
	require.ErrorContains(t, err, "is not guarded")
}

// impatient guards with a short time for bodies and for looking again at who streams.
func impatient(f *fixture, next http.Handler) *httptest.Server {
	log := logrus.New()
	log.SetOutput(f.t.Output())
	guard := access.NewGuard(f.store, f.nodes, f.pki, access.GuardOptions{
		Idle: idle, BodyTimeout: 50 * time.Millisecond, LookAgain: 20 * time.Millisecond, Now: f.clock.Now, Log: log,
	})
	server := httptest.NewTLSServer(guard.Bodies(guard.HTTP(access.ByViewer(), next)))
	f.t.Cleanup(server.Close)
	return server
}

func TestACallerWhoSendsSlowlyOnPurposeIsCutOff(t *testing.T) {
	f := newFixture(t)
	secret := f.as("ann", access.Viewer).cookie(sessionCookie)
	failed := make(chan error, 1)
	server := impatient(f, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, err := io.ReadAll(r.Body)
		failed <- err
	}))
	body, never := io.Pipe()
	defer never.Close()
	request, err := http.NewRequest(http.MethodPost, server.URL, body)
	require.NoError(t, err)
	request.Header.Set("Authorization", "Bearer "+secret)
	go func() {
		response, err := server.Client().Do(request)
		if err == nil {
			response.Body.Close()
		}
	}()
	require.ErrorContains(t, <-failed, "timeout")
}

// TestACallerWhoNeverSendsTheBodyKeepsNoConnection is about HTTP/1.1, where the server reads what is left of a body
// before it answers.
func TestACallerWhoNeverSendsTheBodyKeepsNoConnection(t *testing.T) {
	f := newFixture(t)
	secret := f.as("ann", access.Viewer).cookie(sessionCookie)
	server := impatient(f, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { _, _ = io.ReadAll(r.Body) }))
	for who, authorization := range map[string]string{"who is let in": "Authorization: Bearer " + secret + "\r\n", "who is refused": ""} {
		t.Run(who, func(t *testing.T) {
			connection, err := tls.Dial("tcp", server.Listener.Addr().String(), server.Client().Transport.(*http.Transport).TLSClientConfig)
			require.NoError(t, err)
			defer connection.Close()
			_, err = io.WriteString(connection, "POST / HTTP/1.1\r\nHost: central\r\n"+authorization+"Content-Length: 1000\r\n\r\nbegin")
			require.NoError(t, err)
			require.NoError(t, connection.SetReadDeadline(time.Now().Add(time.Minute)))
			_, err = io.ReadAll(connection)
			require.NoError(t, err, "central closes the connection")
		})
	}
}

// stream sends a line every now and then until the caller's context ends.
func stream(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodPost {
		_, _ = io.ReadAll(r.Body)
	}
	again := time.NewTicker(10 * time.Millisecond)
	defer again.Stop()
	for {
		select {
		case <-r.Context().Done():
			return
		case <-again.C:
			_, _ = fmt.Fprintln(w, "still here")
			_ = http.NewResponseController(w).Flush()
		}
	}
}

func TestAStreamOutlivesTheTimeForItsRequestAndEndsWithItsCallersRights(t *testing.T) {
	f := newFixture(t)
	admin, ann := f.as("admin", access.Admin), f.as("ann", access.Viewer)
	server := impatient(f, http.HandlerFunc(stream))
	requestContext, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	request, err := http.NewRequestWithContext(requestContext, http.MethodPost, server.URL, nil)
	require.NoError(t, err)
	request.Header.Set("Authorization", "Bearer "+ann.cookie(sessionCookie))
	response, err := server.Client().Do(request)
	require.NoError(t, err)
	defer response.Body.Close()
	lines := bufio.NewScanner(response.Body)
	for began := time.Now(); time.Since(began) < 200*time.Millisecond; {
		require.True(t, lines.Scan(), "the stream goes on")
	}
	require.NoError(t, admin.update(&portcullisv1.UpdateUserRequest{Name: "ann", Disabled: proto.Bool(true)}))
	for lines.Scan() { // what was sent before
	}
	require.NoError(t, requestContext.Err(), "central ended it, not the test")
}

func TestACallWithoutABodyOutlivesTheTimeForBodies(t *testing.T) {
	f := newFixture(t)
	secret := f.as("ann", access.Viewer).cookie(sessionCookie)
	server := impatient(f, http.HandlerFunc(stream))
	request, err := http.NewRequest(http.MethodGet, server.URL, nil)
	require.NoError(t, err)
	request.Header.Set("Authorization", "Bearer "+secret)
	response, err := server.Client().Do(request)
	require.NoError(t, err)
	defer response.Body.Close()
	require.Equal(t, "HTTP/1.1", response.Proto)
	lines := bufio.NewScanner(response.Body)
	for began := time.Now(); time.Since(began) < 200*time.Millisecond; {
		require.True(t, lines.Scan(), "the answer goes on")
	}
}
