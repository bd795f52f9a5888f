package notifications_test

import (
	"bufio"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"connectrpc.com/connect"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/sirupsen/logrus"
	logtest "github.com/sirupsen/logrus/hooks/test"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	portcullisv1 "portcullis/api/portcullis/v1"
	"portcullis/central/audit"
	"portcullis/central/notifications"
	"portcullis/central/rpc"
	"portcullis/central/store"
	"portcullis/central/store/storetest"
)

func TestMain(m *testing.M) { storetest.Main(m) }

var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

const secret = "0123456789abcdef-very-secret"

// fixture is one replica or more on one database, and a target.
type fixture struct {
	*notifications.Service
	t     *testing.T
	ctx   context.Context
	store *store.Store
	log   *logtest.Hook

	mu       sync.Mutex
	now      time.Time
	status   int
	received []received
	server   *httptest.Server
}

type received struct {
	header http.Header
	body   []byte
	parsed struct {
		ID, Channel string
		Test        bool
		Total       int
		Groups      []struct {
			Policy, Action string
			Events         int
		}
		Events []struct{ Pod, Because string }
	}
}

func newFixture(t *testing.T, s *store.Store, allowLocal bool) *fixture {
	ignored := goleak.IgnoreCurrent()
	f := &fixture{t: t, store: s, now: noon, status: http.StatusNoContent}
	f.ctx = audit.With(context.Background(), audit.Actor{Name: "user:admin", Time: noon})
	log := logrus.New()
	log.SetOutput(t.Output())
	log.SetLevel(logrus.TraceLevel)
	f.log = logtest.NewLocal(log)
	f.Service = f.replica(s, log, allowLocal)
	f.server = httptest.NewServer(f)
	t.Cleanup(func() { f.server.Close(); goleak.VerifyNone(t, ignored) })
	return f
}

func (f *fixture) replica(s *store.Store, log *logrus.Logger, allowLocal bool) *notifications.Service {
	return notifications.New(s, notifications.Options{AllowLocal: allowLocal, Retry: time.Millisecond, Now: f.clock, Log: log, Metrics: prometheus.NewRegistry()})
}

// clock goes on with every look, so that what waits for milliseconds comes.
func (f *fixture) clock() time.Time {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.now = f.now.Add(time.Millisecond)
	return f.now
}

func (f *fixture) set(now time.Time, status int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.now, f.status = now, status
}

func (f *fixture) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	got := received{header: r.Header}
	got.body, _ = io.ReadAll(r.Body)
	_ = json.Unmarshal(got.body, &got.parsed)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.received = append(f.received, got)
	if f.status == http.StatusFound {
		w.Header().Set("Location", "/elsewhere")
	}
	w.WriteHeader(f.status)
	_, _ = io.WriteString(w, "what only central may see")
}

func (f *fixture) got() []received {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.received
}

func (f *fixture) hook(more func(c *portcullisv1.Channel)) *portcullisv1.Channel {
	f.t.Helper()
	c := &portcullisv1.Channel{Name: "<b>ops'", Enabled: true, Target: &portcullisv1.Channel_Webhook{Webhook: &portcullisv1.Webhook{Url: f.server.URL + "/token-in-path", Secret: secret}}}
	if more != nil {
		more(c)
	}
	return f.put(c)
}

func (f *fixture) put(c *portcullisv1.Channel) *portcullisv1.Channel {
	f.t.Helper()
	response, err := f.PutChannel(f.ctx, &portcullisv1.PutChannelRequest{Channel: c})
	require.NoError(f.t, err)
	return response.GetChannel()
}

func (f *fixture) get() *portcullisv1.Channel {
	f.t.Helper()
	response, err := f.ListChannels(f.ctx, nil)
	require.NoError(f.t, err)
	require.Len(f.t, response.GetChannels(), 1)
	return response.GetChannels()[0]
}

// happen makes new events in pods of the names.
func (f *fixture) happen(more func(d *store.Decision), pods ...string) {
	f.t.Helper()
	b := store.Batch{Node: store.EventNode{ID: "n", Name: "worker"}, Spool: store.NewID(), Through: 1}
	for _, pod := range pods {
		d := store.Decision{Action: 2, Severity: 6, Policy: "p", Pod: pod, Container: "c", Count: 1, First: noon, Last: noon}
		if more != nil {
			more(&d)
		}
		b.Decisions = append(b.Decisions, d)
	}
	_, err := f.store.AddDecisions(f.ctx, f.clock(), []store.Batch{b})
	require.NoError(f.t, err)
}

// running runs the replicas until the test ends or stop is called.
func (f *fixture) running(replicas ...*notifications.Service) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var tasks sync.WaitGroup
	for _, s := range replicas {
		tasks.Go(func() { s.Run(ctx) })
	}
	stop = func() { cancel(); tasks.Wait() }
	f.t.Cleanup(stop)
	return stop
}

func (f *fixture) eventually(holds func() bool) {
	f.t.Helper()
	require.Eventually(f.t, holds, 30*time.Second, 5*time.Millisecond)
}

func TestNobodyWaitsForASlowChannel(t *testing.T) {
	f := newFixture(t, storetest.Open(t, storetest.SQLite(t)), true)
	asked, end := make(chan struct{}), make(chan struct{})
	slow := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		select {
		case asked <- struct{}{}:
		case <-r.Context().Done():
		}
		<-end
	}))
	defer slow.Close()
	defer close(end)
	f.hook(nil)
	f.put(&portcullisv1.Channel{Name: "slow", Enabled: true, Target: &portcullisv1.Channel_Webhook{Webhook: &portcullisv1.Webhook{Url: slow.URL, Secret: secret}}})
	log, _ := logtest.NewNullLogger()
	patient := notifications.New(f.store, notifications.Options{AllowLocal: true, Timeout: time.Hour, Now: f.clock, Log: log, Metrics: prometheus.NewRegistry()})
	stop := f.running(patient)
	f.happen(nil, "a")
	<-asked
	f.eventually(func() bool { return len(f.got()) == 1 })
	f.happen(nil, "b")
	f.eventually(func() bool { return len(f.got()) == 2 })
	stop()
}

func TestANewEventIsToldOnceAndSigned(t *testing.T) {
	storetest.Run(t, func(t *testing.T, s *store.Store) {
		f := newFixture(t, s, true)
		f.hook(nil)
		f.running(f.Service)
		f.happen(nil, "a")
		f.eventually(func() bool { return len(f.got()) == 1 })
		got := f.got()[0]
		require.Equal(t, "<b>ops'", got.parsed.Channel)
		require.Equal(t, 1, got.parsed.Total)
		require.Equal(t, "a", got.parsed.Events[0].Pod)
		mac := hmac.New(sha256.New, []byte(secret))
		mac.Write([]byte(got.header.Get("X-Portcullis-Timestamp") + "." + string(got.body)))
		require.Equal(t, "sha256="+hex.EncodeToString(mac.Sum(nil)), got.header.Get("X-Portcullis-Signature"))
		require.Equal(t, got.parsed.ID, got.header.Get("X-Portcullis-Delivery"))
		f.eventually(func() bool { return f.get().GetLastSuccessTime() != nil })

		f.happen(nil, "a") // counts on
		f.happen(nil, "b")
		f.eventually(func() bool { return len(f.got()) == 2 })
		require.Equal(t, 1, f.got()[1].parsed.Total)
		require.Equal(t, "b", f.got()[1].parsed.Events[0].Pod)
	})
}

func TestOnlyWhatTheChannelWantsIsTold(t *testing.T) {
	storetest.Run(t, func(t *testing.T, s *store.Store) {
		f := newFixture(t, s, true)
		c := f.hook(func(c *portcullisv1.Channel) {
			c.Actions, c.MinSeverity = []portcullisv1.Action{portcullisv1.Action_ACTION_BLOCK}, "High"
		})
		f.happen(func(d *store.Decision) { d.Action = 1 }, "alerted")
		f.happen(func(d *store.Decision) { d.Severity = 4 }, "medium")
		f.happen(func(d *store.Decision) { d.Severity = 5 }, "high")
		f.happen(func(d *store.Decision) { d.Severity = 0 }, "none")
		f.running(f.Service)
		f.eventually(func() bool { return len(f.got()) == 1 })
		require.Equal(t, 2, f.got()[0].parsed.Total)
		f.eventually(func() bool { return f.get().GetLastSuccessTime() != nil })
		c.Enabled = false
		f.put(c)
		f.happen(nil, "while it is off")
		c = f.get()
		c.Enabled, c.Actions, c.MinSeverity = true, nil, ""
		f.put(c)
		f.happen(func(d *store.Decision) { d.Action = 1 }, "on again")
		f.eventually(func() bool { return len(f.got()) == 2 })
		require.Equal(t, 1, f.got()[1].parsed.Total)
		require.Equal(t, "on again", f.got()[1].parsed.Events[0].Pod)
	})
}

func TestWhatHappensOutsideTheWindowIsSummedUpWhenItOpens(t *testing.T) {
	storetest.Run(t, func(t *testing.T, s *store.Store) {
		f := newFixture(t, s, true)
		f.hook(func(c *portcullisv1.Channel) { // noon in UTC is 20:00 in Shanghai
			c.WindowFrom, c.WindowTo, c.TimeZone = "08:00", "20:00", "Asia/Shanghai"
		})
		var pods []string
		for i := range 30 {
			pods = append(pods, fmt.Sprint(i))
		}
		f.happen(nil, pods...)
		f.happen(func(d *store.Decision) { d.Policy, d.Action = "q", 1 }, "x")
		stop := f.running(f.Service)
		f.eventually(func() bool {
			var next time.Time
			require.NoError(t, s.Read(f.ctx, func(tx *store.Tx) error {
				c, err := tx.Channel(f.ctx, "<b>ops'")
				next = c.Next
				return err
			}))
			return next.Equal(time.Date(2026, 11, 24, 0, 0, 0, 0, time.UTC))
		})
		stop()
		require.Empty(t, f.got())
		f.set(time.Date(2026, 11, 24, 0, 0, 0, 0, time.UTC), http.StatusOK)
		f.running(f.Service)
		f.eventually(func() bool { return len(f.got()) == 1 })
		got := f.got()[0].parsed
		require.Equal(t, 31, got.Total)
		require.Len(t, got.Events, 20)
		require.Len(t, got.Groups, 2)
		require.Equal(t, 30, got.Groups[0].Events)
		require.Equal(t, "alert", got.Groups[1].Action)
	})
}

func TestATargetThatFailsIsToldTheSameAgainAlsoAfterARestart(t *testing.T) {
	storetest.Run(t, func(t *testing.T, s *store.Store) {
		f := newFixture(t, s, true)
		f.hook(nil)
		f.set(noon, http.StatusInternalServerError)
		f.happen(nil, "a")
		stop := f.running(f.Service)
		f.eventually(func() bool { return len(f.got()) >= 2 && f.get().GetLastError() != "" })
		stop()
		require.Equal(t, "the target answered 500; 200 to 299 is expected", f.get().GetLastError())
		f.happen(nil, "b")
		f.set(noon.Add(time.Hour), http.StatusOK)
		before := len(f.got())
		f.running(f.Service)
		f.eventually(func() bool { return len(f.got()) == before+2 })
		got := f.got()
		require.Equal(t, got[0].parsed.ID, got[before].parsed.ID)
		require.Equal(t, got[0].body, got[before].body)
		require.Equal(t, "b", got[before+1].parsed.Events[0].Pod)
		f.eventually(func() bool { return f.get().GetLastError() == "" })
	})
}

func TestATargetThatFailsForADayIsGivenUp(t *testing.T) {
	storetest.Run(t, func(t *testing.T, s *store.Store) {
		f := newFixture(t, s, true)
		f.hook(nil)
		f.set(noon, http.StatusInternalServerError)
		f.happen(nil, "a")
		stop := f.running(f.Service)
		f.eventually(func() bool { return f.get().GetLastError() != "" })
		stop()
		f.set(noon.Add(25*time.Hour), http.StatusInternalServerError)
		f.running(f.Service)
		f.eventually(func() bool {
			return strings.HasPrefix(f.get().GetLastError(), "1 events were not told, after trying for 24h0m0s: ")
		})
		f.set(noon.Add(26*time.Hour), http.StatusOK)
		f.happen(nil, "b")
		f.eventually(func() bool { return f.get().GetLastError() == "" })
		got := f.got()
		require.Equal(t, "b", got[len(got)-1].parsed.Events[0].Pod)
	})
}

func TestOneOfTwoReplicasTellsEachEvent(t *testing.T) {
	database := storetest.Postgres(t)
	f := newFixture(t, storetest.Open(t, database), true)
	other := f.replica(storetest.Open(t, database), logrus.New(), true)
	f.hook(nil)
	f.running(f.Service, other)
	for i := range 20 {
		f.happen(nil, fmt.Sprint(i))
	}
	sum := func() (total int) {
		for _, got := range f.got() {
			total += got.parsed.Total
		}
		return total
	}
	f.eventually(func() bool { return sum() >= 20 })
	require.Equal(t, 20, sum())
}

func TestASecretIsNeitherShownNorLoggedNorAudited(t *testing.T) {
	storetest.Run(t, func(t *testing.T, s *store.Store) {
		f := newFixture(t, s, true)
		c := f.hook(nil)
		require.Empty(t, c.GetWebhook().GetSecret())
		require.Empty(t, f.get().GetWebhook().GetSecret())
		c.Enabled = true
		f.put(c) // keeps it
		f.set(noon, http.StatusInternalServerError)
		f.happen(nil, "a")
		stop := f.running(f.Service)
		f.eventually(func() bool { return f.get().GetLastError() != "" })
		stop()
		_, err := f.DeleteChannel(f.ctx, &portcullisv1.DeleteChannelRequest{Name: c.GetName()})
		require.NoError(t, err)
		require.NotEmpty(t, f.got()[0].header.Get("X-Portcullis-Signature"))
		for _, entry := range f.log.AllEntries() {
			line, err := entry.String()
			require.NoError(t, err)
			require.NotContains(t, line, "very-secret")
			require.NotContains(t, line, "token-in-path")
		}
		require.NoError(t, s.Read(f.ctx, func(tx *store.Tx) error {
			entries, err := tx.Audit(f.ctx, store.AuditFilter{Kind: "notification"}, "", 10)
			require.Len(t, entries, 3)
			for _, e := range entries {
				require.NotContains(t, e.Before+e.After, "very-secret")
				require.NotContains(t, e.Before+e.After, "token-in-path")
			}
			return err
		}))
	})
}

func TestThatNotificationsGoElsewhereIsAudited(t *testing.T) {
	storetest.Run(t, func(t *testing.T, s *store.Store) {
		f := newFixture(t, s, true)
		c := f.hook(nil)
		c = f.put(c)
		c.GetWebhook().Url += "/elsewhere"
		c = f.put(c)
		c.GetWebhook().Secret = "another-very-secret"
		f.put(c)
		require.NoError(t, s.Read(f.ctx, func(tx *store.Tx) error {
			entries, err := tx.Audit(f.ctx, store.AuditFilter{Kind: "notification"}, "", 10)
			require.Len(t, entries, 4)
			for i, want := range []string{`"set (another than before)"`, `/… (another than before)"`, `"set"`, `"set"`} { // the newest first
				require.Contains(t, entries[i].After, want)
				require.NotContains(t, entries[i].Before, "another")
				require.NotContains(t, entries[i].Before+entries[i].After, "elsewhere")
			}
			require.NotContains(t, entries[2].After, "another")
			return err
		}))
	})
}

func TestAChangeOfWhatIsNotAnyMoreAsItWasSeenIsRefused(t *testing.T) {
	storetest.Run(t, func(t *testing.T, s *store.Store) {
		f := newFixture(t, s, true)
		seen := f.hook(nil)
		require.EqualValues(t, 1, seen.GetRevision())
		require.EqualValues(t, 2, f.put(seen).GetRevision())
		for revision, code := range map[int64]connect.Code{0: connect.CodeAlreadyExists, 1: connect.CodeAborted} {
			seen.Revision = revision
			_, err := f.PutChannel(f.ctx, &portcullisv1.PutChannelRequest{Channel: seen})
			require.Equal(t, code, connect.CodeOf(rpc.Error(err, logrus.New())), "%v", err)
		}
		for _, err := range []error{
			func() error {
				_, err := f.DeleteChannel(f.ctx, &portcullisv1.DeleteChannelRequest{Name: "x"})
				return err
			}(),
			func() error { _, err := f.TestChannel(f.ctx, &portcullisv1.TestChannelRequest{Name: "x"}); return err }(),
		} {
			require.ErrorIs(t, err, store.ErrNotFound)
		}
	})
}

func TestTargetsOnThisMachineAndItsLinkAreRefused(t *testing.T) {
	f := newFixture(t, storetest.Open(t, storetest.SQLite(t)), false)
	for i, address := range []string{
		"127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]", "169.254.169.254", "[fe80::1]", "0.0.0.0", "[::]", "[64:ff9b::a9fe:a9fe]", "[fd00:ec2::254]", "[fd20:ce::254]", "100.100.100.200", "[::ffff:169.254.169.254]", "224.0.0.1",
	} {
		name := fmt.Sprint("c", i)
		f.put(&portcullisv1.Channel{Name: name, Target: &portcullisv1.Channel_Webhook{Webhook: &portcullisv1.Webhook{Url: "https://" + address + ":1/"}}})
		response, err := f.TestChannel(f.ctx, &portcullisv1.TestChannelRequest{Name: name})
		require.NoError(t, err)
		require.Contains(t, response.GetError(), "channels may not reach", address)
	}
	f.put(&portcullisv1.Channel{Name: "udp", Target: &portcullisv1.Channel_Syslog{Syslog: &portcullisv1.Syslog{Address: "127.0.0.1:514", Protocol: "udp"}}})
	response, err := f.TestChannel(f.ctx, &portcullisv1.TestChannelRequest{Name: "udp"})
	require.NoError(t, err)
	require.Contains(t, response.GetError(), "channels may not reach")
}

func TestATestTellsTheStatusAndNothingElseOfTheTarget(t *testing.T) {
	f := newFixture(t, storetest.Open(t, storetest.SQLite(t)), true)
	f.hook(nil)
	for status, want := range map[int]string{200: "", 302: "the target answered 302; 200 to 299 is expected", 404: "the target answered 404; 200 to 299 is expected"} {
		f.set(noon, status)
		response, err := f.TestChannel(f.ctx, &portcullisv1.TestChannelRequest{Name: "<b>ops'"})
		require.NoError(t, err)
		require.Equal(t, want, response.GetError())
	}
	require.Len(t, f.got(), 3, "redirects are not followed")
	require.True(t, f.got()[0].parsed.Test)
	f.server.Close()
	response, err := f.TestChannel(f.ctx, &portcullisv1.TestChannelRequest{Name: "<b>ops'"})
	require.NoError(t, err)
	require.Contains(t, response.GetError(), "refused")
	require.NotContains(t, response.GetError(), "token-in-path")
}

func TestChannelsThatMakeNoSenseSayWhy(t *testing.T) {
	f := newFixture(t, storetest.Open(t, storetest.SQLite(t)), false)
	hook := func(url, secret string) *portcullisv1.Channel {
		return &portcullisv1.Channel{Name: "n", Target: &portcullisv1.Channel_Webhook{Webhook: &portcullisv1.Webhook{Url: url, Secret: secret}}}
	}
	good := func(more func(c *portcullisv1.Channel)) *portcullisv1.Channel {
		c := hook("https://example.com/", "")
		more(c)
		return c
	}
	for text, c := range map[string]*portcullisv1.Channel{
		"channel.target":          {Name: "n"},
		"channel.name":            good(func(c *portcullisv1.Channel) { c.Name = strings.Repeat("n", 129) }),
		"channel.webhook.url":     hook("http://example.com", ""),
		"user or password":        hook("https://u:p@example.com", ""),
		"channel.webhook.secret":  hook("https://example.com", "short"),
		"channel.actions[0]":      good(func(c *portcullisv1.Channel) { c.Actions = []portcullisv1.Action{5} }),
		"channel.min_severity":    good(func(c *portcullisv1.Channel) { c.MinSeverity = "bad" }),
		"channel.window_from":     good(func(c *portcullisv1.Channel) { c.WindowFrom, c.WindowTo = "8:00", "09:00" }),
		"channel.window_to":       good(func(c *portcullisv1.Channel) { c.WindowFrom = "08:00" }),
		"channel.time_zone":       good(func(c *portcullisv1.Channel) { c.TimeZone = "Mars" }),
		"channel.syslog.address":  {Name: "n", Target: &portcullisv1.Channel_Syslog{Syslog: &portcullisv1.Syslog{Address: "x", Protocol: "udp"}}},
		"channel.syslog.protocol": {Name: "n", Target: &portcullisv1.Channel_Syslog{Syslog: &portcullisv1.Syslog{Address: "x:1", Protocol: "quic"}}},
	} {
		_, err := f.PutChannel(f.ctx, &portcullisv1.PutChannelRequest{Channel: c})
		require.Equal(t, connect.CodeInvalidArgument, connect.CodeOf(err), text)
		require.ErrorContains(t, err, text)
	}
	_, err := f.PutChannel(f.ctx, &portcullisv1.PutChannelRequest{})
	require.Equal(t, connect.CodeInvalidArgument, connect.CodeOf(err))
}

func TestSyslogOverTCPIsFramedAndEscaped(t *testing.T) {
	f := newFixture(t, storetest.Open(t, storetest.SQLite(t)), true)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer listener.Close()
	f.put(&portcullisv1.Channel{Name: "n", Enabled: true, Target: &portcullisv1.Channel_Syslog{Syslog: &portcullisv1.Syslog{Address: listener.Addr().String(), Protocol: "tcp"}}})
	f.happen(nil, "a\"]\\\n<1>1 forged")
	f.running(f.Service)
	connection, err := listener.Accept()
	require.NoError(t, err)
	defer connection.Close()
	reader := bufio.NewReader(connection)
	var length int
	_, err = fmt.Fscanf(reader, "%d ", &length)
	require.NoError(t, err)
	message := make([]byte, length)
	_, err = io.ReadFull(reader, message)
	require.NoError(t, err)
	text := string(message)
	require.Regexp(t, `^<108>1 2026-11-23T12:00:00\.000000Z \S+ portcullis-central - event \[portcullis@32473 `, text)
	require.Contains(t, text, `pod="a\"\]\\`)
	require.Contains(t, text, "\ufeffblocked ")
	_, err = reader.ReadByte()
	require.ErrorIs(t, err, io.EOF, "that was all")
}

func TestSyslogOverUDPIsOneDatagramAnEvent(t *testing.T) {
	f := newFixture(t, storetest.Open(t, storetest.SQLite(t)), true)
	listener, err := net.ListenPacket("udp", "127.0.0.1:0")
	require.NoError(t, err)
	defer listener.Close()
	f.put(&portcullisv1.Channel{Name: "n", Enabled: true, Target: &portcullisv1.Channel_Syslog{Syslog: &portcullisv1.Syslog{Address: listener.LocalAddr().String(), Protocol: "udp"}}})
	var pods []string
	for i := range 25 {
		pods = append(pods, fmt.Sprint(strings.Repeat("界", 400), i))
	}
	f.happen(nil, pods...)
	f.running(f.Service)
	buffer := make([]byte, 64<<10)
	for range 20 {
		n, _, err := listener.ReadFrom(buffer)
		require.NoError(t, err)
		require.LessOrEqual(t, n, 2048)
	}
	n, _, err := listener.ReadFrom(buffer)
	require.NoError(t, err)
	require.Contains(t, string(buffer[:n]), "25 new events, 5 of them not told one by one: 25 block by p")
}
