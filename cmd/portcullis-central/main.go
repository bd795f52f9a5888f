// Command portcullis-central is the service that keeps policies, verdicts and events for all nodes.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"runtime/debug"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"
	"google.golang.org/protobuf/types/known/durationpb"

	portcullisv1 "portcullis/api/portcullis/v1"
	"portcullis/internal/centralapp"
)

// version is set when a release is built.
var version = "dev"

func main() { os.Exit(run(os.Args[1:])) }

// run returns the exit status: 0 when all went well, 1 otherwise.
func run(arguments []string) int {
	var configFile, data string
	var check bool
	read := func() (centralapp.Config, error) { return centralapp.ReadConfig(configFile, data) }
	command := &cobra.Command{
		Use:           "portcullis-central",
		Short:         "Keeps policies, verdicts and events for all nodes",
		Version:       fmt.Sprintf("%s (%s)", version, goVersion()),
		Args:          cobra.NoArgs,
		SilenceUsage:  true,
		SilenceErrors: true,
		RunE: func(command *cobra.Command, _ []string) error {
			config, err := read()
			if err != nil {
				return err
			}
			if check {
				fmt.Fprintln(command.OutOrStdout(), "configuration is valid")
				return nil
			}
			return serve(config)
		},
	}
	command.SetArgs(arguments)
	command.Flags().BoolVar(&check, "check", false, "validate the configuration, then exit")
	command.PersistentFlags().StringVar(&configFile, "config", "", "configuration `FILE` (default "+centralapp.DefaultFile+", which need not exist)")
	command.PersistentFlags().StringVar(&data, "data", "", "data `FOLDER`, instead of the configuration's")
	command.AddCommand(resetPassword(read), token(read))
	if err := command.Execute(); err != nil {
		fmt.Fprintf(os.Stderr, "portcullis-central: %v\n", err)
		return 1
	}
	return 0
}

func goVersion() string {
	if info, ok := debug.ReadBuildInfo(); ok {
		return info.GoVersion
	}
	return "unknown Go version"
}

func resetPassword(read func() (centralapp.Config, error)) *cobra.Command {
	return &cobra.Command{
		Use:   "reset-password USER",
		Short: "Gives a user a new one-time password, for when nobody can log in; central may be running",
		Args:  cobra.ExactArgs(1),
		RunE: func(command *cobra.Command, arguments []string) error {
			config, err := read()
			if err != nil {
				return err
			}
			password, err := centralapp.ResetPassword(command.Context(), config, arguments[0])
			if err != nil {
				return err
			}
			fmt.Fprintf(command.OutOrStdout(), "%s can log in once with the password %s\nand has to choose another then.\n", arguments[0], password)
			return nil
		},
	}
}

func token(read func() (centralapp.Config, error)) *cobra.Command {
	group := &cobra.Command{Use: "token", Short: "Join tokens, for whoever may read central's data folder", Args: cobra.NoArgs}
	var description string
	var ttl time.Duration
	var uses int32
	create := &cobra.Command{
		Use:   "create",
		Short: "Makes a token with which nodes join; central may be running",
		Args:  cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			config, err := read()
			if err != nil {
				return err
			}
			answer, err := centralapp.CreateToken(command.Context(), config, &portcullisv1.CreateJoinTokenRequest{
				Description: description, Ttl: durationpb.New(ttl), Uses: uses,
			})
			if err != nil {
				return err
			}
			fmt.Fprintln(command.OutOrStdout(), answer.GetSecret())
			fmt.Fprintf(command.ErrOrStderr(), "Good until %s. On the node, with the token in FILE:\n  %s\n",
				answer.GetToken().GetExpireTime().AsTime().Format(time.RFC3339), answer.GetCommand())
			return nil
		},
	}
	create.Flags().StringVar(&description, "description", "", "what the token is for")
	create.Flags().DurationVar(&ttl, "ttl", 24*time.Hour, "how long it is good, 1m to 720h")
	create.Flags().Int32Var(&uses, "uses", 1, "how many nodes may join with it, 1 to 10000")
	group.AddCommand(create)
	return group
}

// memory is what central tries to do with, in bytes: with 10,000 nodes garbage would otherwise be as much again as what
// is needed. GOMEMLIMIT says otherwise. SQLite keeps up to 192 MiB of the database besides, which no fleet has brought it to.
const (
	memory    = 1440 << 20
	forSQLite = 128 << 20
)

// serve runs central until it is told to stop.
func serve(config centralapp.Config) error {
	if os.Getenv("GOMEMLIMIT") == "" {
		limit := int64(memory)
		if config.SQLite() {
			limit -= forSQLite
		}
		debug.SetMemoryLimit(limit)
	}
	ctx, stop := signal.NotifyContext(context.Background(), unix.SIGTERM, unix.SIGINT)
	defer stop()
	app, err := centralapp.New(ctx, config, centralapp.Options{Version: version, Log: config.NewLogger(), FirstPassword: func(user, password string) {
		fmt.Printf("\nThe first admin is %q with the one-time password %s\n\n", user, password)
	}})
	if err != nil && ctx.Err() != nil {
		return nil //nolint:nilerr // it was told to stop while it waited for the database
	}
	if err != nil {
		return err
	}
	app.Start()
	select {
	case err := <-app.Failed():
		_ = app.Stop() // the failure is what matters
		return err
	case <-ctx.Done():
		return app.Stop()
	}
}
