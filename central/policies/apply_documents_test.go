package policies_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"
	"github.com/stretchr/testify/require"

	portcullisv1 "portcullis/api/portcullis/v1"
	"portcullis/central/centraltest"
	"portcullis/internal/strictyaml"
)

func joined(documents ...string) string { return strings.Join(documents, "---\n") }

func TestAppliedDocumentsAreInForceAndApplyingThemAgainChangesNothing(t *testing.T) {
	run(t, func(t *testing.T, f *fixture) {
		f.create(risky("old"))
		f.create(risky("same"))
		// The exemption names a policy that comes with it.
		documents := joined(exemption("e", "images: [nginx], policies: [new]"), risky("same"), observing("new", 3))
		require.Equal(t, []string{"ImagePolicy same UNCHANGED", "ImagePolicy new CREATED", "Exemption e CREATED"}, f.apply(documents, false))
		require.EqualValues(t, 3, f.number(), "one bundle for all")
		f.world.Add(time.Hour)
		require.Equal(t, []string{"ImagePolicy same UNCHANGED", "ImagePolicy new UNCHANGED", "Exemption e UNCHANGED"}, f.apply(documents, false))
		require.EqualValues(t, 3, f.number())
		require.Equal(t, noon, f.get("new").GetObservingSince().AsTime())

		require.Equal(t, []string{"ImagePolicy same UPDATED", "ImagePolicy new DELETED", "ImagePolicy old DELETED", "Exemption e DELETED"}, f.apply(risky("same")+"  description: d\n", true))
		bundle, docs := f.bundle()
		require.EqualValues(t, 4, bundle.GetNumber())
		require.Len(t, docs.Policies, 1)
		require.Equal(t, "ApplyDocuments", auditOf(t, f, "exemption", "e")[0].Method)
	})
}

func TestOneMistakeKeepsAllDocumentsFromBeingApplied(t *testing.T) {
	run(t, func(t *testing.T, f *fixture) {
		f.create(risky("p"))
		for documents, want := range map[string]string{
			joined(risky("a"), risky("b", "enabled: maybe", "effect: {mode: Immediate}")): "spec.enabled:18: ",
			joined(risky("a"), risky("a")):                                                          "metadata.name:13: ",
			joined(privileged("a"), privileged("b")):                                                "spec.template:",
			joined(risky("a"), strings.Replace(privileged("p"), "{template", "{\n  template", 1)):   "spec.template:15: the template of a policy never changes",
			joined(risky("a"), exemption("e", "images: [nginx], policies: [a, b]")):                 "spec.policies[1]:14: there is no policy \"b\"",
			joined(risky("a"), "kind: Secret\n"):                                                    "kind:11: ",
			joined(risky("a"), exemption("e", "images: [nginx], policies: [p]")) + "---\nkind: [\n": ":",
			"\n": "documents:0: required",
		} {
			_, err := f.ApplyDocuments(ctx, &portcullisv1.ApplyDocumentsRequest{Documents: documents})
			require.Contains(t, problems(t, err)[0], want)
		}
		require.EqualValues(t, 1, f.number())
		_, err := f.GetPolicy(ctx, &portcullisv1.GetPolicyRequest{Name: "a"})
		centraltest.Code(t, err, connect.CodeNotFound)
	})
}

func TestCommentsAndMarkersStandBetweenDocumentsAsInAFile(t *testing.T) {
	f := once(t)
	created := []string{"ImagePolicy a CREATED", "ImagePolicy b CREATED"}
	for _, documents := range []string{
		"# all\n\n---\n" + joined(risky("a"), risky("b")),
		"--- # first\n" + risky("a") + "...\n---\t\n" + risky("b") + "...\n",
		strings.ReplaceAll(joined("\n"+risky("a"), risky("b")), "\n", "\r\n"),
		risky("a", "enabled: true", "effect: {mode: Immediate}", "description: |", "  ---", "  text") + "...\n" + risky("b"),
	} {
		applied, err := f.ApplyDocuments(ctx, &portcullisv1.ApplyDocumentsRequest{Documents: documents, DryRun: true})
		require.NoError(t, err, documents)
		require.Equal(t, created, changes(applied))
	}
}

func TestPruningAPolicyThatAnExemptionNamesIsRefusedUnlessItGoesToo(t *testing.T) {
	f := once(t)
	f.create(risky("p"))
	f.except(exemption("e", "images: [nginx], policies: [p]"))
	_, err := f.ApplyDocuments(ctx, &portcullisv1.ApplyDocumentsRequest{Documents: joined(risky("q"), exemption("e", "images: [nginx], policies: [p]")), Prune: true})
	centraltest.Code(t, err, connect.CodeFailedPrecondition)
	require.Equal(t, []string{"ImagePolicy q CREATED", "ImagePolicy p DELETED", "Exemption e DELETED"}, f.apply(risky("q"), true))
}

func TestADryRunSaysWhatItWouldDoAndDoesNothing(t *testing.T) {
	run(t, func(t *testing.T, f *fixture) {
		f.create(risky("p"))
		before := f.export()
		applied, err := f.ApplyDocuments(ctx, &portcullisv1.ApplyDocumentsRequest{Documents: privileged("new"), Prune: true, DryRun: true})
		require.NoError(t, err)
		require.Equal(t, []string{"ImagePolicy new CREATED", "ImagePolicy p DELETED"}, changes(applied))
		_, err = f.ApplyDocuments(ctx, &portcullisv1.ApplyDocumentsRequest{Documents: exemption("e", "images: [nginx], policies: [none]"), DryRun: true})
		require.Contains(t, problems(t, err)[0], `there is no policy "none"`)
		require.Equal(t, before, f.export())
		require.EqualValues(t, 1, f.number())
		require.Empty(t, auditOf(t, f, "policy", "new"))
	})
}

func TestWhatIsExportedIsUnchangedWhereItCameFromAndTheSameElsewhere(t *testing.T) {
	run(t, func(t *testing.T, f *fixture) {
		require.Empty(t, f.export())
		f.apply(joined(
			observing("yes", 3), privileged("1e3"), risky("~"), risky("on: # - {"),
			risky("written", "enabled: true", "effect: {mode: Observe, days: 2, since: 2026-11-23T02:00:00.5+02:00}"),
			risky("texts", "enabled: false", "effect: {mode: Immediate}", `description: "two\nlines \u2028\u0007\x7f\x85 \"'"`),
			exemption("e", "images: [nginx]"),
		), false)
		exported := f.export()
		for _, change := range f.apply(exported, true) {
			require.True(t, strings.HasSuffix(change, " UNCHANGED"), change)
		}
		elsewhere := once(t)
		elsewhere.apply(exported, true)
		require.Equal(t, exported, elsewhere.export())
		require.Equal(t, "two\nlines \u2028\u0007\x7f\u0085 \"'", f.get("texts").GetSpec().GetFields()["description"].GetStringValue())
	})
}

func TestTheCanonicalFormOfEveryKnownCaseSaysTheSame(t *testing.T) {
	f := once(t)
	files, err := filepath.Glob("../../policy/testdata/cases/*.yaml")
	require.NoError(t, err)
	require.Greater(t, len(files), 100)
	for _, file := range files {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		docs, found := strictyaml.Split(file, text)
		require.NoError(t, found.Err())
		documents := docs[0].Scalar("policies")
		_, err = f.ApplyDocuments(ctx, &portcullisv1.ApplyDocumentsRequest{Documents: documents, Prune: true})
		if err != nil { // an exemption of the case may name a policy that is not in it
			require.Contains(t, problems(t, err)[0], "there is no policy", file)
			continue
		}
		for _, change := range f.apply(f.export(), true) {
			require.True(t, strings.HasSuffix(change, " UNCHANGED"), "%s: %s", file, change)
		}
		f.bundle()
	}
}

func TestThereIsALimitOfPoliciesAndOfTheirSize(t *testing.T) {
	f := once(t)
	var documents strings.Builder
	for i := range 10_001 {
		fmt.Fprintf(&documents, "---\napiVersion: portcullis/v1\nkind: Exemption\nmetadata: {name: e%d}\nspec: {reason: r, author: a, expires: 2027-01-01T00:00:00Z, images: [nginx]}\n", i)
	}
	_, err := f.ApplyDocuments(ctx, &portcullisv1.ApplyDocumentsRequest{Documents: documents.String()})
	centraltest.Code(t, err, connect.CodeResourceExhausted)
	require.ErrorContains(t, err, "10001 exemptions, at most 10000")
	require.Zero(t, f.number())

	_, err = f.ApplyDocuments(ctx, &portcullisv1.ApplyDocumentsRequest{Documents: risky("p") + strings.Repeat("---\n", 20_001)})
	require.Equal(t, []string{"documents:0: holds 20002 documents, at most 20000 are taken"}, problems(t, err))
	_, err = f.ApplyDocuments(ctx, &portcullisv1.ApplyDocumentsRequest{Documents: joined(risky("p"), "a: ["+strings.Repeat("1,", 1<<19)+"]")})
	require.Equal(t, []string{"documents:10: a document is 1048585 bytes, at most 1048576 are taken; split it"}, problems(t, err))
	_, err = f.ApplyDocuments(ctx, &portcullisv1.ApplyDocumentsRequest{Documents: strings.Repeat("#", 12<<20+1)})
	require.Equal(t, []string{"documents:0: is 12582913 bytes, at most 12582912 are taken"}, problems(t, err))
}
