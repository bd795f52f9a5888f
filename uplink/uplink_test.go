package uplink_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"connectrpc.com/connect"
	"github.com/sirupsen/logrus"
	"github.com/sirupsen/logrus/hooks/test"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/protobuf/types/known/durationpb"

	portcullisv1 "portcullis/api/portcullis/v1"
	"portcullis/event"
	"portcullis/policy"
	scanner "portcullis/scanner-client"
	"portcullis/scanner-client/verdict"
	"portcullis/uplink"
	"portcullis/uplink/uplinktest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// policies takes every bundle but those that say bad.
type policies struct {
	mu     sync.Mutex
	number int64
	text   string
	tries  int
	broken bool // a local file is wrong
	// entered, where there is one, is told that a bundle is about to be put in force, which waits for proceed.
	entered, proceed chan struct{}
}

func (p *policies) Bundle() int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.number
}

func (p *policies) BundleSHA256() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.number == 0 {
		return ""
	}
	return uplinktest.SHA256(p.text)
}

func (p *policies) Documents() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.text
}

func (p *policies) Apply(number int64, documents, sum string) error {
	if sum != "" && sum != uplinktest.SHA256(documents) {
		return uplink.ErrOtherDocuments
	}
	p.mu.Lock()
	entered, proceed := p.entered, p.proceed
	p.entered = nil
	p.mu.Unlock()
	if entered != nil {
		close(entered)
		<-proceed
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.tries++
	if documents == "bad" || p.broken {
		return errors.New("central.yaml:3: spec.template: required")
	}
	p.number, p.text = number, documents
	return nil
}

func (p *policies) tried() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.tries
}

func (p *policies) set(change func(p *policies)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	change(p)
}

// images is a runtime's images.
type images struct {
	mu   sync.Mutex
	list []scanner.Image
}

func (i *images) Images(context.Context) ([]scanner.Image, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.list, nil
}

func (i *images) set(ids ...string) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.list = nil
	for _, id := range ids {
		i.list = append(i.list, scanner.Image{ID: id, Tags: []string{"registry.example.com/app:1"}})
	}
}

// node is a joined node with an uplink that runs until stop or the end of the test.
type node struct {
	*uplink.Uplink
	dir       string
	central   *uplinktest.Central
	policies  *policies
	images    *images
	spool     *event.Spools
	hook      *test.Hook
	log       *logrus.Logger
	changed   atomic.Int64
	addresses []string
	now       func() time.Time
	stop      func()
}

// quick are times that a test has.
var quick = uplink.Times{
	RetryMin: time.Millisecond, RetryMax: 50 * time.Millisecond, Removed: 50 * time.Millisecond, Call: 10 * time.Second,
	State: 20 * time.Millisecond, Inventory: 10 * time.Millisecond, Starts: 10 * time.Millisecond, Report: time.Millisecond, Upload: time.Millisecond,
}

func newNode(t *testing.T, central *uplinktest.Central) *node {
	t.Helper()
	n := &node{dir: t.TempDir(), central: central, policies: &policies{}, images: &images{}, addresses: []string{central.Address()}}
	n.log, n.hook = test.NewNullLogger()
	n.spool = event.OpenSpools(filepath.Join(n.dir, "spool"), event.SpoolOptions{Log: n.log})
	t.Cleanup(func() { n.spool.Close() })
	_, err := uplink.Join(t.Context(), uplink.Joining{Address: central.Address(), Token: central.Token(), Dir: n.dir, Info: &portcullisv1.NodeInfo{Name: "n"}})
	require.NoError(t, err)
	return n
}

func (n *node) run(t *testing.T, times uplink.Times) {
	t.Helper()
	var err error
	n.Uplink, err = uplink.New(uplink.Options{
		Addresses: n.addresses, Dir: n.dir, Policies: n.policies, Images: n.images, Spool: n.spool, Times: times, Log: n.log, Now: n.now,
		Info:            func(context.Context) *portcullisv1.NodeInfo { return &portcullisv1.NodeInfo{Name: "n"} },
		VerdictsChanged: func(ids []string) { n.changed.Add(int64(len(ids))) },
	})
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); n.Run(ctx) }()
	n.stop = func() { cancel(); <-done }
	t.Cleanup(n.stop)
}

func connected(t *testing.T) *node {
	t.Helper()
	n := newNode(t, uplinktest.New(t))
	n.run(t, quick)
	eventually(t, func() bool { return n.Stats().Connected })
	return n
}

func eventually(t *testing.T, condition func() bool) {
	t.Helper()
	require.Eventually(t, condition, time.Minute, 5*time.Millisecond)
}

func (n *node) logged(text string) bool {
	for _, e := range n.hook.AllEntries() {
		err, _ := e.Data[logrus.ErrorKey].(error)
		if strings.Contains(fmt.Sprint(e.Message, ": ", err), text) {
			return true
		}
	}
	return false
}

func image(digit string) string { return "sha256:" + strings.Repeat(digit, 64) }

func (n *node) decide(count int) {
	for i := range count {
		n.spool.Record(time.Now(), "CreateContainer", &policy.Container{
			Cluster: "east", Namespace: "shop", Pod: fmt.Sprint("cart-", i), PodUID: "u1", PodAddress: "10.0.0.7", Name: "app",
			Image: policy.Image{ID: image("a"), Requested: "cart:1\x00"}, Asks: []policy.Ask{{Parameter: "host-path", Detail: "/etc"}},
		}, &policy.Decision{Action: policy.Block, Reason: policy.ReasonPolicy, Revision: "r1", Matches: []policy.Match{{
			Policy: "p", Template: policy.TemplateRiskyImage, Action: policy.Block,
			Evidence: []policy.Evidence{{Vulnerability: &verdict.Vulnerability{ID: "CVE-2021-44228", Severity: verdict.Critical, Package: "log4j\x00-core"}}},
		}}}, "blocked")
	}
}

func TestANodeReportsItsStateAndTakesEveryBundle(t *testing.T) {
	n := connected(t)
	require.Equal(t, int64(0), n.central.State().GetBundle())
	n.central.SetBundle(7, "good")
	eventually(t, func() bool { return n.central.State().GetBundle() == 7 })
	require.Equal(t, "n", n.central.State().GetInfo().GetName())
	require.WithinDuration(t, time.Now(), n.central.State().GetTime().AsTime(), time.Minute)
	n.central.SetBundle(3, "restored from a backup")
	eventually(t, func() bool { return n.central.State().GetBundle() == 3 })
}

func TestABundleComesAsAnEditOfTheOneInForceOrRejected(t *testing.T) {
	n := connected(t)
	for i, documents := range []string{"a policy", "a policy\nand one more", "bad", "bad luck", "good luck", ""} {
		number := int64(i + 1)
		n.central.SetBundle(number, documents)
		eventually(t, func() bool {
			s := n.central.State()
			return s.GetBundle() == number && s.GetRejectedBundle() == 0 || s.GetRejectedBundle() == number
		})
		if documents != "bad" {
			require.Equal(t, documents, n.policies.Documents())
		}
	}
	require.Equal(t, 5, n.central.Edits(), "all but the first")
	require.Equal(t, 1, n.central.Calls("Sync"))
}

func TestAnEditThatCannotBeMadeIsAskedForWhole(t *testing.T) {
	for name, spoil := range map[string]func(*portcullisv1.BundleEdit){
		"of more than there is": func(e *portcullisv1.BundleEdit) { e.First = 1 << 40 },
		"of less than nothing":  func(e *portcullisv1.BundleEdit) { e.Last = -1 },
		"that overlaps":         func(e *portcullisv1.BundleEdit) { e.Last = 4 },
		"without a checksum":    func(e *portcullisv1.BundleEdit) { e.Sha256 = "" },
		"of something else":     func(e *portcullisv1.BundleEdit) { e.Text = []byte("else") },
	} {
		t.Run(name, func(t *testing.T) {
			n := connected(t)
			n.central.SetBundle(1, "good")
			eventually(t, func() bool { return n.central.State().GetBundle() == 1 })
			n.central.SpoilEdits(spoil)
			n.central.SetBundle(2, "good, too")
			eventually(t, func() bool { return n.central.State().GetBundle() == 2 })
			require.Equal(t, "good, too", n.policies.Documents())
			require.Equal(t, 2, n.central.Calls("Sync"))
			require.True(t, n.logged("asked for whole"))
			n.central.SpoilEdits(nil)
			n.central.SetBundle(3, "good, three")
			eventually(t, func() bool { return n.central.State().GetBundle() == 3 })
			require.Equal(t, []int{2, 2}, []int{n.central.Calls("Sync"), n.central.Edits()}, "edits are taken again")
		})
	}
}

func TestABundleThatCannotBeUsedIsReportedAndTheOldOneStays(t *testing.T) {
	n := connected(t)
	n.central.SetBundle(1, "good")
	eventually(t, func() bool { return n.central.State().GetBundle() == 1 })
	n.central.SetBundle(2, "bad")
	eventually(t, func() bool { return n.central.State().GetRejectedBundle() == 2 })
	require.Equal(t, int64(1), n.central.State().GetBundle())
	require.Equal(t, "central.yaml:3: spec.template: required", n.central.State().GetRejection())
	require.Equal(t, int64(2), n.Stats().Rejected)
	n.central.SetBundle(3, "good")
	eventually(t, func() bool { s := n.central.State(); return s.GetBundle() == 3 && s.GetRejectedBundle() == 0 })
}

func TestABundleIsTriedAgainWhenTheNodesOwnMistakeIsRepaired(t *testing.T) {
	n := connected(t)
	n.policies.set(func(p *policies) { p.broken = true })
	n.central.SetBundle(1, "good")
	eventually(t, func() bool { return n.central.State().GetRejectedBundle() == 1 })
	n.policies.set(func(p *policies) { p.broken = false })
	eventually(t, func() bool { return n.central.State().GetBundle() == 1 })
}

func TestABundleThatIsTriedAgainDoesNotReplaceANewerOne(t *testing.T) {
	n := connected(t)
	n.policies.set(func(p *policies) { p.broken = true })
	n.central.SetBundle(1, "good")
	eventually(t, func() bool { return n.central.State().GetRejectedBundle() == 1 })
	entered, proceed := make(chan struct{}), make(chan struct{})
	n.policies.set(func(p *policies) { p.broken, p.entered, p.proceed = false, entered, proceed })
	<-entered
	tries := n.policies.tried()
	n.central.SetBundle(2, "good, too")
	assert.Never(t, func() bool { return n.policies.tried() > tries }, 100*time.Millisecond, time.Millisecond, "the newer one waits for the older one")
	close(proceed)
	eventually(t, func() bool { return n.central.State().GetBundle() == 2 })
	require.Equal(t, "good, too", n.policies.Documents())
}

func TestOfTwoRejectedBundlesUnderOneNumberTheLastIsTriedAgain(t *testing.T) {
	n := connected(t)
	n.policies.set(func(p *policies) { p.broken = true })
	n.central.SetBundle(1, "good")
	eventually(t, func() bool { return n.central.State().GetRejectedBundle() == 1 })
	tries := n.policies.tried()
	n.central.SetBundle(1, "good, from a backup")
	eventually(t, func() bool { return n.policies.tried() > tries+5 }) // it has come, and was tried again, too
	n.policies.set(func(p *policies) { p.broken = false })
	eventually(t, func() bool { return n.central.State().GetBundle() == 1 })
	require.Equal(t, "good, from a backup", n.policies.Documents())
}

func TestABundleThatSomebodyChangedOnTheNodeIsSentAgain(t *testing.T) {
	n := connected(t)
	n.central.SetBundle(5, "good")
	eventually(t, func() bool { return n.central.State().GetBundle() == 5 })
	n.policies.set(func(p *policies) { p.number = 0 })
	eventually(t, func() bool { return n.policies.Bundle() == 5 })
}

func TestTheInventoryIsCompleteAtFirstAndThenWhatChanged(t *testing.T) {
	n := newNode(t, uplinktest.New(t))
	n.images.set(image("a"), image("b"), strings.Repeat("c", 64), "not an ID")
	n.run(t, quick)
	eventually(t, func() bool { return len(n.central.Inventory()) == 3 })
	require.Contains(t, n.central.Inventory(), image("c"), "CRI-O writes bare digests")
	n.images.set(image("b"), image("d"))
	n.ImageSeen()
	eventually(t, func() bool {
		present := n.central.Inventory()
		return len(present) == 2 && present[image("b")] != nil && present[image("d")] != nil
	})
	calls := n.central.Calls("ReportInventory")
	n.central.SetBundle(1, "good")
	eventually(t, func() bool { return n.central.State().GetBundle() == 1 })
	require.Equal(t, calls, n.central.Calls("ReportInventory"), "nothing is told where nothing changed")
}

func verdictOf(id string, vulnerabilities ...string) string {
	v := verdict.Verdict{ImageID: id, Scanner: verdict.Scanner{Name: "test"}, ScannedAt: time.Unix(1_790_000_000, 0), Scanned: verdict.Kinds()}
	for _, cve := range vulnerabilities {
		v.Vulnerabilities = append(v.Vulnerabilities, verdict.Vulnerability{ID: cve, Package: "p"})
	}
	var text strings.Builder
	_ = verdict.Write(&text, &v)
	return text.String()
}

func TestVerdictsAreMirroredAndOutliveCentralAndTheProcess(t *testing.T) {
	n := newNode(t, uplinktest.New(t))
	n.images.set(image("a"), image("b"))
	n.central.SetVerdict(image("a"), verdictOf(image("a"), "CVE-2021-44228"), "")
	n.run(t, quick)
	eventually(t, func() bool { return n.Stats().Mirrored == 2 })
	n.central.SetVerdict(image("a"), verdictOf(image("a"), "CVE-2021-44228", "CVE-2022-0847"), "")
	eventually(t, func() bool {
		v, err := n.Verdict(t.Context(), scanner.Image{ID: image("a")})
		return err == nil && len(v.Vulnerabilities) == 2
	})
	require.NotZero(t, n.changed.Load())
	n.stop()
	n.central.Stop()
	n.run(t, quick)
	v, err := n.Verdict(t.Context(), scanner.Image{ID: image("a")})
	require.NoError(t, err)
	require.Len(t, v.Vulnerabilities, 2)
	_, err = n.Verdict(t.Context(), scanner.Image{ID: strings.Repeat("b", 64)})
	require.ErrorIs(t, err, scanner.ErrUnscanned)
	_, err = n.Verdict(t.Context(), scanner.Image{ID: image("c")})
	require.ErrorIs(t, err, uplink.ErrAway)
	require.NotErrorIs(t, err, scanner.ErrUnscanned)
}

func TestAnImageThatCentralHasNotToldOfIsAskedForAtOnce(t *testing.T) {
	n := newNode(t, uplinktest.New(t))
	times := quick
	times.Inventory = time.Hour
	n.run(t, times)
	eventually(t, func() bool { return n.Stats().Connected })
	n.central.SetVerdict(image("e"), verdictOf(image("e"), "CVE-2021-44228"), "one report of two could not be read")
	v, err := n.Verdict(t.Context(), scanner.Image{ID: image("e")})
	require.ErrorIs(t, err, scanner.ErrUnreadable)
	require.ErrorContains(t, err, "one report of two could not be read")
	require.Len(t, v.Vulnerabilities, 1)
}

func TestAnAnswerFromBeforeAChangeDoesNotHideIt(t *testing.T) {
	n := newNode(t, uplinktest.New(t))
	times := quick
	times.Inventory = time.Hour
	n.run(t, times)
	eventually(t, func() bool { return n.Stats().Connected })
	release := n.central.SlowAnswer()
	defer release()
	answer := make(chan error)
	go func() {
		_, err := n.Verdict(t.Context(), scanner.Image{ID: image("e")})
		answer <- err
	}()
	eventually(t, n.central.Slow)

	n.central.SetVerdict(image("e"), verdictOf(image("e"), "CVE-2021-44228"), "")
	eventually(t, func() bool { return n.ChangedSince(image("e"), time.Time{}) })
	release()

	require.NoError(t, <-answer, "not unscanned")
	v, err := n.Verdict(t.Context(), scanner.Image{ID: image("e")})
	require.NoError(t, err)
	require.Len(t, v.Vulnerabilities, 1)
}

// A restart of the node is no reason to take an image for one that cannot be judged.
func TestAnImageThatIsAskedForWhileTheNodeConnectsWaitsForCentral(t *testing.T) {
	n := newNode(t, uplinktest.New(t))
	n.central.SetVerdict(image("e"), verdictOf(image("e"), "CVE-2021-44228"), "")
	asked := make(chan struct{})
	n.central.SetFault(func(_ context.Context, method string) error {
		if method == "ReportState" {
			<-asked
		}
		return nil
	})
	n.run(t, quick)
	answer := make(chan error)
	go func() {
		_, err := n.Verdict(t.Context(), scanner.Image{ID: image("e")})
		answer <- err
	}()
	eventually(t, func() bool { return n.central.Calls("ReportState") > 0 })
	close(asked)
	require.NoError(t, <-answer)
}

func TestVerdictsOfImagesThatAreGoneAreRemoved(t *testing.T) {
	n := newNode(t, uplinktest.New(t))
	n.images.set(image("a"), image("b"))
	n.central.SetVerdict(image("a"), verdictOf(image("a")), "")
	n.run(t, quick)
	file := filepath.Join(n.dir, "verdicts", "sha256-"+strings.Repeat("a", 64)+".json")
	eventually(t, func() bool { _, err := os.Stat(file); return err == nil })
	n.images.set(image("b"))
	eventually(t, func() bool { _, err := os.Stat(file); return errors.Is(err, os.ErrNotExist) })
}

func TestWhatCentralSaysOfAnotherImageOrInAnotherFormIsNotBelieved(t *testing.T) {
	n := newNode(t, uplinktest.New(t))
	n.images.set(image("a"), image("b"), image("c"))
	n.central.SetVerdict(image("a"), verdictOf(image("b")), "")
	n.central.SetVerdict(image("b"), "{}", "")
	n.central.SetVerdict(image("c"), verdictOf(image("c")), "")
	n.run(t, quick)
	eventually(t, func() bool { return n.Stats().Mirrored == 3 })
	for _, id := range []string{image("a"), image("b")} {
		_, err := n.Verdict(t.Context(), scanner.Image{ID: id})
		require.ErrorIs(t, err, scanner.ErrUnreadable)
	}
	_, err := n.Verdict(t.Context(), scanner.Image{ID: image("c")})
	require.NoError(t, err)
}

func TestADecisionArrivesWithAllThatTheConsoleShows(t *testing.T) {
	n := connected(t)
	n.decide(1)
	eventually(t, func() bool { return n.central.Count() == 1 })
	e := n.central.Decisions()[0].GetEvent()
	require.NotNil(t, e.GetFirstTime())
	text, err := json.Marshal(e.GetMatches()[0].AsMap())
	require.NoError(t, err)
	require.JSONEq(t, `{"policy": "p", "template": "RiskyImage", "action": "block",
		"evidence": [{"vulnerability": {"id": "CVE-2021-44228", "severity": "Critical", "package": "log4j-core", "version": ""}}]}`, string(text))
	require.Equal(t, []string{"p", "RiskyImage", "policy", "blocked", "Critical", "CreateContainer", "cart:1�", image("a"), "east", "shop", "cart-0", "u1", "10.0.0.7", "app", "r1", "host-path", "/etc"},
		[]string{e.GetPolicy(), e.GetTemplate(), e.GetReason(), e.GetMessage(), e.GetSeverity(), e.GetOperation(), e.GetImage(), e.GetImageId(), e.GetCluster(), e.GetNamespace(),
			e.GetPod(), e.GetPodUid(), e.GetPodAddress(), e.GetContainer(), e.GetBundleRevision(), e.GetAsks()[0].GetParameter(), e.GetAsks()[0].GetDetail()})
	require.Equal(t, portcullisv1.Action_ACTION_BLOCK, e.GetAction())
}

func TestEveryDecisionIsCountedOnceThoughAnswersAreLostAndStreamsCut(t *testing.T) {
	n := connected(t)
	const rounds, each = 20, 30
	for round := range rounds {
		n.central.LoseAnswers(round%3 == 1)
		if round%4 == 2 {
			n.central.CutStreams()
		}
		if round == 10 {
			n.central.SetFault(func(_ context.Context, method string) error {
				if method == "UploadDecisions" {
					return connect.NewError(connect.CodeInternal, errors.New("database is away"))
				}
				return nil
			})
		}
		if round == 15 {
			n.central.SetFault(nil)
		}
		n.decide(each)
		if round%5 == 0 {
			n.stop()
			n.run(t, quick)
		}
	}
	n.central.LoseAnswers(false)
	eventually(t, func() bool { return n.central.Count() >= rounds*each })
	eventually(t, func() bool { return n.spool.Stats().Waiting == 0 })
	require.Equal(t, int64(rounds*each), n.central.Count())
}

func TestACentralWithoutItsDatabaseGetsNewDecisionsAllTheSame(t *testing.T) {
	n := connected(t)
	n.decide(5)
	eventually(t, func() bool { return n.central.Count() == 5 && n.spool.Stats().Waiting == 0 })
	n.central.LoseDatabase()
	n.decide(3)
	eventually(t, func() bool { return n.central.Count() == 3 })
	eventually(t, func() bool { return n.Stats().Uploaded == 8 })
}

// One decision that central cannot take does not keep back the others.
func TestADecisionThatCentralCannotTakeIsSentWithLessDetail(t *testing.T) {
	n := newNode(t, uplinktest.New(t))
	picky := &pickySpool{Spools: n.spool}
	n.decide(3)
	n.run(t, quick)
	n.stop()
	n.central.SetFault(picky.fault)
	var err error
	n.Uplink, err = uplink.New(uplink.Options{
		Addresses: n.addresses, Dir: n.dir, Policies: n.policies, Images: n.images, Spool: picky, Times: quick, Log: n.log,
		Info: func(context.Context) *portcullisv1.NodeInfo { return &portcullisv1.NodeInfo{} },
	})
	require.NoError(t, err)
	before := n.central.Count()
	n.decide(3)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); n.Run(ctx) }()
	eventually(t, func() bool { return n.central.Count() == before+3+(3-before) })
	cancel()
	<-done
}

// pickySpool lets its central refuse whatever is uploaded with several decisions or after few tries.
type pickySpool struct {
	*event.Spools
	most, tries atomic.Int64
}

func (p *pickySpool) Next(most int) (event.Batch, error) {
	p.most.Store(int64(most))
	return p.Spools.Next(most)
}

func (p *pickySpool) fault(_ context.Context, method string) error {
	if method == "UploadDecisions" && (p.most.Load() > 1 || p.tries.Add(1) == 1) {
		return connect.NewError(connect.CodeInvalidArgument, errors.New("matches[0]: too deep"))
	}
	return nil
}

func TestStartsAreFoldedAndBounded(t *testing.T) {
	n := newNode(t, uplinktest.New(t))
	times := quick
	times.Starts = time.Second
	n.run(t, times)
	for i := range 3 {
		n.Started(time.Now(), &policy.Container{Namespace: "shop", Pod: fmt.Sprint("cart-", i), Name: "app", Image: policy.Image{ID: image("a")}})
	}
	for i := range 5000 {
		n.Started(time.Now(), &policy.Container{Namespace: "flood", Name: fmt.Sprint(i), Image: policy.Image{ID: image("a")}})
	}
	eventually(t, func() bool { return len(n.central.Starts()) > 0 })
	require.LessOrEqual(t, len(n.central.Starts()), 2000)
	require.NotZero(t, n.Stats().StartsLost)
	for _, s := range n.central.Starts() {
		if s.GetNamespace() == "shop" {
			require.Equal(t, int64(3), s.GetCount())
			return
		}
	}
	t.Error("the starts of the shop are not reported")
}

func TestANodeThatWasRemovedSaysSoAndKeepsWhatItHas(t *testing.T) {
	n := connected(t)
	n.central.SetBundle(1, "good")
	eventually(t, func() bool { return n.policies.Bundle() == 1 })
	n.central.SetFault(func(context.Context, string) error {
		return connect.NewError(connect.CodePermissionDenied, errors.New("node was removed"))
	})
	n.central.CutStreams()
	eventually(t, func() bool { return n.logged("central refuses this node") })
	require.Equal(t, int64(1), n.policies.Bundle())
	require.False(t, n.Stats().Connected)
	n.central.SetFault(nil)
	eventually(t, func() bool { return n.Stats().Connected })
}

func TestCentralComesBackAfterAnyFault(t *testing.T) {
	other := uplinktest.NewAuthority(t)
	for name, c := range map[string]struct {
		fault func(n *node)
		says  string
	}{
		"stopped": {func(n *node) { n.central.Stop() }, "connection to central is lost"},
		"with a certificate of another authority": {func(n *node) {
			n.central.Stop()
			n.central.Serve(t, other, time.Now().Add(-time.Hour), 24*time.Hour)
		}, "certificate signed by unknown authority"},
		"with a certificate that has expired": {func(n *node) {
			n.central.Stop()
			n.central.Serve(t, n.central.Authority, time.Now().Add(-2*time.Hour), time.Hour)
		}, "certificate has expired"},
		"with errors": {func(n *node) {
			n.central.SetFault(func(context.Context, string) error { return connect.NewError(connect.CodeInternal, errors.New("oh")) })
			n.central.CutStreams()
		}, "internal: oh"},
	} {
		t.Run(name, func(t *testing.T) {
			n := connected(t)
			c.fault(n)
			eventually(t, func() bool { return n.logged(c.says) })
			require.False(t, n.Stats().Connected)
			n.decide(4)
			n.central.SetFault(nil)
			n.central.Stop()
			n.central.Serve(t, n.central.Authority, time.Now().Add(-time.Hour), 24*time.Hour)
			eventually(t, func() bool { return n.central.Count() == 4 })
		})
	}
}

func TestANodeThatIsSentAwayComesAgainWhenCentralHasSaid(t *testing.T) {
	n := newNode(t, uplinktest.New(t))
	n.images.set(image("a"))
	n.central.SetFault(func(_ context.Context, method string) error {
		if calls := n.central.Calls(method); calls > 1 || method != "ReportInventory" && method != "UploadDecisions" {
			return nil
		}
		busy := connect.NewError(connect.CodeUnavailable, errors.New("busy"))
		detail, err := connect.NewErrorDetail(&errdetails.RetryInfo{RetryDelay: durationpb.New(20 * time.Millisecond)})
		assert.NoError(t, err)
		busy.AddDetail(detail)
		return busy
	})
	n.decide(1)
	times := quick
	times.RetryMin, times.RetryMax = 24*time.Hour, 24*time.Hour
	n.run(t, times)
	eventually(t, func() bool { return n.central.Count() == 1 && len(n.central.Inventory()) == 1 })
	require.Equal(t, 2, n.central.Calls("ReportInventory"))
}

func TestACentralThatHangsIsGivenUp(t *testing.T) {
	n := newNode(t, uplinktest.New(t))
	times := quick
	times.Silence = 100 * time.Millisecond
	n.run(t, times)
	eventually(t, func() bool { return n.logged("central has been silent for too long") })
	eventually(t, func() bool { return n.central.Calls("Sync") > 2 })
}

func TestACallThatHangsKeepsNoOtherFromWorking(t *testing.T) {
	n := newNode(t, uplinktest.New(t))
	n.images.set(image("a"))
	release := make(chan struct{})
	n.central.SetFault(func(_ context.Context, method string) error {
		if method == "ReportInventory" || method == "UploadDecisions" {
			<-release
		}
		return nil
	})
	defer close(release)
	n.decide(1)
	n.run(t, quick)
	eventually(t, func() bool { return n.Stats().Connected })
	n.central.SetBundle(1, "good")
	eventually(t, func() bool { return n.central.State().GetBundle() == 1 })
}

func TestTheCertificateIsRenewedAtTwoThirdsOfItsLife(t *testing.T) {
	central := uplinktest.New(t)
	central.Life = 3 * time.Second
	n := newNode(t, central)
	before, err := os.ReadFile(filepath.Join(n.dir, "identity.pem"))
	require.NoError(t, err)
	central.Life = time.Hour
	n.run(t, quick)
	eventually(t, func() bool {
		after, err := os.ReadFile(filepath.Join(n.dir, "identity.pem"))
		return err == nil && string(after) != string(before)
	})
	eventually(t, func() bool { return n.Stats().Connected && n.central.Calls("Sync") > 1 })
	info, err := os.Stat(filepath.Join(n.dir, "identity.pem"))
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
}

// A node that was off, or whose central was away, for longer than certificates last is no stranger.
func TestACertificateThatHasExpiredIsRenewedWhenCentralIsBack(t *testing.T) {
	central := uplinktest.New(t)
	central.Life = time.Second // from a second ago
	n := newNode(t, central)
	central.Life = time.Hour
	n.run(t, quick)
	eventually(t, func() bool { return n.Stats().Connected })
	require.True(t, n.logged("the node's certificate was renewed"))
}

func TestOfSeveralAddressesOneThatWorksIsFound(t *testing.T) {
	n := newNode(t, uplinktest.New(t))
	away, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, away.Close())
	n.addresses = append(n.addresses, "https://"+away.Addr().String(), "https://localhost:1")
	n.run(t, quick)
	for range 5 {
		eventually(t, func() bool { return n.Stats().Connected })
		n.central.Stop()
		eventually(t, func() bool { return !n.Stats().Connected })
		n.central.Serve(t, n.central.Authority, time.Now().Add(-time.Hour), 24*time.Hour)
	}
	n.decide(4)
	eventually(t, func() bool { return n.central.Count() == 4 })
}

func TestAReplicaThatHasLostItsDatabaseIsLeft(t *testing.T) {
	one, other := uplinktest.New(t), uplinktest.New(t)
	other.Stop()
	other.Authority = one.Authority
	other.Serve(t, one.Authority, time.Now().Add(-time.Hour), 24*time.Hour)
	n := newNode(t, one)
	n.addresses = []string{one.Address(), other.Address()}
	times := quick
	times.Elsewhere = 50 * time.Millisecond
	n.run(t, times)
	eventually(t, func() bool { return n.Stats().Connected })
	lost, works := one, other
	if one.Calls("Sync") == 0 {
		lost, works = other, one
	}
	lost.SetFault(func(_ context.Context, method string) error {
		if method == "Sync" {
			return nil
		}
		return connect.NewError(connect.CodeUnavailable, errors.New("no database"))
	})
	works.SetBundle(1, "good")
	eventually(t, func() bool { return n.policies.Bundle() == 1 })
	require.True(t, n.logged("does not work at this address"))
}

func TestAReplicaIsNotLeftForWhatItHasAgainstACall(t *testing.T) {
	n := newNode(t, uplinktest.New(t))
	n.addresses = []string{n.central.Address(), "https://localhost:1"}
	times := quick
	times.Elsewhere = time.Millisecond
	n.run(t, times)
	eventually(t, func() bool { return n.Stats().Connected })
	streams := n.central.Calls("Sync")
	n.central.SetFault(func(_ context.Context, method string) error {
		if method == "ReportState" {
			return connect.NewError(connect.CodeInvalidArgument, errors.New("no"))
		}
		return nil
	})
	reported := n.central.Calls("ReportState")
	eventually(t, func() bool { return n.central.Calls("ReportState") > reported+5 })
	require.Equal(t, streams, n.central.Calls("Sync"))
	require.True(t, n.Stats().Connected)
}

func TestANodeThatHasNotJoinedSaysHowAndIsTakenUpWhenItHas(t *testing.T) {
	n := newNode(t, uplinktest.New(t))
	identity := filepath.Join(n.dir, "identity.pem")
	require.NoError(t, os.Rename(identity, identity+".away"))
	n.run(t, quick)
	eventually(t, func() bool { return n.logged("run portcullisd join") })
	require.NoError(t, os.Rename(identity+".away", identity))
	eventually(t, func() bool { return n.Stats().Connected })
}

// The node cannot know that central's certificate is good, or its own, and says why.
func TestAClockThatIsWrongIsToldAsWhatItLooksLike(t *testing.T) {
	n := newNode(t, uplinktest.New(t))
	n.now = func() time.Time { return time.Now().Add(-240 * time.Hour) }
	n.run(t, quick)
	eventually(t, func() bool { return n.logged("certificate has expired or is not yet valid: current time") })
	n.stop()
	n.now = func() time.Time { return time.Now().Add(240 * time.Hour) }
	n.run(t, quick)
	eventually(t, func() bool { return n.logged("the node's certificate has expired on") })
}

func TestJoinTrustsNobodyButTheAuthorityInTheToken(t *testing.T) {
	central := uplinktest.New(t)
	other := uplinktest.NewAuthority(t)
	for name, c := range map[string]struct{ address, token, want string }{
		"another central":   {central.Address(), uplinktest.Token + "." + other.Fingerprint(), "this is not the central that the token is for"},
		"no fingerprint":    {central.Address(), uplinktest.Token, "this is not a join token"},
		"a used token":      {central.Address(), "pcj_used.secret." + central.Authority.Fingerprint(), "token is used up, expired or unknown"},
		"another host":      {strings.Replace(central.Address(), "127.0.0.1", "localhost", 1), central.Token(), "certificate is not valid for any names"},
		"without TLS":       {strings.Replace(central.Address(), "https", "http", 1), central.Token(), "write https://HOST:PORT"},
		"no address at all": {"central", central.Token(), "write https://HOST:PORT"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			_, err := uplink.Join(t.Context(), uplink.Joining{Address: c.address, Token: c.token, Dir: dir})
			require.ErrorContains(t, err, c.want)
			require.NoFileExists(t, filepath.Join(dir, "identity.pem"))
			require.NotContains(t, err.Error(), "secret")
		})
	}
	dir := t.TempDir()
	joining := uplink.Joining{Address: central.Address(), Token: central.Token(), Dir: dir}
	id, err := uplink.Join(t.Context(), joining)
	require.NoError(t, err)
	require.Equal(t, "node-1", id)
	_, err = uplink.Join(t.Context(), joining)
	require.ErrorIs(t, err, uplink.ErrJoined)
}
