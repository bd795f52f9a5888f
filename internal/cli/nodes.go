package cli

import (
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/types/known/durationpb"

	portcullisv1 "portcullis/api/portcullis/v1"
	"portcullis/internal/cli/failure"
	"portcullis/internal/cli/output"
)

func (p program) nodes() *cobra.Command {
	return parent("nodes", "List and remove central's nodes; make the tokens by which nodes join",
		p.nodeList("list [NAME|ID...]"), p.removeNode(),
		parent("join-token", "Make, list and delete join tokens", p.createJoinToken(), p.listJoinTokens(), p.deleteJoinToken()))
}

func (p program) nodeList(use string) *cobra.Command {
	request := &portcullisv1.ListNodesRequest{}
	var limit int
	command := &cobra.Command{Use: use, Aliases: []string{"node"}, Short: "Nodes, and whether the newest policies are in force there", ValidArgsFunction: p.complete(nodeNames)}
	command.Flags().StringVar(&request.Search, "search", "", "part of the name or of an address")
	command.Flags().StringArrayVar(&request.Clusters, "cluster", nil, "only of this cluster; may be repeated")
	enumFlag(command, &request.States, "state", "only in these states")
	limitFlag(command, &limit, 0)
	return p.shown(command, func(c *call, names []string) error {
		if len(names) > 0 {
			return named(c, nodeKind, names, c.node)
		}
		items, err := c.nodePages(request, limit)
		if err != nil {
			return err
		}
		return output.List(&c.Printer, nodeKind, items, false)
	})
}

func (c *call) nodePages(request *portcullisv1.ListNodesRequest, limit int) ([]*portcullisv1.Node, error) {
	return pages(c, limit, page, func(size int32, token string) ([]*portcullisv1.Node, string, int64, error) {
		request.PageSize, request.PageToken = size, token
		response, err := c.Nodes.ListNodes(c.ctx, request)
		return response.GetNodes(), response.GetNextPageToken(), response.GetTotal(), err
	})
}

// node finds one by its ID or its name.
func (c *call) node(name string) (*portcullisv1.Node, error) {
	if isID(name) {
		response, err := c.Nodes.GetNode(c.ctx, &portcullisv1.GetNodeRequest{Id: name})
		return response.GetNode(), err
	}
	alike, err := c.nodePages(&portcullisv1.ListNodesRequest{Search: name}, 0)
	if err != nil {
		return nil, err
	}
	var found *portcullisv1.Node
	for _, n := range alike {
		if n.GetName() != name {
			continue
		}
		if found != nil {
			return nil, fmt.Errorf("more than one node is called %q; name it by its ID, which portcullis get nodes -o wide shows", name)
		}
		found = n
	}
	if found == nil {
		return nil, failure.Refuse("node %q does not exist", name)
	}
	return found, nil
}

func (p program) removeNode() *cobra.Command {
	command := &cobra.Command{
		Use:   "remove NAME|ID...",
		Short: "End nodes' membership at once; what they had stays in force there until they join again or are uninstalled",
		Args:  cobra.MinimumNArgs(1), ValidArgsFunction: p.complete(nodeNames),
	}
	return p.central(command, func(c *call, names []string) error {
		return c.each(names, "node", "removed", func(name string) error {
			n, err := c.node(name)
			if err != nil {
				return err
			}
			_, err = c.Nodes.RemoveNode(c.ctx, &portcullisv1.RemoveNodeRequest{Id: n.GetId()})
			return err
		})
	})
}

func (p program) createJoinToken() *cobra.Command {
	request := &portcullisv1.CreateJoinTokenRequest{}
	ttl := duration(24 * time.Hour)
	command := &cobra.Command{
		Use:   "create",
		Short: "Make a join token, and say what to run on the node",
		Long:  "Makes a join token and prints it, this once; treat it like a password. On the error output stands what to run on the node.",
		Args:  cobra.NoArgs,
	}
	command.Flags().StringVar(&request.Description, "description", "", "what it is for")
	command.Flags().Var(&ttl, "ttl", "how long it can be used, 1m to 30d")
	command.Flags().Int32Var(&request.Uses, "uses", 1, "how many nodes may join with it")
	return p.result(command, func(c *call, _ []string) error {
		if request.GetUses() < 1 {
			return errors.New("--uses: write 1 or more")
		}
		request.Ttl = durationpb.New(time.Duration(ttl))
		response, err := c.Nodes.CreateJoinToken(c.ctx, request)
		if err != nil {
			return err
		}
		if c.Format != "table" {
			return c.Message(response)
		}
		fmt.Fprintln(c.Out, output.Line(response.GetSecret()))
		fmt.Fprintf(c.errOut, "This is shown once, and good for %s until %s. On the node, with the token in FILE:\n  %s\n",
			counted(int64(response.GetToken().GetUsesLeft()), "node"), output.Time(response.GetToken().GetExpireTime(), c.now), output.Line(response.GetCommand()))
		return nil
	})
}

func (p program) listJoinTokens() *cobra.Command {
	command := &cobra.Command{Use: "list", Short: "Join tokens that can still be used", Args: cobra.NoArgs}
	return p.shown(command, func(c *call, _ []string) error {
		response, err := c.Nodes.ListJoinTokens(c.ctx, &portcullisv1.ListJoinTokensRequest{})
		if err != nil {
			return err
		}
		return output.List(&c.Printer, joinTokenKind, response.GetTokens(), false)
	})
}

func (p program) deleteJoinToken() *cobra.Command {
	command := &cobra.Command{Use: "delete ID...", Short: "End join tokens; nodes that joined with them stay", Args: cobra.MinimumNArgs(1), ValidArgsFunction: p.complete(joinTokenNames)}
	return p.central(command, func(c *call, ids []string) error {
		return c.each(ids, "join-token", "deleted", func(id string) error {
			_, err := c.Nodes.DeleteJoinToken(c.ctx, &portcullisv1.DeleteJoinTokenRequest{Id: id})
			return err
		})
	})
}
