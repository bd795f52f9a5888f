package policy_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"

	"portcullis/policy"
	"portcullis/scanner-client/verdict"
)

func FuzzParseNeverPanicsAndWhatItTakesCompiles(f *testing.F) {
	f.Add([]byte(whole))
	f.Add([]byte(risky("p", `risk: {vulnerabilities: {components: [{name: a, version: ">=1.0 <2.0 || =2.3"}], gracePeriod: 14d}}`)))
	f.Add([]byte(observing + "---\nkind: [\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		docs, err := policy.Parse(policy.Source{Name: "f.yaml", Data: data})
		if err != nil {
			require.NotEmpty(t, err.Error())
			return
		}
		bundle, err := policy.Compile(docs, policy.Options{})
		require.NoError(t, err)
		bundle.Decide(benchContainer, scanned(log4shell), noon)
	})
}

func FuzzDecide(f *testing.F) {
	for seed := range uint64(8) {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, seed uint64) {
		w := newWorld(seed)
		at := w.time()
		before := w.decide(t, w.docs, at)

		shuffled := &policy.Documents{Policies: shuffle(w, w.docs.Policies), Exemptions: shuffle(w, w.docs.Exemptions)}
		if v := w.knowledge.Verdict; v != nil {
			w.knowledge.Verdict = &verdict.Verdict{
				Scanned: v.Scanned, Vulnerabilities: shuffle(w, v.Vulnerabilities), Malware: shuffle(w, v.Malware), Secrets: shuffle(w, v.Secrets),
			}
		}
		require.Empty(t, cmp.Diff(before, w.decide(t, shuffled, at)), "the order of policies, exemptions or findings matters")

		exempting := &policy.Documents{Policies: w.docs.Policies, Exemptions: append(w.docs.Exemptions, w.exemption("one more"))}
		require.LessOrEqual(t, w.decide(t, exempting, at).Action, before.Action, "an exemption made it stricter")

		stricter := &policy.Documents{Policies: append(w.docs.Policies, w.policy("one more")), Exemptions: w.docs.Exemptions}
		require.GreaterOrEqual(t, w.decide(t, stricter, at).Action, before.Action, "a policy made it milder")

		bundle := w.compile(t, w.docs)
		for range 8 { // the clock may jump either way
			at = w.time()
			require.Empty(t, cmp.Diff(w.decide(t, w.docs, at), bundle.Decide(w.container, w.knowledge, at)), "a kept decision is wrong at %s", at)
		}
	})
}

// world is documents, a container and what is known of it, all made from one seed.
type world struct {
	*rand.Rand
	docs      *policy.Documents
	container *policy.Container
	knowledge policy.Knowledge
}

func newWorld(seed uint64) *world {
	w := &world{Rand: rand.New(rand.NewPCG(seed, 0)), docs: &policy.Documents{}}
	for i := range w.IntN(6) {
		w.docs.Policies = append(w.docs.Policies, w.policy(fmt.Sprintf("p%d", i)))
	}
	if w.IntN(2) == 0 {
		w.docs.Policies = append(w.docs.Policies, w.privilegedStart())
	}
	for i := range w.IntN(3) {
		w.docs.Exemptions = append(w.docs.Exemptions, w.exemption(fmt.Sprintf("e%d", i)))
	}
	w.container = &policy.Container{
		Namespace: w.pick("shop", "system"),
		Image:     policy.Image{ID: imageID(w.IntN(2)), Tags: []string{w.pick("docker.io/library/nginx:1", "localhost/app:2")}},
	}
	for _, parameter := range w.some("privileged", "host-network", "SYS_ADMIN", "NET_RAW") {
		w.container.Asks = append(w.container.Asks, policy.Ask{Parameter: parameter})
	}
	w.knowledge.Failed = w.IntN(4) == 0
	if w.IntN(5) > 0 {
		w.knowledge.Verdict = w.verdict()
	}
	return w
}

func imageID(i int) string { return fmt.Sprintf("sha256:%064d", i) }

func (w *world) pick(words ...string) string { return words[w.IntN(len(words))] }

// some returns a random part of words, nil when that is none.
func (w *world) some(words ...string) []string {
	var part []string
	for _, word := range words {
		if w.IntN(3) == 0 {
			part = append(part, word)
		}
	}
	return part
}

func (w *world) time() time.Time { return noon.AddDate(0, 0, w.IntN(60)-30) }

func shuffle[T any](w *world, list []T) []T {
	mixed := append([]T(nil), list...)
	w.Shuffle(len(mixed), func(i, j int) { mixed[i], mixed[j] = mixed[j], mixed[i] })
	return mixed
}

func (w *world) policy(name string) policy.ImagePolicy {
	p := policy.ImagePolicy{APIVersion: policy.APIVersion, Kind: policy.KindImagePolicy, Metadata: policy.Metadata{Name: name}}
	p.Spec = policy.PolicySpec{
		Template: policy.TemplateRiskyImage, Enabled: w.IntN(5) > 0, Effect: w.effect(), Scope: w.scope(), Risk: &policy.Risk{},
		Unscanned: policy.Answer(w.pick("", "Allow", "Alert", "Block")),
	}
	if w.IntN(2) == 0 {
		p.Spec.Risk.Malware = &policy.Malware{Types: w.some("trojan", "miner")}
	}
	if w.IntN(2) == 0 {
		p.Spec.Risk.Secrets = &policy.Secrets{Types: w.some("password", "private-key"), Levels: w.some(verdict.SeverityNames()...)}
	}
	if p.Spec.Risk.Malware == nil && p.Spec.Risk.Secrets == nil || w.IntN(2) == 0 {
		p.Spec.Risk.Vulnerabilities = &policy.Vulnerabilities{
			CVEs: w.some("CVE-2026-1000", "CVE-2026-1001"), Classes: w.some("sql-injection", "other"), Labels: w.some("network", "fixable"),
			Severities: w.some(verdict.SeverityNames()...), OnlyFixable: w.IntN(3) == 0, GracePeriod: w.pick("", "", "7d", "14d"),
		}
		if w.IntN(2) == 0 {
			p.Spec.Risk.Vulnerabilities.Components = []policy.Component{{Name: "a", Version: w.pick("", "<1.5", ">=2 || =1.1")}}
		}
	}
	return p
}

func (w *world) privilegedStart() policy.ImagePolicy {
	p := w.policy("privileged")
	p.Spec.Template, p.Spec.Risk, p.Spec.Unscanned = policy.TemplatePrivilegedStart, nil, ""
	p.Spec.Privileges = &policy.Privileges{Parameters: w.some("high-risk", "network", "NET_RAW")}
	if len(p.Spec.Scope.Images.Select) > 0 && w.IntN(2) == 0 {
		p.Spec.Privileges.Rule = policy.AllowOnlySelected
	}
	return p
}

func (w *world) effect() policy.Effect {
	if w.IntN(2) == 0 {
		return policy.Effect{Mode: policy.Immediate}
	}
	return policy.Effect{Mode: policy.Observe, Days: 1 + w.IntN(20)}
}

func (w *world) scope() policy.Scope {
	s := policy.Scope{Images: policy.ImageScope{Select: w.some("nginx", "localhost/**", imageID(0))}}
	s.Images.All = s.Images.Select == nil
	if w.IntN(3) == 0 {
		s.Namespaces = &policy.NameScope{Exclude: []string{"sys*"}}
	}
	return s
}

func (w *world) exemption(name string) policy.Exemption {
	e := policy.Exemption{APIVersion: policy.APIVersion, Kind: policy.KindExemption, Metadata: policy.Metadata{Name: name}}
	e.Spec = policy.ExemptionSpec{
		Reason: "r", Author: "a", Expires: w.time(), Policies: w.some("p0", "p1", "privileged"),
		Images: w.some("nginx", imageID(1)), Findings: w.some("CVE-2026-1000", "CVE-2026-1001"),
	}
	if e.Spec.Images == nil && e.Spec.Findings == nil {
		e.Spec.Findings = []string{"CVE-2026-1002"}
	}
	return e
}

func (w *world) verdict() *verdict.Verdict {
	v := &verdict.Verdict{}
	for _, kind := range verdict.Kinds() {
		if w.IntN(4) > 0 {
			v.Scanned = append(v.Scanned, kind)
		}
	}
	for i := range w.IntN(12) {
		v.Vulnerabilities = append(v.Vulnerabilities, verdict.Vulnerability{
			ID: fmt.Sprintf("CVE-2026-%d", 1000+w.IntN(6)), Severity: verdict.Severity(w.IntN(6)), Package: w.pick("a", "b"), Type: "deb",
			Version: w.pick("", "1.0", "1.1", "2.0"), FixedVersion: w.pick("", "3.0"), CWEs: []int{[]int{79, 89}[w.IntN(2)]},
			Labels: w.some("network"), PublishedAt: w.time(), Path: fmt.Sprint(i),
		})
	}
	for i := range w.IntN(4) {
		v.Malware = append(v.Malware, verdict.Malware{Path: fmt.Sprint(i), Type: w.pick("trojan", "worm"), Severity: verdict.Severity(w.IntN(6))})
		v.Secrets = append(v.Secrets, verdict.Secret{Path: fmt.Sprint(i), Type: w.pick("password", "vcs-token"), Level: verdict.Severity(w.IntN(6))})
	}
	return v
}

func (w *world) compile(t *testing.T, docs *policy.Documents) *policy.Bundle {
	bundle, err := policy.Compile(docs, policy.Options{Since: func(*policy.ImagePolicy) time.Time { return noon.AddDate(0, 0, -10) }})
	require.NoError(t, err)
	return bundle
}

func (w *world) decide(t *testing.T, docs *policy.Documents, at time.Time) *policy.Decision {
	return w.compile(t, docs).Decide(w.container, w.knowledge, at)
}
