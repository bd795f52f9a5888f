package event_test

import (
	"bufio"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sirupsen/logrus"
	"github.com/sirupsen/logrus/hooks/test"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"portcullis/event"
	"portcullis/policy"
	"portcullis/scanner-client/verdict"
)

// The test program is also the process that is killed.
func TestMain(m *testing.M) {
	if dir := os.Getenv("SPOOL_OF_A_VICTIM"); dir != "" {
		decideUntilKilled(dir, os.Getenv("ROUND"))
		return
	}
	goleak.VerifyTestMain(m)
}

// decideUntilKilled prints a line after each decision, as the daemon answers after it.
func decideUntilKilled(dir, round string) {
	s := event.OpenSpools(dir, event.SpoolOptions{Log: logrus.New(), Size: 4 << 20})
	for i := 0; ; i++ {
		s.Record(time.Now(), "CreateContainer", container(fmt.Sprintf("%s-%d", round, i%17)), byPolicy(round), "no")
		fmt.Println(i + 1)
	}
}

func byPolicy(name string) *policy.Decision {
	d := blocked("CVE-2021-44228", "CVE-2022-0847")
	d.Matches[0].Policy = name
	return d
}

func openSpool(t *testing.T, dir string, size int64) (*event.Spools, *test.Hook) {
	t.Helper()
	log, hook := test.NewNullLogger()
	return event.OpenSpools(dir, event.SpoolOptions{Size: size, Log: log}), hook
}

// central counts decisions by policy, each record once, as the real one does.
type central struct {
	has    map[string]int64 // by spool
	counts map[string]int64 // by policy
}

func newCentral() *central { return &central{map[string]int64{}, map[string]int64{}} }

// take takes a batch that begins where central's knowledge ends and no other, and returns that end.
func (c *central) take(b event.Batch) int64 {
	if b.After == c.has[b.Spool] && b.Through > b.After {
		for _, r := range b.Records {
			c.counts[r.Policy] += r.Count
		}
		c.has[b.Spool] = b.Through
	}
	return c.has[b.Spool]
}

// drain delivers until nothing is left.
func (c *central) drain(t *testing.T, s *event.Spools) {
	t.Helper()
	for {
		b, err := s.Next(1000)
		require.NoError(t, err)
		if b.Through == b.After {
			return
		}
		require.NoError(t, s.Acknowledge(c.take(b)))
	}
}

func TestADecisionIsDeliveredWithAllThatIsKnownOfIt(t *testing.T) {
	s, _ := openSpool(t, t.TempDir(), 0)
	defer s.Close()
	c := container("a")
	c.PodAddress, c.Cluster = "10.0.0.7", "east"
	c.Asks = []policy.Ask{{Parameter: "host-path", Detail: "/etc"}}
	at := time.Date(2026, 11, 23, 10, 0, 0, 123456000, time.UTC)
	for i := range 3 {
		s.Record(at.Add(time.Duration(i)*time.Second), "CreateContainer", c, blocked("CVE-2021-44228"), "ask your security team")
	}
	b, err := s.Next(1000)
	require.NoError(t, err)
	require.Len(t, b.Records, 1)
	require.Equal(t, []int64{0, 3}, []int64{b.After, b.Through})
	want := &event.Record{
		Action: policy.Block, Policy: "no criticals", Template: policy.TemplateRiskyImage, Reason: policy.ReasonPolicy, Severity: "Critical",
		Because: blocked("CVE-2021-44228").Because(), Message: "ask your security team", Matches: blocked("CVE-2021-44228").Matches,
		Operation: "CreateContainer", Image: "cart:1", ImageID: "sha256:1", Cluster: "east", Namespace: "shop", Pod: "a", PodUID: "uid-a",
		PodAddress: "10.0.0.7", Container: "app", Asks: c.Asks, Revision: "r1", Count: 3, First: at, Last: at.Add(2 * time.Second),
	}
	require.Equal(t, want, b.Records[0])
	require.NoError(t, s.Acknowledge(b.Through))
	b, err = s.Next(1000)
	require.NoError(t, err)
	require.Empty(t, b.Records)
	require.Zero(t, s.Stats().Waiting)
}

func TestKillingTheProcessLosesNoDecisionThatWasAnswered(t *testing.T) {
	dir, c := t.TempDir(), newCentral()
	for n := range 12 {
		round := fmt.Sprint("round ", n)
		answered := killed(t, dir, round)
		s, _ := openSpool(t, dir, 4<<20)
		if n%3 == 0 { // else it waits for a later round
			c.drain(t, s)
			require.Zero(t, s.Stats().Damaged)
			// The last decision may have been written and not answered.
			require.Contains(t, []int64{answered, answered + 1}, c.counts[round])
		}
		require.NoError(t, s.Close())
	}
}

// killed runs a process that makes decisions, kills it at some moment, and returns how many were answered.
func killed(t *testing.T, dir, round string) int64 {
	t.Helper()
	victim := exec.Command(os.Args[0])
	victim.Env = append(os.Environ(), "SPOOL_OF_A_VICTIM="+dir, "ROUND="+round)
	victim.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	out, err := victim.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, victim.Start())
	until, answered := rand.Int64N(3000), int64(0)
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if answered++; answered == until+1 {
			require.NoError(t, victim.Process.Kill())
		}
	}
	require.Error(t, victim.Wait(), "it was killed")
	return answered
}

// What is counted is what was decided, whatever gets lost, comes twice or is cut short.
func TestCountsAreExactOverCrashesLostAnswersAndRepeatedBatches(t *testing.T) {
	for seed := range uint64(8) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			random := rand.New(rand.NewPCG(seed, 1))
			size := int64(64<<10) << random.IntN(3)
			dir, c, made := t.TempDir(), newCentral(), map[string]int64{}
			s, _ := openSpool(t, dir, size)
			var late []event.Batch // on their way, or answered by nobody
			for range 150 {
				switch random.IntN(8) {
				default:
					for range random.IntN(20) {
						name := fmt.Sprint("policy ", random.IntN(4))
						s.Record(time.Now(), "CreateContainer", container(fmt.Sprint(random.IntN(200))), byPolicy(name), "")
						made[name]++
					}
				case 5: // delivered, and the answer may get lost
					b, err := s.Next(1 + random.IntN(50))
					require.NoError(t, err)
					has := c.take(b)
					if late = append(late, b); random.IntN(3) > 0 {
						require.NoError(t, s.Acknowledge(has))
					}
				case 6: // a batch that was lost on the way, or comes again
					if len(late) > 0 {
						c.take(late[random.IntN(len(late))])
					}
					b, err := s.Next(1 + random.IntN(50))
					require.NoError(t, err)
					late = append(late, b)
				case 7: // killed
					if random.IntN(4) == 0 {
						s.Merge()
						s.Recover() // what is held in memory would be lost, as the documentation says
						left := t.TempDir()
						require.NoError(t, s.CopyTo(left))
						require.NoError(t, s.Close())
						s, _ = openSpool(t, left, size)
					}
				}
			}
			s.Merge()
			s.Recover()
			c.drain(t, s)
			require.Zero(t, s.Stats().Damaged)
			require.Equal(t, made, c.counts)
			require.NoError(t, s.Close())
		})
	}
}

func TestACentralThatLostItsDatabaseGetsTheRestUnderANewName(t *testing.T) {
	s, _ := openSpool(t, t.TempDir(), 0)
	defer s.Close()
	record := func() {
		s.Record(time.Now(), "CreateContainer", container("a"), blocked("CVE-2021-44228"), "")
	}
	record()
	newCentral().drain(t, s)
	record()
	restored := newCentral()
	restored.drain(t, s)
	require.Equal(t, map[string]int64{"no criticals": 1}, restored.counts)
}

func TestAFullSpoolMergesTheOldestAndCountsThemAll(t *testing.T) {
	const size = 64 << 10
	dir := t.TempDir()
	s, hook := openSpool(t, dir, size)
	made := int64(0)
	for range 1500 { // every one different, as an attacker would have it
		s.Record(time.Now(), "CreateContainer", container(fmt.Sprint("flood-", made)), byPolicy(fmt.Sprint("policy ", made%5)), "")
		made++
		s.Merge()
	}
	require.LessOrEqual(t, s.Stats().Bytes, int64(size+size/4))
	require.Contains(t, hook.LastEntry().Message, "the oldest decisions were merged")
	require.NoError(t, s.Close())

	s, _ = openSpool(t, dir, size)
	defer s.Close()
	c, summarised := newCentral(), 0
	b, err := s.Next(1000)
	require.NoError(t, err)
	for _, r := range b.Records {
		if r.Summarised {
			summarised++
		}
	}
	require.NotZero(t, summarised)
	c.drain(t, s)
	total := int64(0)
	for name, n := range c.counts {
		require.Equal(t, int64(300), n, name)
		total += n
	}
	require.Equal(t, made, total)
	require.Zero(t, s.Stats().Damaged)
}

// The process was killed after the merged segment was in place and before the others were removed.
func TestMergedSegmentsThatWereNotRemovedAreNotCountedTwice(t *testing.T) {
	const size = 64 << 10
	dir, before := t.TempDir(), t.TempDir()
	s, _ := openSpool(t, dir, size)
	for n := range 200 {
		s.Record(time.Now(), "CreateContainer", container(fmt.Sprint(n)), byPolicy("p"), "")
	}
	require.NoError(t, s.CopyTo(before))
	s.Merge()
	require.NoError(t, s.Close())
	for _, path := range event.Segments(before) {
		if to := filepath.Join(dir, "1", filepath.Base(path)); !exists(to) {
			require.NoError(t, os.Rename(path, to))
		}
	}
	unfinished := filepath.Join(dir, "1", ".new-1") // another merge was being written
	require.NoError(t, os.WriteFile(unfinished, []byte("half"), 0o600))
	s, _ = openSpool(t, dir, size)
	defer s.Close()
	require.NoFileExists(t, unfinished)
	c := newCentral()
	c.drain(t, s)
	require.Equal(t, map[string]int64{"p": 200}, c.counts)
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

func TestHugeEvidenceTakesLittleRoom(t *testing.T) {
	s, _ := openSpool(t, t.TempDir(), 0)
	defer s.Close()
	c := container(strings.Repeat("p", 1<<20))
	for i := range 10_000 {
		c.Asks = append(c.Asks, policy.Ask{Parameter: "host-path", Detail: strings.Repeat("\x00", 1000) + fmt.Sprint(i)})
	}
	d := blocked()
	for range policy.MaxEvidence {
		d.Matches[0].Evidence = append(d.Matches[0].Evidence, policy.Evidence{Malware: &verdict.Malware{Path: strings.Repeat("\x01", 1<<20)}})
	}
	for range 20 {
		s.Record(time.Now(), "CreateContainer", c, d, strings.Repeat("é", 1<<20))
	}
	require.Less(t, s.Stats().Bytes, int64(128<<10))
	b, err := s.Next(10)
	require.NoError(t, err)
	require.Len(t, b.Records, 1)
	require.Equal(t, int64(20), b.Records[0].Count)
}

func TestDamageIsSkippedCountedAndLoud(t *testing.T) {
	for name, c := range map[string]struct {
		damage    func(data []byte) []byte
		delivered int64
		damaged   int64
	}{
		"the end was not written":      {func(data []byte) []byte { return data[:len(data)-3] }, 9, 1},
		"a bit in the middle":          {func(data []byte) []byte { data[len(data)/2] ^= 1; return data }, 9, 1},
		"a stretch in the middle":      {func(data []byte) []byte { clear(data[len(data)/3 : len(data)/2]); return data }, -1, -1},
		"the heading":                  {func(data []byte) []byte { data[3] ^= 1; return data }, 10, 0},
		"something after the end":      {func(data []byte) []byte { return append(data, 1, 2, 3) }, 10, 1},
		"everything after the heading": {func(data []byte) []byte { clear(data[event.SegmentHeading:]); return data }, 0, 1},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			s, _ := openSpool(t, dir, 0)
			for n := range 10 {
				s.Record(time.Now(), "CreateContainer", container(fmt.Sprint(n)), byPolicy("p"), "")
			}
			require.NoError(t, s.Close())
			path := event.Segments(dir)[0]
			data, err := os.ReadFile(path)
			require.NoError(t, err)
			require.NoError(t, os.WriteFile(path, c.damage(data), 0o600))

			s, hook := openSpool(t, dir, 0)
			defer s.Close()
			s.Record(time.Now(), "CreateContainer", container("after"), byPolicy("later"), "")
			central := newCentral()
			central.drain(t, s)
			require.Equal(t, int64(1), central.counts["later"])
			if c.delivered < 0 {
				require.Equal(t, int64(10), central.counts["p"]+s.Stats().Damaged)
				return
			}
			require.Equal(t, c.delivered, central.counts["p"])
			require.Equal(t, c.damaged, s.Stats().Damaged)
			if c.damaged > 0 {
				require.Contains(t, hook.LastEntry().Message, "damaged")
			}
		})
	}
}

func TestACursorThatIsLostIsLoudAndLosesNothing(t *testing.T) {
	dir := t.TempDir()
	s, _ := openSpool(t, dir, 0)
	s.Record(time.Now(), "CreateContainer", container("a"), byPolicy("p"), "")
	require.NoError(t, s.Close())
	require.NoError(t, os.WriteFile(filepath.Join(dir, "1", "cursor"), make([]byte, 1024), 0o600))
	s, hook := openSpool(t, dir, 0)
	defer s.Close()
	require.Contains(t, hook.LastEntry().Message, "delivered under a new name")
	c := newCentral()
	c.drain(t, s)
	require.Equal(t, map[string]int64{"p": 1}, c.counts)
}

func TestAFolderThatCannotBeUsedDelaysNobodyAndNothingIsForgotten(t *testing.T) {
	parent := filepath.Join(t.TempDir(), "state")
	require.NoError(t, os.WriteFile(parent, nil, 0o600)) // not a folder
	s, hook := openSpool(t, filepath.Join(parent, "spool"), 0)
	defer s.Close()
	require.Contains(t, hook.LastEntry().Message, "spool cannot be written")
	for n := range 5000 {
		s.Record(time.Now(), "CreateContainer", container(fmt.Sprint(n)), byPolicy(fmt.Sprint(n%2)), "")
	}
	require.True(t, s.Stats().Trouble)
	require.Equal(t, int64(5000), s.Stats().Held)
	_, err := s.Next(1000)
	require.Error(t, err)

	require.NoError(t, os.Remove(parent))
	s.Recover()
	require.False(t, s.Stats().Trouble)
	c := newCentral()
	c.drain(t, s)
	require.Equal(t, map[string]int64{"0": 2500, "1": 2500}, c.counts)
}

// A small file system of its own fills up.
func TestAFullDiskIsLoudAndLosesNothing(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mount("none", dir, "tmpfs", 0, "size=64k"); err != nil {
		t.Skip("mounting needs root: ", err)
	}
	t.Cleanup(func() { require.NoError(t, syscall.Unmount(dir, syscall.MNT_DETACH)) })
	s, hook := openSpool(t, dir, 0)
	for n := range 500 {
		s.Record(time.Now(), "CreateContainer", container(fmt.Sprint(n)), byPolicy("p"), "")
	}
	require.True(t, s.Stats().Trouble)
	require.Contains(t, hook.AllEntries()[0].Message, "spool cannot be written")
	c := newCentral()
	c.drain(t, s)
	s.Recover() // what was delivered has made room
	c.drain(t, s)
	require.Equal(t, map[string]int64{"p": 500}, c.counts)
	require.NoError(t, s.Close())
}

// One process is replaced by another, and both answer for a while.
func TestTwoProcessesAtATimeLoseNothingAndOneDeliversForBoth(t *testing.T) {
	dir, log := t.TempDir(), logrus.New()
	record := func(s *event.Spools, n int) {
		for range n {
			s.Record(time.Now(), "CreateContainer", container("a"), byPolicy("p"), "")
		}
	}
	before := event.OpenSpools(dir, event.SpoolOptions{Log: log})
	record(before, 3)
	after := event.OpenSpools(dir, event.SpoolOptions{Log: log})
	defer after.Close()
	record(after, 2)
	record(before, 4)
	c := newCentral()
	deliver := func(s *event.Spools) {
		for {
			b, err := s.Next(1000)
			require.NoError(t, err)
			if b.Through == b.After {
				return
			}
			require.NoError(t, s.Acknowledge(c.take(b)))
		}
	}
	deliver(after)
	require.Equal(t, int64(2), c.counts["p"])
	require.NoError(t, before.Close())
	require.Eventually(t, func() bool { deliver(after); return c.counts["p"] == 9 }, time.Minute, 100*time.Millisecond)
	require.Eventually(t, func() bool { deliver(after); return !exists(filepath.Join(dir, "1")) }, time.Minute, 100*time.Millisecond)

	third := event.OpenSpools(dir, event.SpoolOptions{Log: log})
	defer third.Close()
	require.DirExists(t, filepath.Join(dir, "1"))
}

func FuzzSegment(f *testing.F) {
	dir := f.TempDir()
	log, _ := test.NewNullLogger()
	s := event.OpenSpools(dir, event.SpoolOptions{Log: log})
	for n := range 5 {
		s.Record(time.Unix(1_800_000_000, 0), "CreateContainer", container(fmt.Sprint(n%2)), byPolicy("p"), "")
	}
	require.NoError(f, s.Close())
	data, err := os.ReadFile(event.Segments(dir)[0])
	require.NoError(f, err)
	whole := data[event.SegmentHeading:]
	f.Add(whole, 0, byte(0))
	f.Add(whole, 100, byte(1))
	f.Fuzz(func(t *testing.T, data []byte, at int, flip byte) {
		event.ReadFrames(data)
		// One byte of a good segment that is another costs one whole record and its repeats at most.
		damaged := append([]byte{}, whole...)
		if at >= 0 && at < len(damaged) {
			damaged[at] ^= flip
			records, _, counted := event.ReadFrames(damaged)
			require.GreaterOrEqual(t, records, 2)
			require.LessOrEqual(t, counted, int64(5))
		}
	})
}

func BenchmarkSpool(b *testing.B) {
	log, _ := test.NewNullLogger()
	d := blocked()
	for range 50 {
		d.Matches[0].Evidence = append(d.Matches[0].Evidence, blocked("CVE-2021-44228").Matches[0].Evidence...)
	}
	for name, pods := range map[string]int{"again": 1, "different": 1 << 30} {
		b.Run(name, func(b *testing.B) {
			s := event.OpenSpools(b.TempDir(), event.SpoolOptions{Log: log, Size: 1 << 40})
			defer s.Close()
			c := container("a")
			for i := 0; b.Loop(); i++ {
				c.PodUID = fmt.Sprint(i % pods)
				s.Record(time.Now(), "CreateContainer", c, d, "no")
			}
		})
	}
}
