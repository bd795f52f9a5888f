package e2e

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sirupsen/logrus"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	runtime "k8s.io/cri-api/pkg/apis/runtime/v1"

	"portcullis/central/store/postgrestest"
	"portcullis/e2e/lab"
	"portcullis/event"
)

// chaos is a node on which containers are created while what it needs is killed, and who keeps account.
//
// A decision is made when it is in the node's spool, which is before its call is answered. So of a call whose
// answer was seen central counts exactly one decision, and of one without an answer one or none: which of
// the two, the spool's own numbering tells, for all of them together.
type chaos struct {
	*governed
	seed         uint64
	pod          *lab.Sandbox
	risky, clean lab.Container
	replicas     []*lab.Central // besides central

	mu                sync.Mutex
	certain, possible map[made]int64
	wrong             []string // answers that nobody should get
	calls             atomic.Int64
}

// made is a decision as central's events tell of it.
type made struct{ container, action string }

// watched alerts of what the chaos' clean containers ask for.
var watched = policy("watch NET_ADMIN", "Observe, days: 7", "template: PrivilegedStart\n  privileges: {parameters: [NET_ADMIN]}")

// newChaos gives a node policies and images.
func newChaos(g *governed) *chaos {
	c := &chaos{governed: g, seed: rand.Uint64(), certain: map[made]int64{}, possible: map[made]int64{}}
	g.t.Logf("seed %d", c.seed)
	riskyID, risky := g.image("risky")
	cleanID, clean := g.image("clean")
	c.risky = lab.Container{Image: riskyID, Reference: risky}
	c.clean = lab.Container{Image: cleanID, Reference: clean, AddCapabilities: []string{"NET_ADMIN"}}
	c.pod = g.pod(lab.Pod{Name: "shop"})
	g.upload(riskyID, log4shell)
	g.upload(cleanID)
	g.create(watched)
	g.create(noCriticals)
	c.becomes("first", c.risky, codes.PermissionDenied)
	return c
}

// becomes waits until creating a container of that name is answered so.
func (c *chaos) becomes(name string, container lab.Container, code codes.Code) {
	c.t.Helper()
	container.Name = name
	require.Eventually(c.t, func() bool { return status.Code(c.decide(container, "block")) == code }, patience, 20*time.Millisecond)
}

func (c *chaos) random(stream uint64) *rand.Rand {
	return rand.New(rand.NewPCG(c.seed, stream))
}

// decide creates a container, removes what could be created, and keeps account of the decision: of an action that
// is known where the answer does not tell.
func (c *chaos) decide(container lab.Container, action string) error {
	c.calls.Add(1)
	id, err := c.cri.Create(c.ctx, c.pod, container)
	if err == nil {
		if _, err := c.direct.Runtime.RemoveContainer(c.ctx, &runtime.RemoveContainerRequest{ContainerId: id}); err != nil {
			c.isWrong("removing %s: %v", container.Name, err)
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	switch code := status.Code(err); {
	case code == codes.PermissionDenied:
		c.certain[made{container.Name, "block"}]++
	case code == codes.OK && action == "alert":
		c.certain[made{container.Name, "alert"}]++
	case code == codes.Unavailable && !neverConnected(err):
		c.possible[made{container.Name, action}]++
	}
	return err
}

// neverConnected says that no daemon has seen a call.
func neverConnected(err error) bool {
	return strings.Contains(err.Error(), "Error while dialing") || strings.Contains(err.Error(), "error reading server preface")
}

// attempt is decide where the action cannot be another.
func (c *chaos) attempt(container lab.Container, action string) {
	err := c.decide(container, action)
	code := status.Code(err)
	if code == codes.Unavailable || code == codes.PermissionDenied && action == "block" || code == codes.OK && action == "alert" {
		return
	}
	c.isWrong("%s of %s: %v", action, container.Name, err)
}

func (c *chaos) isWrong(format string, args ...any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.wrong = append(c.wrong, fmt.Sprintf(format, args...))
}

// clients is how many create containers at a time, pace how long each rests between.
const (
	clients = 4
	pace    = 4 * time.Millisecond
)

// load creates containers until ctx ends. Many decisions are like others, which the spool and central fold;
// others are of a container that there is once only, so that it can be told of each whether it was counted once.
func (c *chaos) load(ctx context.Context) {
	var all sync.WaitGroup
	for client := range uint64(clients) {
		all.Go(func() {
			random, tick := c.random(client), time.NewTicker(pace)
			defer tick.Stop()
			for n := 0; ctx.Err() == nil; n++ {
				container, action := c.risky, "block"
				container.Name = fmt.Sprint("blocked-", random.IntN(5))
				switch one := random.IntN(40); {
				case one == 0:
					container, action = c.clean, "alert"
					container.Name = fmt.Sprintf("alerted-%d-%d", client, n)
				case one <= 4:
					container.Name = fmt.Sprintf("once-%d-%d", client, n)
				}
				c.attempt(container, action)
				<-tick.C
			}
		})
	}
	all.Wait()
}

// victim is what is killed and started again.
type victim struct {
	name  string
	kill  func(*rand.Rand) error
	start func() error
	kills int
}

// reign lasts for a while: every victim is killed at random times, and at last it is up again.
func (c *chaos) reign(lasts time.Duration, victims ...*victim) {
	ctx, cancel := context.WithTimeout(c.ctx, lasts)
	defer cancel()
	var all sync.WaitGroup
	failed := make([]error, len(victims))
	for i, v := range victims {
		all.Go(func() { failed[i] = v.suffer(ctx, c.random(uint64(100+i))) })
	}
	c.load(ctx)
	all.Wait()
	require.NoError(c.t, errors.Join(failed...))
	for _, v := range victims {
		c.t.Logf("%s was killed %d times", v.name, v.kills)
		require.Positive(c.t, v.kills)
	}
}

func (v *victim) suffer(ctx context.Context, random *rand.Rand) error {
	for {
		if rest(ctx, time.Duration(random.Int64N(int64(2*time.Second)))); ctx.Err() != nil {
			return nil
		}
		if err := v.kill(random); err != nil {
			return err
		}
		v.kills++
		rest(ctx, time.Duration(random.Int64N(int64(time.Second))))
		if err := v.start(); err != nil {
			return err
		}
	}
}

func rest(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

// settles waits until central has all that the node has, and stops the node.
func (c *chaos) settles() {
	c.t.Helper()
	c.connects()
	require.Eventually(c.t, func() bool { return c.metric("portcullis_spool_records") == 0 }, patience, 20*time.Millisecond)
	require.NoError(c.t, c.Stop())
}

// exact expects that central counts what was decided, every decision once.
func (c *chaos) exact() {
	c.t.Helper()
	made := c.spooled()
	for _, central := range append(c.replicas, c.central) {
		require.Equal(c.t, made, c.counted(central), "the spool's numbers say how many decisions the node has made")
	}
}

// counted is how many decisions central counts. It fails where one is missing whose answer was seen, or one was counted
// that was not made.
func (c *chaos) counted(central *lab.Central) (total int64) {
	c.t.Helper()
	require.Empty(c.t, c.wrong)
	events, err := central.Events(c.ctx, c.Node)
	require.NoError(c.t, err)
	counted := map[made]int64{}
	for _, e := range events {
		count, err := strconv.ParseInt(e["count"], 10, 64)
		require.NoError(c.t, err)
		counted[made{e["container"], e["action"]}] += count
		total += count
	}
	for decision, least := range c.certain {
		require.GreaterOrEqual(c.t, counted[decision], least, "lost: %v", decision)
	}
	for decision, count := range counted {
		require.LessOrEqual(c.t, count, c.certain[decision]+c.possible[decision], "counted twice: %v", decision)
	}
	c.t.Logf("%d calls; %d decisions whose answer was seen, %d calls whose answer was lost with its connection; central counts %d in %d events",
		c.calls.Load(), sum(c.certain), sum(c.possible), total, len(events))
	require.Positive(c.t, total)
	return total
}

func sum(decisions map[made]int64) (total int64) {
	for _, count := range decisions {
		total += count
	}
	return total
}

// spooled is how many decisions the node, which has stopped, has put into its spool: each has a number, and all
// were delivered.
func (c *chaos) spooled() int64 {
	c.t.Helper()
	log := logrus.New()
	log.SetOutput(c.t.Output())
	spool := event.OpenSpools(c.State("spool"), event.SpoolOptions{Log: log})
	defer func() { require.NoError(c.t, spool.Close()) }()
	batch, err := spool.Next(1)
	require.NoError(c.t, err)
	require.Empty(c.t, batch.Records, "all were delivered")
	require.NotContains(c.t, c.Log(), "delivered under a new name", "or numbers tell nothing")
	return batch.Through
}

func (c *chaos) killedNode() *victim {
	return &victim{name: "node", kill: func(*rand.Rand) error { return c.Kill() }, start: c.Start}
}

func killedCentral(central *lab.Central) *victim {
	return &victim{name: "central", kill: func(*rand.Rand) error { return central.Kill() }, start: central.Start}
}

// killedDatabase is killed by the kernel at one time, and stopped by its administrator at another.
func killedDatabase(database *postgrestest.Cluster) *victim {
	return &victim{name: "database", start: database.Start, kill: func(random *rand.Rand) error {
		if random.IntN(2) == 0 {
			return database.Stop()
		}
		return database.Kill()
	}}
}

// startPostgres starts a PostgreSQL with an empty database for one test.
func startPostgres(t *testing.T) (cluster *postgrestest.Cluster, url string) {
	t.Helper()
	cluster, err := postgrestest.New("/var/lib/postgresql") // the lab's own folders are for root only
	if cluster != nil {
		t.Cleanup(func() { require.NoError(t, cluster.Remove()) })
	}
	require.NoError(t, err)
	require.NoError(t, cluster.Start())
	url, err = cluster.Database(t.Context())
	require.NoError(t, err)
	return cluster, url
}

// chaosTime is how long containers are created while everything is killed.
const chaosTime = 12 * time.Second

func TestCountsAreExactWhateverIsKilledOnSQLite(t *testing.T) {
	needLab(t)
	t.Parallel()
	central := startCentral(t, lab.CentralOptions{})
	c := newChaos(govern(t, central, lab.PortcullisdOptions{SpoolSize: 4 << 20}))
	c.reign(chaosTime, c.killedNode(), killedCentral(central))
	c.lastKill()
	c.settles()
	c.exact()
}

func TestCountsAreExactWhateverIsKilledOnPostgreSQL(t *testing.T) {
	needLab(t)
	t.Parallel()
	database, url := startPostgres(t)
	central := startCentral(t, lab.CentralOptions{Database: url})
	c := newChaos(govern(t, central, lab.PortcullisdOptions{SpoolSize: 4 << 20}))
	c.reign(chaosTime, c.killedNode(), killedCentral(central), killedDatabase(database))
	c.lastKill()
	c.settles()
	c.exact()
}

// lastKill makes a node that has lost its central many times begin anew, which would rather wait.
func (c *chaos) lastKill() {
	c.t.Helper()
	require.NoError(c.t, c.Kill())
	c.startAgain()
}
