package e2e

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"

	portcullisv1 "portcullis/api/portcullis/v1"
	api "portcullis/api/portcullis/v1/portcullisv1connect"
	"portcullis/e2e/lab"
	"portcullis/scanner-client/verdict"
)

// replicas are two centrals on one database, and a node that knows both.
type replicas struct {
	*chaos
	both  [2]*lab.Central
	probe lab.Container // may start while the policy "no probes" is off
	on    bool          // that policy
}

func newReplicas(t *testing.T) *replicas {
	_, url := startPostgres(t)
	one := startCentral(t, lab.CentralOptions{Database: url})
	other, err := one.Replica()
	require.NoError(t, err)
	stopped(t, other)
	g := govern(t, one, lab.PortcullisdOptions{Replicas: []*lab.Central{other}})
	r := &replicas{chaos: newChaos(g), both: [2]*lab.Central{one, other}, on: true}
	r.replicas = r.both[1:]
	id, reference := g.image("probe")
	r.probe = lab.Container{Image: id, Reference: reference}
	g.upload(id, verdict.Vulnerability{ID: "CVE-2026-10001", Severity: verdict.Low, Package: "probe", Version: "1", Type: "deb"})
	g.create(policy("no probes", "Immediate", "template: RiskyImage\n  risk: {vulnerabilities: {cves: [CVE-2026-10001]}}"))
	r.becomes("probe", r.probe, codes.PermissionDenied)
	return r
}

// at is which of the two the node is connected to.
func (r *replicas) at() int {
	r.t.Helper()
	r.connects()
	log := r.Log()
	line, _, _ := strings.Cut(log[strings.LastIndex(log, "connected to central"):], "\n")
	if strings.Contains(line, r.both[1].URL) {
		return 1
	}
	return 0
}

// change switches the policy at one of the two, and waits until that is in force on the node.
func (r *replicas) change(at int) {
	r.t.Helper()
	r.on = !r.on
	began := time.Now()
	policies := api.NewPolicyServiceClient(r.both[at].Client, r.both[at].URL)
	_, err := policies.SetPolicyEnabled(r.ctx, &portcullisv1.SetPolicyEnabledRequest{Name: "no probes", Enabled: r.on})
	require.NoError(r.t, err)
	code := codes.OK
	if r.on {
		code = codes.PermissionDenied
	}
	r.becomes("probe", r.probe, code)
	r.t.Logf("a change at replica %d was in force after %s", at, time.Since(began).Round(time.Millisecond))
}

func TestOfTwoReplicasEitherMayBeKilledUnderLoad(t *testing.T) {
	needLab(t)
	t.Parallel()
	r := newReplicas(t)
	ctx, cancel := context.WithCancel(r.ctx)
	defer cancel()
	var load sync.WaitGroup
	load.Go(func() { r.load(ctx) })
	defer load.Wait()
	defer cancel()
	for round := range 6 {
		at := r.at()
		r.change(1 - at) // and the node hears of it at the other
		killed := at
		if round%3 == 2 {
			killed = 1 - at
		}
		require.NoError(t, r.both[killed].Kill())
		r.change(1 - killed)
		require.Equal(t, 1-killed, r.at())
		require.NoError(t, r.both[killed].Start())
	}
	cancel()
	load.Wait()
	r.settles()
	r.exact()
	require.Empty(t, r.possible, "the node has answered every call")
}
