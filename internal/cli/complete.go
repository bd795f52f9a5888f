package cli

import (
	"context"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/spf13/cobra"

	portcullisv1 "portcullis/api/portcullis/v1"
)

const (
	// completionTimeout is how long a person waits for a completion.
	completionTimeout = 3 * time.Second
	completions       = 100
)

// names lists names that may begin as what was typed.
type names func(c *call, begun string) ([]string, error)

// complete asks central for names. Whoever is not logged in gets none.
func (p program) complete(list names) func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	return func(command *cobra.Command, given []string, begun string) ([]string, cobra.ShellCompDirective) {
		c, err := p.newCall(command)
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		defer c.Close()
		var cancel context.CancelFunc
		c.ctx, cancel = context.WithTimeout(c.ctx, completionTimeout)
		defer cancel()
		all, err := list(c, begun)
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		var fitting []string
		for _, name := range all {
			if strings.HasPrefix(name, begun) && !slices.Contains(given, name) && harmless(name) {
				fitting = append(fitting, name)
			}
		}
		return fitting, cobra.ShellCompDirectiveNoFileComp
	}
}

// completeFirst completes the first argument only.
func (p program) completeFirst(list names) func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	complete := p.complete(list)
	return func(command *cobra.Command, given []string, begun string) ([]string, cobra.ShellCompDirective) {
		if len(given) > 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return complete(command, given, begun)
	}
}

func policyNames(c *call, begun string) ([]string, error) {
	response, err := c.Policies.ListPolicies(c.ctx, &portcullisv1.ListPoliciesRequest{Search: begun, PageSize: completions})
	return gather(response.GetPolicies(), (*portcullisv1.Policy).GetName), err
}

func exemptionNames(c *call, begun string) ([]string, error) {
	response, err := c.Policies.ListExemptions(c.ctx, &portcullisv1.ListExemptionsRequest{Search: begun, PageSize: completions})
	return gather(response.GetExemptions(), (*portcullisv1.Exemption).GetName), err
}

func nodeNames(c *call, begun string) ([]string, error) {
	response, err := c.Nodes.ListNodes(c.ctx, &portcullisv1.ListNodesRequest{Search: begun, PageSize: completions})
	return gather(response.GetNodes(), (*portcullisv1.Node).GetName), err
}

func imageNames(c *call, begun string) ([]string, error) {
	response, err := c.Images.ListImages(c.ctx, &portcullisv1.ListImagesRequest{Search: begun, PageSize: completions})
	var all []string
	for _, image := range response.GetImages() {
		all = append(append(all, image.GetTags()...), image.GetId())
	}
	return all, err
}

func userNames(c *call, _ string) ([]string, error) {
	response, err := c.Users.ListUsers(c.ctx, &portcullisv1.ListUsersRequest{})
	return gather(response.GetUsers(), (*portcullisv1.User).GetName), err
}

func tokenNames(c *call, _ string) ([]string, error) {
	response, err := c.Sessions.ListTokens(c.ctx, &portcullisv1.ListTokensRequest{})
	return gather(response.GetTokens(), (*portcullisv1.Token).GetId), err
}

func joinTokenNames(c *call, _ string) ([]string, error) {
	response, err := c.Nodes.ListJoinTokens(c.ctx, &portcullisv1.ListJoinTokensRequest{})
	return gather(response.GetTokens(), (*portcullisv1.JoinToken).GetId), err
}

// harmless leaves out what a shell might do something with: not every shell's completion quotes. Such a name
// has to be typed.
func harmless(name string) bool {
	return !strings.ContainsFunc(name, func(r rune) bool {
		return !unicode.IsLetter(r) && !unicode.IsDigit(r) && !strings.ContainsRune(" -_.:/@+,=", r)
	})
}

func gather[T any](items []T, name func(T) string) []string {
	texts := make([]string, len(items))
	for i, item := range items {
		texts[i] = name(item)
	}
	return texts
}
