package cli

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	portcullisv1 "portcullis/api/portcullis/v1"
	"portcullis/internal/cli/failure"
	"portcullis/internal/cli/output"
)

func (p program) delete() *cobra.Command {
	return parent("delete", "Delete policies, exemptions, users, tokens or reports",
		p.deletePolicy(), p.deleteExemption(), p.deleteUser("user NAME..."), p.deleteToken("token ID..."), p.deleteReport("report ID..."))
}

// each does the same for every name, and says so of each; where it fails it goes on with the others.
func (c *call) each(names []string, kind, done string, do func(name string) error) error {
	var failures []error
	for _, name := range names {
		if err := do(name); err != nil {
			failures = append(failures, fmt.Errorf("%s/%s: %w", kind, output.Line(name), failure.Say(err, c.Context.Address, nil)))
			continue
		}
		fmt.Fprintf(c.Out, "%s/%s %s\n", kind, output.Line(name), done)
	}
	return errors.Join(failures...)
}

func revisionFlag(command *cobra.Command, revision *int64) {
	command.Flags().Int64Var(revision, "revision", 0, "only if this is the newest `REVISION`; 0 for any")
}

// checkRevision refuses one revision for several things.
func checkRevision(revision int64, names []string) error {
	if revision < 0 || revision > 0 && len(names) > 1 {
		return errors.New("--revision is of one thing; write 1 or more, and one name")
	}
	return nil
}

func (p program) deletePolicy() *cobra.Command {
	var revision int64
	command := &cobra.Command{Use: "policy NAME...", Aliases: []string{"policies", "imagepolicy"}, Short: "Delete policies", Args: cobra.MinimumNArgs(1), ValidArgsFunction: p.complete(policyNames)}
	revisionFlag(command, &revision)
	return p.central(command, func(c *call, names []string) error {
		if err := checkRevision(revision, names); err != nil {
			return err
		}
		return c.each(names, "imagepolicy", "deleted", func(name string) error {
			_, err := c.Policies.DeletePolicy(c.ctx, &portcullisv1.DeletePolicyRequest{Name: name, Revision: revision})
			return err
		})
	})
}

func (p program) deleteExemption() *cobra.Command {
	var revision int64
	command := &cobra.Command{Use: "exemption NAME...", Aliases: []string{"exemptions"}, Short: "Delete exemptions", Args: cobra.MinimumNArgs(1), ValidArgsFunction: p.complete(exemptionNames)}
	revisionFlag(command, &revision)
	return p.central(command, func(c *call, names []string) error {
		if err := checkRevision(revision, names); err != nil {
			return err
		}
		return c.each(names, "exemption", "deleted", func(name string) error {
			_, err := c.Policies.DeleteExemption(c.ctx, &portcullisv1.DeleteExemptionRequest{Name: name, Revision: revision})
			return err
		})
	})
}

func (p program) deleteUser(use string) *cobra.Command {
	command := &cobra.Command{Use: use, Aliases: []string{"users"}, Short: "Delete users, their sessions and their tokens", Args: cobra.MinimumNArgs(1), ValidArgsFunction: p.complete(userNames)}
	return p.central(command, func(c *call, names []string) error {
		return c.each(names, "user", "deleted", func(name string) error {
			_, err := c.Users.DeleteUser(c.ctx, &portcullisv1.DeleteUserRequest{Name: name})
			return err
		})
	})
}

func (p program) deleteToken(use string) *cobra.Command {
	command := &cobra.Command{Use: use, Aliases: []string{"tokens"}, Short: "End API tokens", Args: cobra.MinimumNArgs(1), ValidArgsFunction: p.complete(tokenNames)}
	return p.central(command, func(c *call, ids []string) error {
		return c.each(ids, "token", "deleted", func(id string) error {
			_, err := c.Sessions.DeleteToken(c.ctx, &portcullisv1.DeleteTokenRequest{Id: id})
			return err
		})
	})
}

func (p program) deleteReport(use string) *cobra.Command {
	command := &cobra.Command{Use: use, Aliases: []string{"reports"}, Short: "Delete uploaded reports; describe image has their IDs", Args: cobra.MinimumNArgs(1), ValidArgsFunction: cobra.NoFileCompletions}
	return p.central(command, func(c *call, ids []string) error {
		return c.each(ids, "report", "deleted", func(id string) error {
			_, err := c.Images.DeleteReport(c.ctx, &portcullisv1.DeleteReportRequest{Id: id})
			return err
		})
	})
}

func (p program) enable() *cobra.Command {
	return parent("enable", "Switch policies on", p.setEnabled("Switch policies on; an observing one begins to observe anew", true))
}

func (p program) disable() *cobra.Command {
	return parent("disable", "Switch policies off", p.setEnabled("Switch policies off", false))
}

func (p program) setEnabled(short string, on bool) *cobra.Command {
	var revision int64
	command := &cobra.Command{Use: "policy NAME...", Aliases: []string{"policies", "imagepolicy"}, Short: short, Args: cobra.MinimumNArgs(1), ValidArgsFunction: p.complete(policyNames)}
	revisionFlag(command, &revision)
	return p.central(command, func(c *call, names []string) error {
		if err := checkRevision(revision, names); err != nil {
			return err
		}
		done := map[bool]string{true: "enabled", false: "disabled"}[on]
		return c.each(names, "imagepolicy", done, func(name string) error {
			_, err := c.Policies.SetPolicyEnabled(c.ctx, &portcullisv1.SetPolicyEnabledRequest{Name: name, Enabled: on, Revision: revision})
			return err
		})
	})
}
