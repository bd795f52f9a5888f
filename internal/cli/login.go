package cli

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"connectrpc.com/connect"
	"github.com/spf13/cobra"

	portcullisv1 "portcullis/api/portcullis/v1"
	"portcullis/internal/cli/failure"
	"portcullis/internal/cli/output"
	"portcullis/internal/cli/target"
)

// loginFlags are the flags of login.
type loginFlags struct {
	name, authority, fingerprint, user, tokenFile string
}

func (p program) login() *cobra.Command {
	var flags loginFlags
	command := &cobra.Command{
		Use:   "login ADDRESS",
		Short: "Log in to a central and remember it",
		Long: `Logs in and remembers address, certificate authority and token in ~/.config/portcullis/config.yaml.

The first time, the fingerprint of central's certificate authority is shown: compare it with what central logged
at its start (authority=…), or with the output of
  openssl x509 -in /var/lib/portcullis-central/ca.crt -noout -fingerprint -sha256
--ca-fingerprint or --ca answer that beforehand.

Where the input is not a terminal its first line is the password and, for one who has to choose a new one, its
second line is that. Who logs in by OIDC makes an API token in the console and gives it by --token-file.`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	command.Flags().StringVar(&flags.name, contextFlag, "", "`NAME` to remember this login under (default the address's host)")
	command.Flags().StringVar(&flags.authority, "ca", "", "`FILE` with central's certificate authority, PEM")
	command.Flags().StringVar(&flags.fingerprint, "ca-fingerprint", "", "`SHA-256` fingerprint of central's certificate authority")
	command.Flags().StringVarP(&flags.user, "user", "u", "admin", "login `NAME`")
	command.Flags().StringVar(&flags.tokenFile, "token-file", "", "log in with the API token in this `FILE` instead of a password; - for the input")
	command.MarkFlagsMutuallyExclusive("ca", "ca-fingerprint")
	command.MarkFlagsMutuallyExclusive("user", "token-file")
	command.RunE = func(command *cobra.Command, arguments []string) error {
		address, err := target.ParseAddress(arguments[0])
		if err != nil {
			return err
		}
		return p.doLogin(command, address, flags)
	}
	return command
}

func (p program) doLogin(command *cobra.Command, address string, flags loginFlags) error {
	config, err := target.ReadConfig()
	if err != nil {
		return err
	}
	ctx := command.Context()
	terminal := newTerminal(command)
	to := target.Context{Name: flags.name, Address: address}
	if to.Name == "" {
		parsed, err := url.Parse(address)
		if err != nil {
			return err
		}
		to.Name = parsed.Host
	}
	if to.CertificateAuthority, err = flags.trust(ctx, terminal, config, to); err != nil {
		return err
	}
	session, err := p.begin(ctx, terminal, &to, flags)
	if err != nil {
		return failure.Say(err, address, nil)
	}
	config.Put(to)
	if err := config.Write(); err != nil {
		return err
	}
	fmt.Fprintf(command.OutOrStdout(), "logged in to %s as %s (%s), context %s\n", address, output.Line(session.GetName()), output.Word(session.GetRole()), to.Name)
	return nil
}

// trust finds the authority, PEM, that is to be trusted; empty for what the machine trusts.
func (f *loginFlags) trust(ctx context.Context, terminal *terminal, config *target.Config, to target.Context) (string, error) {
	if f.authority != "" {
		return target.ReadAuthority(f.authority)
	}
	presented, err := target.Present(ctx, to.Address)
	if err != nil {
		return "", fmt.Errorf("central at %s cannot be reached: %w", to.Address, err)
	}
	if f.fingerprint != "" {
		return presented.Authority(f.fingerprint)
	}
	shown := target.Fingerprint(presented.Root())
	if before, err := config.Context(to.Name); err == nil && before.Address == to.Address && before.CertificateAuthority != "" {
		if known, err := presented.Authority(shown); err == nil && known == before.CertificateAuthority {
			return known, nil
		}
		fmt.Fprintf(terminal.errOut, "WARNING: the certificate authority is not the one of the last login. Either central was set up anew, or somebody in between pretends to be it.\n")
	} else if presented.Known() {
		return "", nil
	}
	if !terminal.attended() {
		return "", fmt.Errorf("nobody is here to be asked whether %s is the fingerprint of central's authority; write --ca-fingerprint or --ca", shown)
	}
	fmt.Fprintf(terminal.errOut, "The certificate authority of %s has the SHA-256 fingerprint\n  %s\nCentral logs its own at its start: authority=…\n", to.Address, shown)
	answer, err := terminal.line("Are the two the same (yes/no)? ")
	if err != nil || !strings.EqualFold(strings.TrimSpace(answer), "yes") {
		return "", errors.Join(errors.New("not trusted; nothing was sent"), err)
	}
	return presented.Authority(shown)
}

// begin gets a token into the context, and returns whose it is.
func (p program) begin(ctx context.Context, terminal *terminal, to *target.Context, flags loginFlags) (*portcullisv1.User, error) {
	if flags.tokenFile != "" {
		token, err := terminal.readSecretFile(flags.tokenFile)
		if err != nil {
			return nil, err
		}
		to.Token = token
		return p.caller(ctx, *to)
	}
	central, err := target.Connect(*to, p.version)
	if err != nil {
		return nil, err
	}
	defer central.Close()
	options, err := central.Sessions.GetLoginOptions(ctx, &portcullisv1.GetLoginOptionsRequest{})
	if err != nil {
		return nil, err
	}
	if !options.GetPassword() {
		return nil, errors.New("this central takes no passwords; make an API token in its console, and write --token-file")
	}
	password, err := terminal.secret("Password of " + flags.user + ": ")
	if err != nil {
		return nil, err
	}
	login, err := central.Sessions.Login(ctx, &portcullisv1.LoginRequest{Name: flags.user, Password: password, Token: true})
	if connect.CodeOf(err) == connect.CodeUnauthenticated {
		return nil, failure.Refuse("name or password is wrong")
	}
	if err != nil {
		return nil, err
	}
	to.Token = login.GetToken()
	if login.GetUser().GetMustChangePassword() {
		return login.GetUser(), p.firstPassword(ctx, terminal, *to, password)
	}
	return login.GetUser(), nil
}

// firstPassword replaces one that somebody else knows.
func (p program) firstPassword(ctx context.Context, terminal *terminal, to target.Context, old string) error {
	central, err := target.Connect(to, p.version)
	if err != nil {
		return err
	}
	defer central.Close()
	fmt.Fprintln(terminal.errOut, "This password was given by somebody else; choose your own, of 12 to 128 characters.")
	chosen, err := terminal.newPassword("")
	if errors.Is(err, errNoAnswer) {
		return errors.New("a new password has to be chosen; write it into the second line of the input")
	}
	if err == nil {
		_, err = central.Sessions.ChangePassword(ctx, &portcullisv1.ChangePasswordRequest{OldPassword: old, NewPassword: chosen})
	}
	if err != nil {
		_, _ = central.Sessions.Logout(ctx, &portcullisv1.LogoutRequest{}) // the session ends by itself, too
	}
	return err
}

func (p program) caller(ctx context.Context, to target.Context) (*portcullisv1.User, error) {
	central, err := target.Connect(to, p.version)
	if err != nil {
		return nil, err
	}
	defer central.Close()
	session, err := central.Sessions.GetSession(ctx, &portcullisv1.GetSessionRequest{})
	return session.GetUser(), err
}

func (p program) logout() *cobra.Command {
	return p.central(&cobra.Command{
		Use:   "logout",
		Short: "End the session and forget its token",
		Args:  cobra.NoArgs,
	}, func(c *call, _ []string) error {
		if c.Context.Name == "" {
			return errors.New("the token is in PORTCULLIS_TOKEN; there is nothing to forget")
		}
		config, err := target.ReadConfig()
		if err != nil {
			return err
		}
		saved, err := config.Context(c.Context.Name)
		if err != nil {
			return err
		}
		if saved.Token != "" && saved.Token != c.Context.Token {
			return errors.New("PORTCULLIS_TOKEN is set and is not the token of this login; unset it first")
		}
		if saved.Token == "" {
			fmt.Fprintf(c.Out, "not logged in to %s\n", saved.Address)
			return nil
		}
		saved.Token = ""
		if err := config.Write(); err != nil {
			return err
		}
		_, err = c.Sessions.Logout(c.ctx, &portcullisv1.LogoutRequest{})
		switch connect.CodeOf(err) {
		case connect.CodePermissionDenied:
			fmt.Fprintf(c.Out, "forgot the API token for %s, which stays good; portcullis token delete ends it\n", saved.Address)
			return nil
		case connect.CodeUnauthenticated: // it had ended already
			err = nil
		}
		if err == nil {
			fmt.Fprintf(c.Out, "logged out of %s\n", saved.Address)
			return nil
		}
		fmt.Fprintln(c.errOut, "the token is forgotten here, and stays good until the session ends by itself")
		return err
	})
}

func (p program) whoami() *cobra.Command {
	return p.result(&cobra.Command{
		Use:   "whoami",
		Short: "Say who is logged in where, and what they may do",
		Args:  cobra.NoArgs,
	}, func(c *call, _ []string) error {
		session, err := c.Sessions.GetSession(c.ctx, &portcullisv1.GetSessionRequest{})
		if err != nil {
			return err
		}
		if c.Format != "table" {
			return c.Message(session)
		}
		s := output.NewSection(c.Out)
		s.Field("User", "%s", session.GetUser().GetName())
		s.Field("Role", "%s", output.Word(session.GetUser().GetRole()))
		s.Field("Central", "%s", c.Context.Address)
		s.Field("Context", "%s", c.Context.Name)
		s.Field("Version", "%s", session.GetVersion())
		if session.GetExpireTime() != nil {
			s.Field("Login ends", "%s", output.Time(session.GetExpireTime(), c.now))
		}
		return s.End()
	})
}
