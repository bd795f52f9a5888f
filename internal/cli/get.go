package cli

import (
	"github.com/spf13/cobra"
	"google.golang.org/protobuf/proto"

	portcullisv1 "portcullis/api/portcullis/v1"
	"portcullis/internal/cli/failure"
	"portcullis/internal/cli/output"
)

// The sizes of pages, which central allows.
const (
	page     = 100
	bigPages = 500
)

func (p program) get() *cobra.Command {
	return parent("get", "List things, or show some of them by name",
		p.policies("policies [NAME...]"), p.exemptions("exemptions [NAME...]"), p.nodeList("nodes [NAME|ID...]"),
		p.imageList("images [NAME|ID...]"), p.eventList("events [ID...]"), p.userList("users [NAME...]"), p.tokenList("tokens [ID...]"))
}

// named shows what was asked for by name, one by one.
func named[T proto.Message](c *call, kind output.Kind[T], names []string, find func(name string) (T, error)) error {
	var items []T
	for _, name := range names {
		item, err := find(name)
		if err != nil {
			return err
		}
		items = append(items, item)
	}
	return output.List(&c.Printer, kind, items, len(names) == 1)
}

// picked shows what was asked for by name, of all that there are; all of them for no names.
func picked[T proto.Message](c *call, kind output.Kind[T], names []string, all []T, name func(T) string) error {
	if len(names) == 0 {
		return output.List(&c.Printer, kind, all, false)
	}
	return named(c, kind, names, func(wanted string) (none T, err error) {
		for _, item := range all {
			if name(item) == wanted {
				return item, nil
			}
		}
		return none, failure.Refuse("%q does not exist", wanted)
	})
}

// limitFlag adds --limit.
func limitFlag(command *cobra.Command, limit *int, byDefault int) {
	command.Flags().IntVar(limit, "limit", byDefault, "show at most this `NUMBER`; 0 for all")
}

func (p program) policies(use string) *cobra.Command {
	request := &portcullisv1.ListPoliciesRequest{}
	var limit int
	command := &cobra.Command{Use: use, Aliases: []string{"policy", "imagepolicies", "imagepolicy"}, Short: "Policies, and what they did in the last 7 days", ValidArgsFunction: p.complete(policyNames)}
	command.Flags().StringVar(&request.Search, "search", "", "part of the name or description")
	command.Flags().StringVar(&request.Template, "template", "", "RiskyImage or PrivilegedStart")
	enumFlag(command, &request.States, "state", "only in these states")
	limitFlag(command, &limit, 0)
	return p.shown(command, func(c *call, names []string) error {
		if len(names) > 0 {
			return named(c, policyKind, names, c.policy)
		}
		items, err := pages(c, limit, page, func(size int32, token string) ([]*portcullisv1.Policy, string, int64, error) {
			request.PageSize, request.PageToken = size, token
			response, err := c.Policies.ListPolicies(c.ctx, request)
			return response.GetPolicies(), response.GetNextPageToken(), response.GetTotal(), err
		})
		if err != nil {
			return err
		}
		return output.List(&c.Printer, policyKind, items, false)
	})
}

func (c *call) policy(name string) (*portcullisv1.Policy, error) {
	response, err := c.Policies.GetPolicy(c.ctx, &portcullisv1.GetPolicyRequest{Name: name})
	return response.GetPolicy(), err
}

func (p program) exemptions(use string) *cobra.Command {
	request := &portcullisv1.ListExemptionsRequest{}
	var limit int
	command := &cobra.Command{Use: use, Aliases: []string{"exemption"}, Short: "Exemptions, and when they expire", ValidArgsFunction: p.complete(exemptionNames)}
	command.Flags().StringVar(&request.Search, "search", "", "part of the name, reason or author")
	limitFlag(command, &limit, 0)
	return p.shown(command, func(c *call, names []string) error {
		if len(names) > 0 {
			return named(c, exemptionKind, names, c.exemption)
		}
		items, err := pages(c, limit, page, func(size int32, token string) ([]*portcullisv1.Exemption, string, int64, error) {
			request.PageSize, request.PageToken = size, token
			response, err := c.Policies.ListExemptions(c.ctx, request)
			return response.GetExemptions(), response.GetNextPageToken(), response.GetTotal(), err
		})
		if err != nil {
			return err
		}
		return output.List(&c.Printer, exemptionKind, items, false)
	})
}

func (c *call) exemption(name string) (*portcullisv1.Exemption, error) {
	response, err := c.Policies.GetExemption(c.ctx, &portcullisv1.GetExemptionRequest{Name: name})
	return response.GetExemption(), err
}

func (p program) userList(use string) *cobra.Command {
	command := &cobra.Command{Use: use, Aliases: []string{"user"}, Short: "Users and their roles", ValidArgsFunction: p.complete(userNames)}
	return p.shown(command, func(c *call, names []string) error {
		response, err := c.Users.ListUsers(c.ctx, &portcullisv1.ListUsersRequest{})
		if err != nil {
			return err
		}
		return picked(c, userKind, names, response.GetUsers(), (*portcullisv1.User).GetName)
	})
}

func (p program) tokenList(use string) *cobra.Command {
	var all bool
	command := &cobra.Command{Use: use, Aliases: []string{"token"}, Short: "API tokens: your own or, for admins, everyone's", ValidArgsFunction: p.complete(tokenNames)}
	command.Flags().BoolVar(&all, "all", false, "of everyone")
	return p.shown(command, func(c *call, names []string) error {
		response, err := c.Sessions.ListTokens(c.ctx, &portcullisv1.ListTokensRequest{All: all})
		if err != nil {
			return err
		}
		return picked(c, tokenKind, names, response.GetTokens(), (*portcullisv1.Token).GetId)
	})
}
