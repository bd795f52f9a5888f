package policies_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"connectrpc.com/connect"
	"github.com/stretchr/testify/require"

	portcullisv1 "portcullis/api/portcullis/v1"
	"portcullis/central/centraltest"
	"portcullis/central/policies"
	"portcullis/central/store"
	"portcullis/central/store/storetest"
)

func TestAPolicyIsToldAsItWasWritten(t *testing.T) {
	run(t, func(t *testing.T, f *fixture) {
		created := f.create("# why\n" + observing("镜像 \"quoted\" <b>'; DROP TABLE documents; --", 7))
		require.Equal(t, "镜像 \"quoted\" <b>'; DROP TABLE documents; --", created.GetName())
		require.Equal(t, "RiskyImage", created.GetTemplate())
		require.Equal(t, portcullisv1.PolicyState_POLICY_STATE_OBSERVING, created.GetState())
		require.Equal(t, noon, created.GetObservingSince().AsTime())
		require.Equal(t, noon.Add(7*24*time.Hour), created.GetEnforceAt().AsTime())
		require.EqualValues(t, 1, created.GetRevision())
		require.Equal(t, "user:ann", created.GetUpdatedBy())
		require.Equal(t, "Observe", created.GetSpec().GetFields()["effect"].GetStructValue().GetFields()["mode"].GetStringValue())
		require.NotContains(t, created.GetDocument(), "since")
		f.world.hits = map[string]policies.Hits{created.GetName(): {Blocked: 3, Alerted: 4}}
		got := f.get(created.GetName())
		require.EqualValues(t, []int64{3, 4}, []int64{got.GetBlocked(), got.GetAlerted()})
		require.Equal(t, noon.Add(-7*24*time.Hour), f.world.since)
		require.Equal(t, created.GetDocument(), got.GetDocument())
	})
}

func TestAnObservationCountsFromWhenItWasSwitchedOnOrItsEffectEdited(t *testing.T) {
	run(t, func(t *testing.T, f *fixture) {
		since := func(p *portcullisv1.Policy) time.Duration {
			_, docs := f.bundle()
			sent := docs.Policies[0].Spec.Effect.Since
			if p.GetObservingSince() == nil {
				require.Zero(t, sent)
				return -1
			}
			require.Equal(t, p.GetObservingSince().AsTime(), sent.UTC())
			return sent.Sub(noon)
		}
		update := func(document string) *portcullisv1.Policy {
			updated, err := f.UpdatePolicy(ctx, &portcullisv1.UpdatePolicyRequest{Document: document, Revision: f.get("p").GetRevision()})
			require.NoError(t, err)
			return updated.GetPolicy()
		}
		require.Zero(t, since(f.create(observing("p", 7))))
		f.world.Add(time.Hour)
		require.Zero(t, since(update(observing("p", 7)+"  description: other\n")), "another description began it anew")
		require.Equal(t, time.Hour, since(update(observing("p", 8))), "another effect did not begin it anew")
		f.world.Add(time.Hour)
		require.EqualValues(t, -1, since(f.enable(false)))
		require.Equal(t, 2*time.Hour, since(f.enable(true)))
		f.world.Add(time.Hour)
		require.Equal(t, 2*time.Hour, since(f.enable(true)), "it was on already")

		written := risky("p", "enabled: true", "effect: {mode: Observe, days: 2, since: 2026-11-23T02:00:00+02:00}")
		require.Equal(t, -12*time.Hour, since(update(written)))
		require.Contains(t, f.get("p").GetDocument(), "since: 2026-11-23T02:00:00+02:00")
		f.enable(false)
		require.Equal(t, 3*time.Hour, since(f.enable(true)), "switching on does not begin it anew")

		f.world.Add(48 * time.Hour)
		require.Equal(t, portcullisv1.PolicyState_POLICY_STATE_BLOCKING, f.get("p").GetState())
	})
}

func TestEveryChangeMakesABundleThatHoldsEverything(t *testing.T) {
	run(t, func(t *testing.T, f *fixture) {
		require.Zero(t, f.number())
		f.create(risky("b"))
		f.create(risky("a", "enabled: false", "effect: {mode: Immediate}"))
		f.except(exemption("e", "findings: [CVE-2021-44228]"))
		bundle, docs := f.bundle()
		require.EqualValues(t, 3, bundle.GetNumber())
		require.Equal(t, noon, bundle.GetCreateTime().AsTime())
		require.Equal(t, []string{"a", "b", "e"}, []string{docs.Policies[0].Metadata.Name, docs.Policies[1].Metadata.Name, docs.Exemptions[0].Metadata.Name})
		for _, name := range []string{"a", "b"} {
			_, err := f.DeletePolicy(ctx, &portcullisv1.DeletePolicyRequest{Name: name})
			require.NoError(t, err)
		}
		_, err := f.DeleteExemption(ctx, &portcullisv1.DeleteExemptionRequest{Name: "e", Revision: 1})
		require.NoError(t, err)
		bundle, _ = f.bundle()
		require.EqualValues(t, 6, bundle.GetNumber())
		require.Empty(t, bundle.GetDocuments())
	})
}

func TestAChangeToWhatIsInForceChangesNothing(t *testing.T) {
	run(t, func(t *testing.T, f *fixture) {
		f.create(risky("p"))
		updated, err := f.UpdatePolicy(ctx, &portcullisv1.UpdatePolicyRequest{Document: "# comment\n" + risky("p"), Revision: 1})
		require.NoError(t, err)
		require.EqualValues(t, 1, updated.GetPolicy().GetRevision())
		require.EqualValues(t, 1, f.enable(true).GetRevision())
		require.EqualValues(t, 1, f.number())
		require.Len(t, auditOf(t, f, "policy", "p"), 1)
	})
}

func TestTheHistoryHoldsEveryChangeAndTheDeletion(t *testing.T) {
	run(t, func(t *testing.T, f *fixture) {
		f.create(risky("p"))
		f.enable(false)
		_, err := f.DeletePolicy(ctx, &portcullisv1.DeletePolicyRequest{Name: "p", Revision: 2})
		require.NoError(t, err)
		require.EqualValues(t, 4, f.create(risky("p")).GetRevision(), "who saw revision 1 of the deleted policy could change this one")
		var got []string
		request := &portcullisv1.ListPolicyRevisionsRequest{Name: "p", PageSize: 3}
		for {
			page, err := f.ListPolicyRevisions(ctx, request)
			require.NoError(t, err)
			for _, r := range page.GetRevisions() {
				got = append(got, fmt.Sprintln(r.GetRevision(), r.GetAuthor(), r.GetDocument() != "", strings.Contains(r.GetDocument(), "enabled: false")))
			}
			if request.PageToken = page.GetNextPageToken(); request.PageToken == "" {
				break
			}
		}
		require.Equal(t, []string{"4 user:ann true false\n", "3 user:ann false false\n", "2 user:ann true true\n", "1 user:ann true false\n"}, got)
		_, err = f.ListPolicyRevisions(ctx, &portcullisv1.ListPolicyRevisionsRequest{Name: "other"})
		centraltest.Code(t, err, connect.CodeNotFound)
		entries := auditOf(t, f, "policy", "p")
		require.Len(t, entries, 4)
		require.Equal(t, "DeletePolicy", entries[1].Method)
		require.Contains(t, entries[1].Before, "enabled: false")
		require.Empty(t, entries[1].After)
		require.Equal(t, "192.0.2.1", entries[1].Address)
	})
}

func auditOf(t *testing.T, f *fixture, kind, name string) (entries []store.AuditEntry) {
	t.Helper()
	require.NoError(t, f.store.Read(ctx, func(tx *store.Tx) (err error) {
		entries, err = tx.Audit(ctx, store.AuditFilter{Kind: kind, Name: name}, "", 100)
		return err
	}))
	return entries
}

func TestTheSecondOfTwoEditorsIsToldAndLosesNothing(t *testing.T) {
	run(t, func(t *testing.T, f *fixture) {
		f.create(risky("p"))
		f.except(exemption("e", "findings: [CVE-2021-44228]"))
		f.enable(false)
		_, err := f.UpdatePolicy(ctx, &portcullisv1.UpdatePolicyRequest{Document: observing("p", 3), Revision: 1})
		centraltest.Code(t, err, connect.CodeAborted)
		require.ErrorContains(t, err, "is at revision 2 now, not 1")
		for _, err := range []error{
			second(f.SetPolicyEnabled(ctx, &portcullisv1.SetPolicyEnabledRequest{Name: "p", Enabled: true, Revision: 1})),
			second(f.DeletePolicy(ctx, &portcullisv1.DeletePolicyRequest{Name: "p", Revision: 3})),
			second(f.UpdateExemption(ctx, &portcullisv1.UpdateExemptionRequest{Document: exemption("e", "findings: [CVE-2021-44229]"), Revision: 2})),
			second(f.DeleteExemption(ctx, &portcullisv1.DeleteExemptionRequest{Name: "e", Revision: 2})),
		} {
			centraltest.Code(t, err, connect.CodeAborted)
		}
		require.EqualValues(t, 3, f.number())
		require.False(t, f.get("p").GetEnabled())
	})
}

func second[T any](_ T, err error) error { return err }

func TestOfWritersAtTheSameTimeExactlyOneWinsEachRevision(t *testing.T) {
	storetest.Run(t, func(t *testing.T, s *store.Store) {
		f, other := newFixture(t, s), newFixture(t, s)
		f.create(risky("shared"))
		const writers, rounds = 6, 4
		var wins, own sync.Map
		var all sync.WaitGroup
		for w := range writers {
			client := []*fixture{f, other}[w%2]
			all.Go(func() {
				for i := range rounds {
					name := fmt.Sprintf("own-%d-%d", w, i)
					if _, err := client.CreatePolicy(ctx, &portcullisv1.CreatePolicyRequest{Document: risky(name)}); err == nil {
						own.Store(name, true)
					} else {
						t.Error(err)
					}
					seen, err := client.GetPolicy(ctx, &portcullisv1.GetPolicyRequest{Name: "shared"})
					if err != nil {
						t.Error(err)
						return
					}
					document := risky("shared") + fmt.Sprintf("  description: %q\n", name)
					updated, err := client.UpdatePolicy(ctx, &portcullisv1.UpdatePolicyRequest{Document: document, Revision: seen.GetPolicy().GetRevision()})
					if err == nil {
						_, twice := wins.LoadOrStore(updated.GetPolicy().GetRevision(), name)
						if twice {
							t.Errorf("two writers made revision %d", updated.GetPolicy().GetRevision())
						}
					} else if connect.CodeOf(err) != connect.CodeAborted {
						t.Error(err)
					}
				}
			})
		}
		all.Wait()
		won := int64(0)
		wins.Range(func(any, any) bool { won++; return true })
		require.Positive(t, won)
		require.Equal(t, 1+won, f.get("shared").GetRevision())
		bundle, docs := f.bundle()
		require.Len(t, docs.Policies, 1+writers*rounds)
		require.Equal(t, 1+won+writers*rounds, bundle.GetNumber(), "a change without a bundle, or a bundle without a change")
	})
}

func TestTwoWritersCannotTogetherMakeWhatNeitherMay(t *testing.T) {
	run(t, func(t *testing.T, f *fixture) {
		var all sync.WaitGroup
		errs := make([]error, 4)
		for i := range errs {
			all.Go(func() {
				_, errs[i] = f.CreatePolicy(ctx, &portcullisv1.CreatePolicyRequest{Document: privileged(fmt.Sprint("p", i))})
			})
		}
		all.Wait()
		failed := 0
		for _, err := range errs {
			if err != nil {
				failed++
				require.Contains(t, problems(t, err)[0], "only one PrivilegedStart policy may exist")
			}
		}
		require.Equal(t, 3, failed)
		_, docs := f.bundle()
		require.Len(t, docs.Policies, 1)
	})
}

func TestWhatTheSetDoesNotAllowIsRefusedWithItsLine(t *testing.T) {
	run(t, func(t *testing.T, f *fixture) {
		f.create(privileged("the one"))
		f.create(risky("p"))
		_, err := f.CreatePolicy(ctx, &portcullisv1.CreatePolicyRequest{Document: privileged("another")})
		require.Equal(t, []string{`spec.template:4: only one PrivilegedStart policy may exist and "the one" is one; edit that one`}, problems(t, err))
		_, err = f.CreatePolicy(ctx, &portcullisv1.CreatePolicyRequest{Document: risky("p")})
		centraltest.Code(t, err, connect.CodeAlreadyExists)
		_, err = f.UpdatePolicy(ctx, &portcullisv1.UpdatePolicyRequest{Document: risky("the one"), Revision: 1})
		require.Equal(t, []string{`spec.template:5: the template of a policy never changes, and that of "the one" is PrivilegedStart; create another policy`}, problems(t, err))
		_, err = f.CreateExemption(ctx, &portcullisv1.CreateExemptionRequest{Document: "\n\n" + exemption("e", "images: [nginx], policies: [p, q]")})
		require.Equal(t, []string{`spec.policies[1]:6: there is no policy "q"; write the name of one, or leave policies out to mean all`}, problems(t, err))
		f.except(exemption("e", "images: [nginx], policies: [p]"))
		_, err = f.DeletePolicy(ctx, &portcullisv1.DeletePolicyRequest{Name: "p"})
		centraltest.Code(t, err, connect.CodeFailedPrecondition)
		require.ErrorContains(t, err, `exemption "e" names policy "p"`)
		require.EqualValues(t, 3, f.number())
	})
}

func TestListsAreNarrowedAndPaged(t *testing.T) {
	run(t, func(t *testing.T, f *fixture) {
		f.create(privileged("privileges"))
		f.create(observing("watch", 1))
		f.create(risky("off", "enabled: false", "effect: {mode: Immediate}", "description: Überall"))
		f.create(observing("watched", 3))
		f.world.Add(25 * time.Hour)
		list := func(r *portcullisv1.ListPoliciesRequest) (names []string) {
			r.PageSize = 1
			for {
				page, err := f.ListPolicies(ctx, r)
				require.NoError(t, err)
				for _, p := range page.GetPolicies() {
					names = append(names, p.GetName())
				}
				if r.PageToken = page.GetNextPageToken(); r.PageToken == "" {
					require.EqualValues(t, len(names), page.GetTotal())
					return names
				}
			}
		}
		require.Equal(t, []string{"off", "privileges", "watch", "watched"}, list(&portcullisv1.ListPoliciesRequest{}))
		require.Equal(t, []string{"off"}, list(&portcullisv1.ListPoliciesRequest{Search: "üBER"}))
		require.Equal(t, []string{"privileges"}, list(&portcullisv1.ListPoliciesRequest{Template: "PrivilegedStart"}))
		require.Equal(t, []string{"privileges", "watch"}, list(&portcullisv1.ListPoliciesRequest{States: []portcullisv1.PolicyState{portcullisv1.PolicyState_POLICY_STATE_BLOCKING}}))
		require.Equal(t, []string{"watched"}, list(&portcullisv1.ListPoliciesRequest{States: []portcullisv1.PolicyState{portcullisv1.PolicyState_POLICY_STATE_OBSERVING}}))
		require.Empty(t, list(&portcullisv1.ListPoliciesRequest{Search: "%"}))

		f.except(exemption("soon", "findings: [CVE-2021-44228]"))
		f.world.Add(24 * time.Hour)
		overview, err := f.GetPolicyOverview(ctx, &portcullisv1.GetPolicyOverviewRequest{})
		require.NoError(t, err)
		require.Equal(t, []int64{3, 2, 1, 1}, []int64{overview.GetEnabled(), overview.GetBlocking(), overview.GetObserving(), overview.GetDisabled()})
		require.Equal(t, "watched", overview.GetEnding()[0].GetName())
		require.Equal(t, "soon", overview.GetExpiring()[0].GetName())
	})
}

func TestAnExemptionIsToldAsItWasWrittenAndExpires(t *testing.T) {
	run(t, func(t *testing.T, f *fixture) {
		f.except(exemption("e", "findings: [CVE-2021-44228]"))
		updated, err := f.UpdateExemption(ctx, &portcullisv1.UpdateExemptionRequest{Document: exemption("e", "images: [nginx]"), Revision: 1})
		require.NoError(t, err)
		require.EqualValues(t, 2, updated.GetExemption().GetRevision())
		got, err := f.GetExemption(ctx, &portcullisv1.GetExemptionRequest{Name: "e"})
		require.NoError(t, err)
		e := got.GetExemption()
		require.Equal(t, []any{"accepted", "bob", time.Date(2026, 12, 1, 0, 0, 0, 0, time.UTC), false}, []any{e.GetReason(), e.GetAuthor(), e.GetExpireTime().AsTime(), e.GetExpired()})
		list := func(state portcullisv1.ExemptionState) []*portcullisv1.Exemption {
			found, err := f.ListExemptions(ctx, &portcullisv1.ListExemptionsRequest{Search: "BOB", States: []portcullisv1.ExemptionState{state}})
			require.NoError(t, err)
			require.Len(t, found.GetExemptions(), int(found.GetTotal()))
			return found.GetExemptions()
		}
		for _, state := range []portcullisv1.ExemptionState{
			portcullisv1.ExemptionState_EXEMPTION_STATE_ACTIVE, portcullisv1.ExemptionState_EXEMPTION_STATE_EXPIRING, portcullisv1.ExemptionState_EXEMPTION_STATE_EXPIRED,
		} {
			for other := range 4 {
				if other := portcullisv1.ExemptionState(other); other != state && other != 0 {
					require.Empty(t, list(other))
				}
			}
			require.Equal(t, state, list(state)[0].GetState())
			require.Equal(t, state == portcullisv1.ExemptionState_EXEMPTION_STATE_EXPIRED, list(state)[0].GetExpired())
			f.world.Add(7 * 24 * time.Hour)
		}
		_, err = f.ListExemptions(ctx, &portcullisv1.ListExemptionsRequest{States: []portcullisv1.ExemptionState{9}})
		require.ErrorContains(t, err, "choose active, expiring or expired")
	})
}
