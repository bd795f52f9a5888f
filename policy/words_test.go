package policy_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"portcullis/policy"
	"portcullis/scanner-client/verdict"
)

func TestEveryEvidenceIsSaidInAPhraseThatCanBeActedOn(t *testing.T) {
	for want, e := range map[string]policy.Evidence{
		"CVE-2021-44228 Critical in log4j-core 2.14.1 (fixed in 2.15.0)": {Vulnerability: &log4shell},
		"CVE-2026-1 High in zlib 1.3 (no fix yet)":                       {Vulnerability: &verdict.Vulnerability{ID: "CVE-2026-1", Severity: verdict.High, Package: "zlib", Version: "1.3"}},
		"trojan Unix.Trojan.Mirai-1 at /tmp/x":                           {Malware: &verdict.Malware{Type: "trojan", Signature: "Unix.Trojan.Mirai-1", Path: "/tmp/x"}},
		"High private-key at /app/key":                                   {Secret: &verdict.Secret{Level: verdict.High, Type: "private-key", Path: "/app/key"}},
		"High password at ENV P=abcd****":                                {Secret: &verdict.Secret{Level: verdict.High, Type: "password", History: "ENV P=abcd****"}},
		"asks for host-path (/etc)":                                      {Ask: &policy.Ask{Parameter: "host-path", Detail: "/etc"}},
		"asks for privileged":                                            {Ask: &policy.Ask{Parameter: "privileged"}},
		"not scanned for malware":                                        {Unknown: &policy.Unknown{Kind: verdict.KindMalware}},
		"the scan result for secrets could not be had":                   {Unknown: &policy.Unknown{Kind: verdict.KindSecrets, Failed: true}},
	} {
		require.Equal(t, want, e.String())
	}
}

func TestAMatchTellsTheWorstAndCountsTheRest(t *testing.T) {
	m := policy.Match{Policy: "p", Omitted: 7}
	for _, parameter := range []string{"privileged", "host-pid", "host-ipc", "host-network", "SYS_ADMIN"} {
		m.Evidence = append(m.Evidence, policy.Evidence{Ask: &policy.Ask{Parameter: parameter}})
	}
	require.Equal(t, `policy "p": asks for privileged; asks for host-pid; asks for host-ipc; and 9 more`, m.String())
}

func TestTextFromOutsideCannotBreakALine(t *testing.T) {
	require.Equal(t, "a�b�[31mc", policy.Printable("a\nb\x1b[31mc"))
	require.Len(t, []rune(policy.Printable(strings.Repeat("镜", 600))), 513)
}

func TestTheStricterOfTwoDecisionsKeepsTheMatchesOfBoth(t *testing.T) {
	alert := &policy.Decision{Action: policy.Alert, Reason: policy.ReasonPolicy, Matches: []policy.Match{{Policy: "a", Action: policy.Alert}}}
	block := &policy.Decision{Action: policy.Block, Reason: policy.ReasonPolicy, Matches: []policy.Match{{Policy: "b", Action: policy.Block}}}
	clean := &policy.Decision{Reason: policy.ReasonClean}
	joined := policy.Stricter(alert, block)
	require.Equal(t, policy.Block, joined.Action)
	require.Equal(t, "b", joined.Matches[0].Policy)
	require.Equal(t, "a", joined.Matches[1].Policy)
	require.Same(t, alert, policy.Stricter(clean, alert))
	require.Len(t, alert.Matches, 1, "decisions are shared and stay as they are")
}

func TestExplainTellsWhatEveryPolicyMadeOfIt(t *testing.T) {
	bundle := compile(t, policy.Options{},
		risky("b blocks", criticals), risky("c finds nothing", "risk: {malware: {}}"), strings.Replace(risky("d is off", criticals), "enabled: true", "enabled: false", 1),
		strings.Replace(risky("a is elsewhere", criticals), "images: {all: true}", "images: {all: true}, namespaces: {select: [prod]}", 1))
	d, steps := bundle.Explain(&policy.Container{Namespace: "shop"}, scanned(log4shell), noon)
	require.Equal(t, policy.Block, d.Action)
	require.Equal(t, []policy.Step{
		{Policy: "a is elsewhere", Says: `does not apply to namespace "shop"`},
		{Policy: "b blocks", Says: "blocks: CVE-2021-44228 Critical in log4j-core 2.14.1 (fixed in 2.15.0)"},
		{Policy: "c finds nothing", Says: "applies, and found nothing that it looks for"},
		{Policy: "d is off", Says: "is switched off"},
	}, steps)
}
