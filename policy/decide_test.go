package policy_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"portcullis/policy"
	"portcullis/scanner-client/verdict"
)

var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

func compile(t *testing.T, options policy.Options, sources ...string) *policy.Bundle {
	t.Helper()
	bundle, err := policy.Compile(parse(t, sources...), options)
	require.NoError(t, err)
	return bundle
}

func scanned(findings ...verdict.Vulnerability) policy.Knowledge {
	return policy.Knowledge{Verdict: &verdict.Verdict{Scanned: verdict.Kinds(), Vulnerabilities: findings}}
}

var log4shell = verdict.Vulnerability{ID: "CVE-2021-44228", Severity: verdict.Critical, Package: "log4j-core", Version: "2.14.1", FixedVersion: "2.15.0", Type: "maven"}

const observing = `apiVersion: portcullis/v1
kind: ImagePolicy
metadata: {name: observing}
spec:
  template: RiskyImage
  enabled: true
  effect: {mode: Observe, days: 7}
  risk: {vulnerabilities: {cves: [CVE-2021-44228]}}
  scope: {images: {all: true}}
`

func TestObservingTurnsToBlockAtExactlyEnforceAtAndBackWithTheClock(t *testing.T) {
	since := noon
	bundle := compile(t, policy.Options{Since: func(*policy.ImagePolicy) time.Time { return since }}, observing)
	container := &policy.Container{Image: policy.Image{ID: "sha256:a"}}
	knowledge := scanned(log4shell)
	enforceAt := noon.Add(7 * 24 * time.Hour)

	before := bundle.Decide(container, knowledge, enforceAt.Add(-1))
	require.Equal(t, policy.Alert, before.Action)
	require.Equal(t, enforceAt, before.Matches[0].EnforceAt)

	at := bundle.Decide(container, knowledge, enforceAt)
	require.Equal(t, policy.Block, at.Action)
	require.Zero(t, at.Matches[0].EnforceAt)

	require.Equal(t, policy.Alert, bundle.Decide(container, knowledge, enforceAt.Add(-1)).Action)
}

func TestACountdownThatHasNotStartedNeverBlocks(t *testing.T) {
	bundle := compile(t, policy.Options{}, observing)
	d := bundle.Decide(&policy.Container{}, scanned(log4shell), noon.AddDate(100, 0, 0))
	require.Equal(t, policy.Alert, d.Action)
	require.Zero(t, d.Matches[0].EnforceAt)
}

func TestUnknownsHaveTheDefaultsOfTheDesignAndOneAnswerEach(t *testing.T) {
	container := &policy.Container{Image: policy.Image{ID: "sha256:a"}}
	for name, c := range map[string]struct {
		defaults  policy.Unknowns
		line      string
		knowledge policy.Knowledge
		action    policy.Action
		reason    policy.Reason
	}{
		"unscanned, nothing set":         {line: criticals, action: policy.Allow, reason: policy.ReasonUnscanned},
		"failed, nothing set":            {line: criticals, knowledge: policy.Knowledge{Failed: true}, action: policy.Alert, reason: policy.ReasonSourceFailed},
		"unscanned, default block":       {defaults: policy.Unknowns{Unscanned: policy.AnswerBlock}, line: criticals, action: policy.Block, reason: policy.ReasonUnscanned},
		"failed, default allow":          {defaults: policy.Unknowns{SourceFailed: policy.AnswerAllow}, line: criticals, knowledge: policy.Knowledge{Failed: true}, action: policy.Allow, reason: policy.ReasonSourceFailed},
		"the policy's own answer wins":   {defaults: policy.Unknowns{Unscanned: policy.AnswerBlock}, line: criticals + "\n  unscanned: Alert", action: policy.Alert, reason: policy.ReasonUnscanned},
		"unscanned does not mean failed": {line: criticals + "\n  unscanned: Block", knowledge: policy.Knowledge{Failed: true}, action: policy.Alert, reason: policy.ReasonSourceFailed},
		"a kind that was not scanned": {line: "risk: {malware: {}}\n  unscanned: Block", knowledge: policy.Knowledge{Verdict: &verdict.Verdict{Scanned: []verdict.Kind{verdict.KindVulnerabilities}}},
			action: policy.Block, reason: policy.ReasonUnscanned},
		"a kind that nobody asks about": {line: criticals + "\n  unscanned: Block", knowledge: policy.Knowledge{Verdict: &verdict.Verdict{Scanned: []verdict.Kind{verdict.KindVulnerabilities}}},
			action: policy.Allow, reason: policy.ReasonClean},
	} {
		t.Run(name, func(t *testing.T) {
			d := compile(t, policy.Options{Defaults: c.defaults}, risky("p", c.line)).Decide(container, c.knowledge, noon)
			require.Equal(t, c.action, d.Action)
			require.Equal(t, c.reason, d.Reason)
		})
	}
}
