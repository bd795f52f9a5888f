package cli

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	portcullisv1 "portcullis/api/portcullis/v1"
)

func (p program) user() *cobra.Command {
	return parent("user", "Make, change, list and delete users; change your own password",
		p.createUser(), p.updateUser(), p.userList("list [NAME...]"), p.deleteUser("delete NAME..."), p.changePassword())
}

func (p program) createUser() *cobra.Command {
	var roles []portcullisv1.Role
	var external bool
	command := &cobra.Command{
		Use:   "create NAME --role ROLE",
		Short: "Make a user; the password is asked for, and has to be changed at the first login",
		Args:  cobra.ExactArgs(1), ValidArgsFunction: cobra.NoFileCompletions,
	}
	enumFlag(command, &roles, "role", "what they may do")
	command.Flags().BoolVar(&external, "external", false, "logs in by OIDC and has no password")
	_ = command.MarkFlagRequired("role") // fails for unknown flags only
	return p.central(command, func(c *call, arguments []string) error {
		role, err := one("role", roles)
		if err != nil {
			return err
		}
		request := &portcullisv1.CreateUserRequest{Name: arguments[0], Role: role}
		if !external {
			// An empty password would make an external user.
			if request.Password, err = c.askNewPassword(" of " + arguments[0]); err != nil {
				return err
			}
		}
		return c.each(arguments, "user", "created", func(string) error {
			_, err := c.Users.CreateUser(c.ctx, request)
			return err
		})
	})
}

func (c *call) askNewPassword(whose string) (string, error) {
	password, err := newTerminal(c.command).newPassword(whose)
	if err == nil && password == "" || errors.Is(err, errNoAnswer) {
		err = errors.New("a password is needed: type one, or write it into the first line of the input")
	}
	return password, err
}

func (p program) updateUser() *cobra.Command {
	var roles []portcullisv1.Role
	var enable, disable, password bool
	command := &cobra.Command{
		Use:   "update NAME",
		Short: "Change a user's role or password, or switch the user off or on",
		Args:  cobra.ExactArgs(1), ValidArgsFunction: p.completeFirst(userNames),
	}
	enumFlag(command, &roles, "role", "what they may do")
	command.Flags().BoolVar(&enable, "enable", false, "let the user log in again")
	command.Flags().BoolVar(&disable, "disable", false, "let the user log in no more, and end what is logged in")
	command.Flags().BoolVar(&password, "password", false, "ask for a new password, which has to be changed at the next login")
	command.MarkFlagsMutuallyExclusive("enable", "disable")
	command.MarkFlagsOneRequired("role", "enable", "disable", "password")
	return p.central(command, func(c *call, arguments []string) error {
		request := &portcullisv1.UpdateUserRequest{Name: arguments[0]}
		role, err := one("role", roles)
		if err != nil {
			return err
		}
		if role != 0 {
			request.Role = &role
		}
		if enable || disable {
			request.Disabled = &disable
		}
		if password {
			text, err := c.askNewPassword(" of " + arguments[0])
			if err != nil {
				return err
			}
			request.Password = &text
		}
		return c.each(arguments, "user", "configured", func(string) error {
			_, err := c.Users.UpdateUser(c.ctx, request)
			return err
		})
	})
}

func (p program) changePassword() *cobra.Command {
	command := &cobra.Command{
		Use:   "change-password",
		Short: "Change your own password and end your other sessions",
		Long:  "Asks for the old and the new password. Where the input is not a terminal they are its first two lines.",
		Args:  cobra.NoArgs,
	}
	return p.central(command, func(c *call, _ []string) error {
		terminal := newTerminal(command)
		old, err := terminal.secret("Old password: ")
		if err != nil {
			return err
		}
		chosen, err := terminal.newPassword("")
		if err != nil {
			return err
		}
		_, err = c.Sessions.ChangePassword(c.ctx, &portcullisv1.ChangePasswordRequest{OldPassword: old, NewPassword: chosen})
		if err == nil {
			fmt.Fprintln(c.Out, "password changed")
		}
		return err
	})
}
