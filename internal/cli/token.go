package cli

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/types/known/timestamppb"

	portcullisv1 "portcullis/api/portcullis/v1"
	"portcullis/internal/cli/output"
)

func (p program) token() *cobra.Command {
	return parent("token", "Make, list and delete API tokens", p.createToken(), p.tokenList("list [ID...]"), p.deleteToken("delete ID..."))
}

func (p program) createToken() *cobra.Command {
	var description string
	var roles []portcullisv1.Role
	life := duration(90 * 24 * time.Hour)
	command := &cobra.Command{
		Use:   "create --description TEXT --role ROLE",
		Short: "Make an API token for a program",
		Long:  "Makes an API token and prints it, this once. It has never more rights than your user, and cannot make tokens.",
		Args:  cobra.NoArgs,
	}
	command.Flags().StringVar(&description, "description", "", "what it is for (required)")
	enumFlag(command, &roles, "role", "what it may do")
	command.Flags().Var(&life, "expires-in", "how long it is good, at most 365d")
	for _, name := range []string{"description", "role"} {
		_ = command.MarkFlagRequired(name) // fails for unknown flags only
	}
	return p.result(command, func(c *call, _ []string) error {
		role, err := one("role", roles)
		if err != nil {
			return err
		}
		response, err := c.Sessions.CreateToken(c.ctx, &portcullisv1.CreateTokenRequest{
			Description: description, Role: role, ExpireTime: timestamppb.New(c.now.Add(time.Duration(life))),
		})
		if err != nil {
			return err
		}
		if c.Format != "table" {
			return c.Message(response)
		}
		fmt.Fprintln(c.Out, output.Line(response.GetSecret()))
		fmt.Fprintf(c.errOut, "This is shown once. Token %s expires %s; portcullis token delete ends it sooner.\n", response.GetToken().GetId(), output.Time(response.GetToken().GetExpireTime(), c.now))
		return nil
	})
}
