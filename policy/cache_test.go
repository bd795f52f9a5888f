package policy_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"portcullis/policy"
	"portcullis/scanner-client/verdict"
)

func TestAKeptDecisionIsNotGivenToAnotherQuestion(t *testing.T) {
	bundle := compile(t, policy.Options{}, risky("p", criticals), privilegedStart)
	known := scanned(log4shell)
	base := policy.Container{
		Cluster: "prod", Namespace: "shop",
		Image: policy.Image{ID: imageID(1), Tags: []string{"docker.io/library/nginx:1"}, Digests: []string{"docker.io/library/nginx@" + imageID(2)}},
		Asks:  []policy.Ask{{Parameter: "host-network"}},
	}
	first := bundle.Decide(&base, known, noon)
	again := base
	require.Same(t, first, bundle.Decide(&again, known, noon.Add(time.Hour)))

	again.Name, again.Pod, again.PodUID, again.Image.Requested = "web", "web-0", "6f1c", "nginx"
	require.Same(t, first, bundle.Decide(&again, known, noon), "names of the pod decide nothing")

	for name, change := range map[string]func(*policy.Container, *policy.Knowledge){
		"image":     func(c *policy.Container, _ *policy.Knowledge) { c.Image.ID = imageID(3) },
		"tags":      func(c *policy.Container, _ *policy.Knowledge) { c.Image.Tags = []string{"docker.io/library/nginx:2"} },
		"digests":   func(c *policy.Container, _ *policy.Knowledge) { c.Image.Digests = nil },
		"namespace": func(c *policy.Container, _ *policy.Knowledge) { c.Namespace = "system" },
		"cluster":   func(c *policy.Container, _ *policy.Knowledge) { c.Cluster = "" },
		"asks":      func(c *policy.Container, _ *policy.Knowledge) { c.Asks = nil },
		"detail":    func(c *policy.Container, _ *policy.Knowledge) { c.Asks = []policy.Ask{{"host-network", "x"}} },
		"verdict":   func(_ *policy.Container, k *policy.Knowledge) { *k = scanned(log4shell) },
		"unscanned": func(_ *policy.Container, k *policy.Knowledge) { *k = policy.Knowledge{} },
		"failed":    func(_ *policy.Container, k *policy.Knowledge) { k.Failed = true },
	} {
		t.Run(name, func(t *testing.T) {
			other, knowledge := base, known
			change(&other, &knowledge)
			require.NotSame(t, first, bundle.Decide(&other, knowledge, noon))
		})
	}
}

func TestADecisionDoesNotChangeWithTheCallersSlices(t *testing.T) {
	bundle := compile(t, policy.Options{}, privilegedStart)
	c := policy.Container{Asks: []policy.Ask{{Parameter: "host-network"}}}
	d := bundle.Decide(&c, policy.Knowledge{}, noon)
	c.Asks[0].Parameter = "NET_RAW"
	require.Equal(t, "host-network", d.Matches[0].Evidence[0].Ask.Parameter)
	require.Equal(t, policy.Allow, bundle.Decide(&c, policy.Knowledge{}, noon).Action)
}

func TestKeptDecisionsAreBounded(t *testing.T) {
	bundle := compile(t, policy.Options{}, risky("p", "risk: {vulnerabilities: {severities: [Low, Medium, High, Critical]}}"))
	known := scanned(manyFindings(2000)...)
	first := bundle.Decide(&policy.Container{Image: policy.Image{ID: imageID(0)}}, known, noon)
	for i := 1; i < 100; i++ {
		bundle.Decide(&policy.Container{Image: policy.Image{ID: imageID(i)}}, known, noon)
	}
	again := bundle.Decide(&policy.Container{Image: policy.Image{ID: imageID(0)}}, known, noon)
	require.NotSame(t, first, again, "the oldest makes room")
	require.Equal(t, first, again)
}

func TestEvidenceIsBoundedAndCounted(t *testing.T) {
	bundle := compile(t, policy.Options{}, risky("p", "risk: {vulnerabilities: {severities: [Critical, High]}}"))
	m := bundle.Decide(&policy.Container{}, scanned(manyFindings(1200)...), noon).Matches[0]
	require.Len(t, m.Evidence, policy.MaxEvidence)
	require.Equal(t, 400-policy.MaxEvidence, m.Omitted)
	require.Equal(t, verdict.Critical, m.Evidence[0].Vulnerability.Severity)
}

func TestManyMayDecideAtOnce(t *testing.T) {
	bundle := compile(t, policy.Options{}, risky("p", criticals), privilegedStart)
	known := scanned(log4shell)
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for k := range 50 {
				c := &policy.Container{Image: policy.Image{ID: imageID(k % 5)}, Namespace: fmt.Sprint(i % 2)}
				if d := bundle.Decide(c, known, noon); d.Action != policy.Block {
					t.Errorf("got %v", d.Action)
				}
			}
		})
	}
	wg.Wait()
}
