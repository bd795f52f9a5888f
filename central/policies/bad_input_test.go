package policies_test

import (
	"encoding/base64"
	"fmt"
	"strings"
	"testing"

	"connectrpc.com/connect"
	"github.com/stretchr/testify/require"

	portcullisv1 "portcullis/api/portcullis/v1"
	"portcullis/central/centraltest"
	"portcullis/policy"
)

// taking are the calls that take one document.
func (f *fixture) taking() map[string]func(document string) error {
	return map[string]func(string) error{
		"CreatePolicy": func(d string) error {
			return second(f.CreatePolicy(ctx, &portcullisv1.CreatePolicyRequest{Document: d}))
		},
		"UpdatePolicy": func(d string) error {
			return second(f.UpdatePolicy(ctx, &portcullisv1.UpdatePolicyRequest{Document: d, Revision: 1}))
		},
		"CreateExemption": func(d string) error {
			return second(f.CreateExemption(ctx, &portcullisv1.CreateExemptionRequest{Document: d}))
		},
		"UpdateExemption": func(d string) error {
			return second(f.UpdateExemption(ctx, &portcullisv1.UpdateExemptionRequest{Document: d, Revision: 1}))
		},
		"PreviewPolicy": func(d string) error {
			return second(f.PreviewPolicy(ctx, &portcullisv1.PreviewPolicyRequest{Document: d}))
		},
	}
}

func TestADocumentThatIsNoneIsRefusedWithWhatToWriteInstead(t *testing.T) {
	f := once(t)
	bomb := "a: &a [x,x,x,x,x,x,x,x,x]\n"
	for c := 'b'; c <= 'i'; c++ {
		bomb += string(c) + ": &" + string(c) + " [" + strings.Repeat("*"+string(c-1)+",", 8) + "*" + string(c-1) + "]\n"
	}
	for name, call := range f.taking() {
		own, other := risky("p"), exemption("e", "images: [nginx]")
		wrong := "kind:2: is Exemption; write ImagePolicy here"
		if strings.HasSuffix(name, "Exemption") {
			own, other, wrong = other, own, "kind:2: is ImagePolicy; write Exemption here"
		}
		for document, want := range map[string]string{
			"":           "document:0: required; write a document that begins with apiVersion: portcullis/v1",
			" \n\t\n":    "document:0: required",
			"\x00":       "not valid YAML",
			"nonsense":   "kind:1: required",
			"kind: [\n":  "not valid YAML",
			"--- \n---":  "document is empty",
			bomb:         "anchors and aliases are not supported",
			other:        wrong,
			own + own:    "key is already set",
			"{}\n" + own: "not valid YAML",
			own + "---\n" + strings.Replace(strings.Replace(own, `"p"`, `"q"`, 1), `"e"`, `"f"`, 1): "document:0: holds 2 documents; send one",
			strings.Repeat("#", 1<<20+1):                   "document:0: is 1048577 bytes, at most 1048576 are taken",
			strings.Repeat("[", 10_000):                    "not valid YAML",
			"? " + strings.Repeat("k", 600) + "\n: [1, 2]": "keys are longer than 512 bytes together",
			strings.Replace(own, "spec:", "spec: # "+strings.Repeat("x", 2000)+"\n  "+strings.Repeat("y", 900)+": 1\nspec:", 1): ":",
			strings.Replace(own, `name: "`, `name: "`+strings.Repeat("n", 129), 1):                                              "metadata.name:3: has 130 characters, at most 128",
			strings.Replace(own, `name: "`, `name: "a\nb`, 1):                                                                   "metadata.name:3: contains a control character",
			strings.Replace(own, `name: "`, `name: "a\0b`, 1):                                                                   "metadata.name:3: contains a control character",
			strings.Replace(own, "spec:", "status: {}\nspec:", 1):                                                               "status:4: unknown key",
		} {
			require.Contains(t, strings.Join(problems(t, call(document)), "\n"), want, "%s of %.200q", name, document)
		}
	}
	require.Zero(t, f.number())
}

func TestADocumentWithThousandsOfMistakesGetsAShortAnswer(t *testing.T) {
	f := once(t)
	long := strings.Repeat("界", 2000)
	document := strings.Replace(risky("p"), "severities: [Critical]", "severities: ["+strings.Repeat(`"`+long+`", `, 100)+"]", 1)
	_, err := f.PreviewPolicy(ctx, &portcullisv1.PreviewPolicyRequest{Document: document})
	list := problems(t, err)
	require.Len(t, list, 21)
	require.Contains(t, list[20], "and ")
	require.Less(t, len(err.Error()), 8<<10)
}

func TestADocumentThatGrowsWhenItIsWrittenOutIsRefused(t *testing.T) {
	f := once(t)
	// Its canonical form stands in single quotes, where each of them is written twice.
	document := strings.Replace(exemption("e", "images: [nginx]"), "reason: accepted", `reason: "`+strings.Repeat("'", 600_000)+`"`, 1)
	_, err := f.CreateExemption(ctx, &portcullisv1.CreateExemptionRequest{Document: document})
	require.Contains(t, strings.Join(problems(t, err), "\n"), "at most 1048576 are taken")
}

func TestEveryFieldBesidesDocumentsIsChecked(t *testing.T) {
	run(t, func(t *testing.T, f *fixture) {
		f.create(risky("p"))
		for _, name := range []string{"", strings.Repeat("镜", policy.MaxName+1), "a\x00b", "a\nb"} {
			for _, err := range []error{
				second(f.GetPolicy(ctx, &portcullisv1.GetPolicyRequest{Name: name})),
				second(f.DeletePolicy(ctx, &portcullisv1.DeletePolicyRequest{Name: name})),
				second(f.SetPolicyEnabled(ctx, &portcullisv1.SetPolicyEnabledRequest{Name: name})),
				second(f.ListPolicyRevisions(ctx, &portcullisv1.ListPolicyRevisionsRequest{Name: name})),
				second(f.GetExemption(ctx, &portcullisv1.GetExemptionRequest{Name: name})),
				second(f.DeleteExemption(ctx, &portcullisv1.DeleteExemptionRequest{Name: name})),
			} {
				require.Contains(t, problems(t, err)[0], "name:0: ")
			}
		}
		for _, name := range []string{"'; DROP TABLE documents; --", "<script>alert(1)</script>", "P", strings.Repeat("镜", policy.MaxName), "%"} {
			for _, err := range []error{
				second(f.GetPolicy(ctx, &portcullisv1.GetPolicyRequest{Name: name})),
				second(f.DeletePolicy(ctx, &portcullisv1.DeletePolicyRequest{Name: name})),
				second(f.SetPolicyEnabled(ctx, &portcullisv1.SetPolicyEnabledRequest{Name: name})),
				second(f.UpdatePolicy(ctx, &portcullisv1.UpdatePolicyRequest{Document: risky(name), Revision: 1})),
				second(f.ListPolicyRevisions(ctx, &portcullisv1.ListPolicyRevisionsRequest{Name: name})),
				second(f.GetExemption(ctx, &portcullisv1.GetExemptionRequest{Name: name})),
				second(f.DeleteExemption(ctx, &portcullisv1.DeleteExemptionRequest{Name: name})),
				second(f.UpdateExemption(ctx, &portcullisv1.UpdateExemptionRequest{Document: exemption(name, "images: [nginx]"), Revision: 1})),
			} {
				centraltest.Code(t, err, connect.CodeNotFound)
			}
		}
		other, numbers := base64.RawURLEncoding.EncodeToString([]byte(`{"a":1}`)), base64.RawURLEncoding.EncodeToString([]byte("7"))
		for err, want := range map[error]string{
			second(f.UpdatePolicy(ctx, &portcullisv1.UpdatePolicyRequest{Document: risky("p")})):                              "revision:0: required",
			second(f.UpdatePolicy(ctx, &portcullisv1.UpdatePolicyRequest{Document: risky("p"), Revision: -1})):                "revision:0: required",
			second(f.UpdateExemption(ctx, &portcullisv1.UpdateExemptionRequest{Document: exemption("e", "images: [nginx]")})): "revision:0: required",
			second(f.DeletePolicy(ctx, &portcullisv1.DeletePolicyRequest{Name: "p", Revision: -1})):                           "revision:0: is -1",
			second(f.SetPolicyEnabled(ctx, &portcullisv1.SetPolicyEnabledRequest{Name: "p", Revision: -1})):                   "revision:0: is -1",
			second(f.DeleteExemption(ctx, &portcullisv1.DeleteExemptionRequest{Name: "e", Revision: -1})):                     "revision:0: is -1",
			second(f.ListPolicies(ctx, &portcullisv1.ListPoliciesRequest{Search: strings.Repeat("界", 201)})):                  "search:0: has 201 characters",
			second(f.ListPolicies(ctx, &portcullisv1.ListPoliciesRequest{Template: "riskyimage"})):                            "template:0: is not one",
			second(f.ListPolicies(ctx, &portcullisv1.ListPoliciesRequest{States: []portcullisv1.PolicyState{0}})):             "states:0: 0 is not a state",
			second(f.ListPolicies(ctx, &portcullisv1.ListPoliciesRequest{States: []portcullisv1.PolicyState{9}})):             "states:0: 9 is not a state",
			second(f.ListPolicies(ctx, &portcullisv1.ListPoliciesRequest{PageSize: 501})):                                     "page_size:0: 501 is out of range",
			second(f.ListPolicies(ctx, &portcullisv1.ListPoliciesRequest{PageToken: "?"})):                                    "page_token:0: ",
			second(f.ListPolicies(ctx, &portcullisv1.ListPoliciesRequest{PageToken: numbers})):                                "page_token:0: ",
			second(f.ListExemptions(ctx, &portcullisv1.ListExemptionsRequest{Search: strings.Repeat("x", 201)})):              "search:0: has 201 characters",
			second(f.ListExemptions(ctx, &portcullisv1.ListExemptionsRequest{PageSize: -1})):                                  "page_size:0: -1 is out of range",
			second(f.ListExemptions(ctx, &portcullisv1.ListExemptionsRequest{PageToken: other})):                              "page_token:0: ",
			second(f.ListPolicyRevisions(ctx, &portcullisv1.ListPolicyRevisionsRequest{Name: "p", PageSize: 501})):            "page_size:0: 501 is out of range",
			second(f.ListPolicyRevisions(ctx, &portcullisv1.ListPolicyRevisionsRequest{Name: "p", PageToken: other})):         "page_token:0: ",
		} {
			require.Contains(t, problems(t, err)[0], want)
		}
		_, err := f.ListPolicies(ctx, &portcullisv1.ListPoliciesRequest{Search: "a\x00b"})
		if err != nil { // SQLite looks for it and finds nothing
			centraltest.Code(t, err, connect.CodeInvalidArgument)
		}
		require.EqualValues(t, 1, f.number())
	})
}

func TestTimesAtTheEndsOfTheCalendarAreTold(t *testing.T) {
	run(t, func(t *testing.T, f *fixture) {
		for i, since := range []string{"9999-12-31T23:59:59Z", "0000-01-01T00:00:00Z", "1970-01-01T00:00:00Z", "0001-01-01T00:00:01Z"} {
			name := fmt.Sprint("p", i)
			f.create(risky(name, "enabled: true", "effect: {mode: Observe, days: 365, since: "+since+"}"))
			f.get(name)
			f.except(strings.Replace(exemption(fmt.Sprint("e", i), "images: [nginx]"), "2026-12-01T00:00:00Z", since, 1))
		}
		require.Equal(t, portcullisv1.PolicyState_POLICY_STATE_OBSERVING, f.get("p0").GetState())
		require.Equal(t, portcullisv1.PolicyState_POLICY_STATE_BLOCKING, f.get("p1").GetState())
		list, err := f.ListExemptions(ctx, &portcullisv1.ListExemptionsRequest{})
		require.NoError(t, err)
		for _, e := range list.GetExemptions() {
			require.NoError(t, e.GetExpireTime().CheckValid())
			require.Equal(t, e.GetName() != "e0", e.GetExpired())
		}
		policies, err := f.ListPolicies(ctx, &portcullisv1.ListPoliciesRequest{})
		require.NoError(t, err)
		for _, p := range policies.GetPolicies() {
			require.NoError(t, p.GetEnforceAt().CheckValid())
		}
		f.bundle()
	})
}
