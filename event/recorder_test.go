package event_test

import (
	"errors"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sirupsen/logrus/hooks/test"
	"github.com/stretchr/testify/require"

	"portcullis/event"
	"portcullis/policy"
	"portcullis/scanner-client/verdict"
)

// sink keeps what is written to it.
type sink struct {
	mu      sync.Mutex
	events  []event.Event
	blocked chan struct{} // when not nil, Write waits for it
	err     error
}

func (s *sink) Write(e event.Event) error {
	if s.blocked != nil {
		<-s.blocked
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.events = append(s.events, e)
	return s.err
}

// counts returns the counts written so far and forgets them.
func (s *sink) counts() []int {
	s.mu.Lock()
	defer s.mu.Unlock()
	var counts []int
	for _, e := range s.events {
		counts = append(counts, e.Count)
	}
	s.events = nil
	return counts
}

func container(pod string) *policy.Container {
	return &policy.Container{Namespace: "shop", Pod: pod, PodUID: "uid-" + pod, Name: "app", Image: policy.Image{ID: "sha256:1", Requested: "cart:1"}}
}

func blocked(cves ...string) *policy.Decision {
	m := policy.Match{Policy: "no criticals", Template: policy.TemplateRiskyImage, Action: policy.Block}
	for _, cve := range cves {
		m.Evidence = append(m.Evidence, policy.Evidence{Vulnerability: &verdict.Vulnerability{ID: cve, Severity: verdict.Critical, Package: "p", Version: "1"}})
	}
	return &policy.Decision{Action: policy.Block, Reason: policy.ReasonPolicy, Matches: []policy.Match{m}, Revision: "r1"}
}

func recorder(t *testing.T, s event.Sink, options event.Options) *event.Recorder {
	t.Helper()
	options.Log, _ = test.NewNullLogger()
	return event.NewRecorder(s, options)
}

func TestTheFirstIsWrittenAtOnceAndRepeatsAreSummedUpExactly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &sink{}
		r := recorder(t, s, event.Options{FoldInterval: time.Minute})
		defer r.Close()
		record := func() { r.Record(time.Now(), "CreateContainer", container("a"), blocked("CVE-2021-44228"), "") }
		record()
		synctest.Wait()
		require.Equal(t, []int{1}, s.counts())
		for range 4 {
			record()
		}
		synctest.Wait()
		require.Empty(t, s.counts())
		time.Sleep(time.Minute + time.Second) //nolint:forbidigo // synctest's clock
		require.Equal(t, []int{4}, s.counts())
		record()
		time.Sleep(time.Minute) //nolint:forbidigo // synctest's clock
		require.Equal(t, []int{1}, s.counts())
	})
}

func TestWhatDoesNotRecurIsForgottenAndThenNewAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &sink{}
		r := recorder(t, s, event.Options{FoldInterval: time.Minute, MaxOpen: 1})
		defer r.Close()
		r.Record(time.Now(), "CreateContainer", container("a"), blocked("CVE-2021-44228"), "")
		time.Sleep(3 * time.Minute) //nolint:forbidigo // synctest's clock
		r.Record(time.Now(), "CreateContainer", container("a"), blocked("CVE-2021-44228"), "")
		synctest.Wait()
		require.Equal(t, []int{1, 1}, s.counts())
	})
}

func TestDifferentPodsAndDifferentFindingsAreDifferentEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &sink{}
		r := recorder(t, s, event.Options{})
		defer r.Close()
		r.Record(time.Now(), "CreateContainer", container("a"), blocked("CVE-2021-44228"), "")
		r.Record(time.Now(), "CreateContainer", container("b"), blocked("CVE-2021-44228"), "")
		r.Record(time.Now(), "CreateContainer", container("a"), blocked("CVE-2022-0847"), "")
		synctest.Wait()
		require.Equal(t, []int{1, 1, 1}, s.counts())
	})
}

func TestCloseWritesWhatHasNotBeenWritten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &sink{}
		r := recorder(t, s, event.Options{})
		for range 3 {
			r.Record(time.Now(), "CreateContainer", container("a"), blocked("CVE-2021-44228"), "")
		}
		r.Close()
		total := 0
		for _, n := range s.counts() {
			total += n
		}
		require.Equal(t, 3, total)
	})
}

func TestAStuckSinkHoldsNobodyUpAndWhatDoesNotFitIsCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &sink{blocked: make(chan struct{})}
		lost := 0
		r := recorder(t, s, event.Options{MaxOpen: 2, Lost: func() { lost++ }})
		for _, pod := range []string{"a", "b", "c", "a", "b"} {
			r.Record(time.Now(), "CreateContainer", container(pod), blocked("CVE-2021-44228"), "")
		}
		require.Equal(t, 1, lost)
		close(s.blocked)
		r.Close()
		total := 0
		for _, n := range s.counts() {
			total += n
		}
		require.Equal(t, 4, total)
	})
}

// A pod could otherwise hide a block behind ten thousand others.
func TestAFloodOfEventsDoesNotHideTheNextOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &sink{}
		r := recorder(t, s, event.Options{MaxOpen: 2, Lost: func() { t.Error("lost") }})
		for range 3 {
			for _, pod := range []string{"a", "b", "c", "d", "e"} {
				r.Record(time.Now(), "CreateContainer", container(pod), blocked("CVE-2021-44228"), "")
				r.Record(time.Now(), "CreateContainer", container(pod), blocked("CVE-2021-44228"), "")
				synctest.Wait()
			}
		}
		r.Close()
		total, pods := 0, map[string]int{}
		for _, e := range s.events {
			total += e.Count
			pods[e.Container.Pod] += e.Count
		}
		require.Equal(t, 30, total)
		require.Equal(t, 6, pods["e"])
	})
}

func TestEventsKeepNoMoreEvidenceThanTheyMay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &sink{}
		r := recorder(t, s, event.Options{MaxEvidence: 2, Lost: func() { t.Error("lost") }})
		for _, pod := range []string{"a", "b", "c", "d"} {
			r.Record(time.Now(), "CreateContainer", container(pod), blocked("CVE-2021-44228"), "")
			synctest.Wait()
		}
		r.Close()
		total := 0
		for _, e := range s.events {
			total += e.Count
			require.Equal(t, "CVE-2021-44228", e.Decision.Matches[0].Evidence[0].Vulnerability.ID)
		}
		require.Equal(t, 4, total)
	})
}

// Two images with thousands of findings would otherwise take all memory: every event of one of them would
// keep them all.
func TestAnEventDoesNotKeepTheVerdictItWasMadeFrom(t *testing.T) {
	r := recorder(t, &sink{}, event.Options{})
	defer r.Close()
	var collected atomic.Bool
	d := blocked("CVE-2021-44228")
	runtime.AddCleanup(d.Matches[0].Evidence[0].Vulnerability, func(c *atomic.Bool) { c.Store(true) }, &collected)
	r.Record(time.Now(), "CreateContainer", container("a"), d, "")
	d = nil
	require.Eventually(t, func() bool {
		runtime.GC()
		return collected.Load()
	}, 20*time.Second, time.Millisecond)
}

func TestAnEventThatCannotBeWrittenIsInTheLog(t *testing.T) {
	log, hook := test.NewNullLogger()
	r := event.NewRecorder(&sink{err: errors.New("no space")}, event.Options{Log: log})
	r.Record(time.Now(), "CreateContainer", container("a"), blocked("CVE-2021-44228"), "")
	r.Close()
	require.Equal(t, "event could not be written", hook.LastEntry().Message)
	require.Equal(t, "no criticals", hook.LastEntry().Data["policy"])
}
