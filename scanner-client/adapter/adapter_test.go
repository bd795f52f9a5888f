package adapter_test

import (
	"context"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	scanner "portcullis/scanner-client"
	"portcullis/scanner-client/adapter"
	"portcullis/scanner-client/formats"
	"portcullis/scanner-client/scannertest"
	"portcullis/scanner-client/verdict"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// newClient makes a client on a node like those that the scanner scans for, and that does not wait long.
func newClient(t *testing.T, options adapter.Options) *adapter.Client {
	t.Helper()
	options.NodePlatform = "linux/amd64"
	options.Poll = time.Millisecond
	client, err := adapter.New(options)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, client.Close()) })
	return client
}

// onlyKnown is the client, made to know nothing of images that the stub was not told about: a real
// scanner scans whatever it is asked to.
type onlyKnown struct {
	*adapter.Client
	stub *stub
}

func (o onlyKnown) Verdict(ctx context.Context, image scanner.Image) (*verdict.Verdict, error) {
	o.stub.mu.Lock()
	known := o.stub.known[digestOf(image.ID)] != nil
	o.stub.mu.Unlock()
	if !known {
		image.Digests = nil
	}
	return o.Client.Verdict(ctx, image)
}

func TestAnAdapterIsASource(t *testing.T) {
	scannertest.Run(t, func(t *testing.T) *scannertest.Subject {
		s := newStub(t)
		return &scannertest.Subject{
			Source: onlyKnown{newClient(t, adapter.Options{URL: s.URL}), s},
			Put:    func(_ *testing.T, v *verdict.Verdict) { s.put(v) },
			Break:  func(_ *testing.T, id string) { s.breakDown(id) },
		}
	})
}

func TestTheScanIsAskedForAsTheSpecificationSays(t *testing.T) {
	s := newStub(t)
	client := newClient(t, adapter.Options{URL: s.URL + "/", Registries: map[string]adapter.Registry{
		"registry.example.com": {URL: "http://registry.internal:5000", Authorization: "Basic cm9ib3Q6c2VjcmV0"},
	}})
	image := scannertest.Image(1)
	image.Digests = append(image.Digests, "elsewhere.example.com/a@"+scannertest.ImageID(9), "no-host@"+scannertest.ImageID(9))
	_, err := client.Verdict(t.Context(), image)
	require.NoError(t, err)
	require.Len(t, s.requests, 1)
	require.Equal(t, "http://registry.internal:5000", s.requests[0].Registry.URL)
	require.Equal(t, "Basic cm9ib3Q6c2VjcmV0", s.requests[0].Registry.Authorization)
	require.Equal(t, "shop/app-1", s.requests[0].Artifact.Repository)
	require.Equal(t, digestOf(image.ID), s.requests[0].Artifact.Digest)
	require.NotEmpty(t, s.requests[0].Artifact.MIMEType)
	require.Equal(t, "application/vnd.scanner.adapter.scan.request+json; version=1.0", s.headers[0].Get("Content-Type"))
	require.Equal(t, "application/vnd.security.vulnerability.report; version=1.1", s.headers[1].Get("Accept"))
	require.Empty(t, s.headers[0].Get("Authorization"))
}

func TestAnImageThatNobodyCanPullIsUnscanned(t *testing.T) {
	s := newStub(t)
	imported := scanner.Image{ID: scannertest.ImageID(1), Tags: []string{"docker.io/library/local:1"}}
	_, err := newClient(t, adapter.Options{URL: s.URL}).Verdict(t.Context(), imported)
	require.ErrorIs(t, err, scanner.ErrUnscanned)
	elsewhere := adapter.Options{URL: s.URL, Registries: map[string]adapter.Registry{"elsewhere.example.com": {}}}
	_, err = newClient(t, elsewhere).Verdict(t.Context(), scannertest.Image(1))
	require.ErrorIs(t, err, scanner.ErrUnscanned)
	require.Zero(t, s.scansAsked())
}

func TestDockerHubIsAskedWhereItsRegistryIs(t *testing.T) {
	s := newStub(t)
	image := scanner.Image{ID: scannertest.ImageID(1), Digests: []string{"docker.io/library/nginx@" + digestOf(scannertest.ImageID(1))}}
	_, err := newClient(t, adapter.Options{URL: s.URL}).Verdict(t.Context(), image)
	require.NoError(t, err)
	require.Equal(t, "https://index.docker.io", s.requests[0].Registry.URL)
	require.Equal(t, "library/nginx", s.requests[0].Artifact.Repository)
}

func TestWhoWeAreIsSaidOnEveryCall(t *testing.T) {
	for want, auth := range map[string]adapter.Auth{
		"Basic dTpw":   {Username: "u", Password: "p"},
		"Bearer token": {Token: "token"},
	} {
		s := newStub(t)
		_, err := newClient(t, adapter.Options{URL: s.URL, Auth: auth}).Verdict(t.Context(), scannertest.Image(1))
		require.NoError(t, err)
		require.Len(t, s.headers, 2)
		for _, header := range s.headers {
			require.Equal(t, want, header.Get("Authorization"))
		}
	}
}

func TestAReportThatIsNotReadyIsAskedForAgain(t *testing.T) {
	for name, report := range map[string]func(w http.ResponseWriter, asked int) bool{
		"302": func(w http.ResponseWriter, asked int) bool {
			if asked < 4 {
				w.Header().Set("Location", "https://elsewhere.example.com/") // nobody goes there
				w.Header().Set("Refresh-After", "no number")
				w.WriteHeader(http.StatusFound)
			}
			return asked < 4
		},
		"404, then ready": func(w http.ResponseWriter, asked int) bool {
			if asked < 3 {
				w.WriteHeader(http.StatusNotFound)
			}
			return asked < 3
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStub(t)
			s.put(scannertest.Verdict(1, 1, "CVE-2026-0001"))
			s.report = report
			v, err := newClient(t, adapter.Options{URL: s.URL}).Verdict(t.Context(), scannertest.Image(1))
			require.NoError(t, err)
			require.Len(t, v.Vulnerabilities, 1)
			require.Equal(t, 1, s.scansAsked())
		})
	}
}

func TestTheAdapterSaysWhenToAskAgain(t *testing.T) {
	s := newStub(t)
	s.report = func(w http.ResponseWriter, asked int) bool {
		if asked == 1 {
			w.Header().Set("Refresh-After", "1")
			w.WriteHeader(http.StatusFound)
		}
		return asked == 1
	}
	began := time.Now()
	_, err := newClient(t, adapter.Options{URL: s.URL}).Verdict(t.Context(), scannertest.Image(1))
	require.NoError(t, err)
	require.GreaterOrEqual(t, time.Since(began), time.Second)
}

func TestEveryWayToMisbehaveIsAFailureAndNotACleanImage(t *testing.T) {
	answer := func(code int, body string) func(http.ResponseWriter, int) bool {
		return func(w http.ResponseWriter, _ int) bool {
			w.WriteHeader(code)
			_, _ = w.Write([]byte(body))
			return true
		}
	}
	for name, c := range map[string]struct {
		report func(http.ResponseWriter, int) bool
		accept func(http.ResponseWriter) bool
		want   string
	}{
		"500 with words": {report: answer(500, `{"error": {"message": "no space left"}}`), want: `report: 500 Internal Server Error: "no space left"`},
		"500 without":    {report: answer(500, "<html>"), want: "report: 500 Internal Server Error"},
		"401":            {report: answer(401, ""), want: "401 Unauthorized"},
		"204":            {report: answer(204, ""), want: "204 No Content"},
		"half a body": {report: func(w http.ResponseWriter, _ int) bool {
			w.Header().Set("Content-Length", "1000")
			_, _ = w.Write([]byte(`{"vulnerabilities": [{"id": "CVE-2026-0001",`))
			return true
		}, want: "report is truncated"},
		"empty":              {report: answer(200, ""), want: "report is truncated or empty"},
		"no report":          {report: answer(200, `{}`), want: "no list of vulnerabilities"},
		"two reports":        {report: answer(200, `{"vulnerabilities": []}{"vulnerabilities": []}`), want: "more than one JSON value"},
		"wrong type":         {report: answer(200, `{"vulnerabilities": {}}`), want: "vulnerabilities: is an object, not a list"},
		"another image":      {report: answer(200, `{"artifact": {"digest": "sha256:00"}, "vulnerabilities": []}`), want: "about another image"},
		"endless":            {report: answer(200, `{"x": "`+strings.Repeat("x", 2000)+`", "vulnerabilities": []}`), want: formats.ErrTooLarge.Error()},
		"unknown for good":   {report: answer(404, ""), want: "the adapter does not know the scan"},
		"request refused":    {accept: func(w http.ResponseWriter) bool { fail(w, 422, "mime type"); return true }, want: `scan request: 422 Unprocessable Entity: "mime type"`},
		"request unanswered": {accept: func(w http.ResponseWriter) bool { w.WriteHeader(http.StatusAccepted); return true }, want: "scan request: the answer names no scan"},
		"request answered at length": {accept: func(w http.ResponseWriter) bool {
			_, _ = w.Write([]byte(strings.Repeat(" ", 100_000)))
			return true
		}, want: "scan request: answer of more than 65536 bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStub(t)
			s.report, s.accept = c.report, c.accept
			v, err := newClient(t, adapter.Options{URL: s.URL, MaxReport: 1000}).Verdict(t.Context(), scannertest.Image(1))
			require.ErrorContains(t, err, c.want)
			require.NotErrorIs(t, err, scanner.ErrUnscanned)
			require.Nil(t, v)
		})
	}
}

func TestAScanThatTakesLongerIsNotBegunAgain(t *testing.T) {
	s := newStub(t)
	s.put(scannertest.Verdict(1, 1, "CVE-2026-0001"))
	s.report = func(w http.ResponseWriter, _ int) bool { w.WriteHeader(http.StatusFound); return true }
	client := newClient(t, adapter.Options{URL: s.URL})
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err := client.Verdict(ctx, scannertest.Image(1))
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.ErrorIs(t, err, scanner.ErrPending)
	s.mu.Lock()
	s.report = nil
	s.mu.Unlock()
	v, err := client.Verdict(t.Context(), scannertest.Image(1))
	require.NoError(t, err)
	require.Len(t, v.Vulnerabilities, 1)
	require.Equal(t, 1, s.scansAsked())
	_, err = client.Verdict(t.Context(), scannertest.Image(1))
	require.NoError(t, err)
	require.Equal(t, 2, s.scansAsked(), "a report that was taken is not the newest for ever")
}

func TestAScanThatTheAdapterHasForgottenIsBegunAgain(t *testing.T) {
	s := newStub(t)
	s.report = func(w http.ResponseWriter, _ int) bool { w.WriteHeader(http.StatusFound); return true }
	client := newClient(t, adapter.Options{URL: s.URL})
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	_, err := client.Verdict(ctx, scannertest.Image(1))
	require.Error(t, err)
	s.mu.Lock()
	s.report, s.scans = nil, map[string]string{}
	s.mu.Unlock()
	_, err = client.Verdict(t.Context(), scannertest.Image(1))
	require.NoError(t, err)
	require.Equal(t, 2, s.scansAsked())
}

func TestOfAnotherPlatformsImageOnlyTheFindingsCount(t *testing.T) {
	s := newStub(t)
	s.put(scannertest.Verdict(1, 1, "CVE-2026-0001"))
	v, err := newClient(t, adapter.Options{URL: s.URL, Platform: "linux/arm64"}).Verdict(t.Context(), scannertest.Image(1))
	require.NoError(t, err)
	require.Len(t, v.Vulnerabilities, 1)
	require.Empty(t, v.Scanned)
}

func TestCredentialsAreNeverRepeated(t *testing.T) {
	const password, robot = "hunter2-do-not-repeat", "cm9ib3Q6c2VjcmV0"
	s := newStub(t)
	s.accept = func(w http.ResponseWriter) bool {
		fail(w, 500, "cannot pull with Basic "+robot+" for "+password)
		return true
	}
	options := adapter.Options{URL: s.URL, Auth: adapter.Auth{Username: "u", Password: password}, Registries: map[string]adapter.Registry{
		"registry.example.com": {Authorization: "Basic " + robot},
	}}
	_, err := newClient(t, options).Verdict(t.Context(), scannertest.Image(1))
	require.ErrorContains(t, err, "cannot pull with … for …")
	s.Close()
	_, err = newClient(t, options).Verdict(t.Context(), scannertest.Image(1))
	require.ErrorContains(t, err, "connection refused")
	require.NotContains(t, err.Error(), password)

	_, err = adapter.New(adapter.Options{URL: "https://u:" + password + "@scanner.example.com"})
	require.ErrorContains(t, err, "URL holds credentials; set them under auth")
	require.NotContains(t, err.Error(), password)
	_, err = adapter.New(adapter.Options{URL: "https://u:" + password + "@bad host"})
	require.ErrorContains(t, err, "URL is not http(s)://")
	require.NotContains(t, err.Error(), password)
}

func TestCredentialsThatAreRepeatedInAnotherFormAreNotLogged(t *testing.T) {
	const password, token = "hunter2/do not+repeat", "tok-0123456789abcdefghijklmnopqrstuvwxyz0123456789"
	robot := base64.StdEncoding.EncodeToString([]byte("robot:robot-secret"))
	registries := map[string]adapter.Registry{"registry.example.com": {Authorization: "Basic " + robot}}
	basic := base64.StdEncoding.EncodeToString([]byte("user:" + password))
	secrets := []string{password, basic, url.QueryEscape(password), token, token[:20], robot, "robot-secret", base64.RawURLEncoding.EncodeToString([]byte(password))}
	for _, auth := range []adapter.Auth{{Username: "user", Password: password}, {Token: token}} {
		for name, respond := range map[string]func(w http.ResponseWriter, text string){
			"message": func(w http.ResponseWriter, text string) { fail(w, 500, "got header: "+text) },
			"key":     func(w http.ResponseWriter, text string) { fmt.Fprintf(w, `{"vulnerabilities": [], %q: tru}`, text) },
			"status line": func(w http.ResponseWriter, text string) {
				connection, _, err := w.(http.Hijacker).Hijack()
				if err == nil {
					_, _ = fmt.Fprintf(connection, "HTTP/1.1 %s\r\n\r\n", text)
					_ = connection.Close()
				}
			},
			"header": func(w http.ResponseWriter, text string) {
				connection, _, err := w.(http.Hijacker).Hijack()
				if err == nil {
					_, _ = fmt.Fprintf(connection, "HTTP/1.1 200 OK\r\nContent-Length: %s\r\n\r\n", text)
					_ = connection.Close()
				}
			},
		} {
			for _, secret := range secrets {
				s := newStub(t)
				s.report = func(w http.ResponseWriter, _ int) bool { respond(w, secret); return true }
				_, err := newClient(t, adapter.Options{URL: s.URL, Auth: auth, Registries: registries}).Verdict(t.Context(), scannertest.Image(1))
				require.Error(t, err)
				sent := auth.Token != "" && strings.HasPrefix(secret, "tok-") || auth.Token == "" && !strings.HasPrefix(secret, "tok-") || strings.HasPrefix(secret, robot) || secret == "robot-secret"
				if sent {
					require.NotContains(t, err.Error(), secret[:min(len(secret), 10)], "%s: %s", name, secret)
				}
			}
		}
	}
}

func TestWhatHalfAReportHasFoundCounts(t *testing.T) {
	s := newStub(t)
	s.report = func(w http.ResponseWriter, _ int) bool {
		_, _ = w.Write([]byte(`{"vulnerabilities": [{"id": "CVE-2026-0001", "package": "p", "severity": "High"}, {"id": "CVE-`))
		return true
	}
	v, err := newClient(t, adapter.Options{URL: s.URL}).Verdict(t.Context(), scannertest.Image(1))
	require.ErrorIs(t, err, formats.ErrTruncated)
	require.Len(t, v.Vulnerabilities, 1)
	require.Empty(t, v.Scanned)
}

func TestOptionsThatCannotWorkAreRefused(t *testing.T) {
	empty := filepath.Join(t.TempDir(), "ca.pem")
	require.NoError(t, os.WriteFile(empty, []byte("no certificate"), 0o600))
	for want, options := range map[string]adapter.Options{
		"URL is not http(s)://":           {URL: "scanner.example.com"},
		"both a token and a user name":    {URL: "http://a", Auth: adapter.Auth{Token: "t", Username: "u"}},
		"CA file":                         {URL: "https://a", CAFile: filepath.Join(t.TempDir(), "absent")},
		"no certificate in it; write PEM": {URL: "https://a", CAFile: empty},
	} {
		_, err := adapter.New(options)
		require.ErrorContains(t, err, want)
	}
}

func TestOnlyACertificateOfTheConfiguredAuthorityIsBelieved(t *testing.T) {
	s := newStub(t)
	secure := httptest.NewUnstartedServer(s.handler())
	secure.Config.ErrorLog = log.New(io.Discard, "", 0) // refused handshakes are what is wanted here
	secure.StartTLS()
	t.Cleanup(secure.Close)
	_, err := newClient(t, adapter.Options{URL: secure.URL}).Verdict(t.Context(), scannertest.Image(1))
	require.ErrorContains(t, err, "certificate")
	caFile := filepath.Join(t.TempDir(), "ca.pem")
	authority := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: secure.Certificate().Raw})
	require.NoError(t, os.WriteFile(caFile, authority, 0o600))
	_, err = newClient(t, adapter.Options{URL: secure.URL, CAFile: caFile}).Verdict(t.Context(), scannertest.Image(1))
	require.NoError(t, err)
}

func TestAnAdapterThatNeverAnswersCostsTheCallersTime(t *testing.T) {
	release := make(chan struct{})
	silent := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-release:
		case <-r.Context().Done():
		}
	}))
	t.Cleanup(silent.Close)
	defer close(release)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	_, err := newClient(t, adapter.Options{URL: silent.URL}).Verdict(ctx, scannertest.Image(1))
	require.True(t, errors.Is(err, context.DeadlineExceeded), err)
}
