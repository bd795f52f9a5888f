// Command portcullis-central is the service that keeps policies, verdicts and events for all nodes.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"runtime/debug"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

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
	command.AddCommand(resetPassword(read))
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

// serve runs central until it is told to stop.
func serve(config centralapp.Config) error {
	ctx, stop := signal.NotifyContext(context.Background(), unix.SIGTERM, unix.SIGINT)
	defer stop()
	app, err := centralapp.New(config, centralapp.Options{Version: version, Log: config.NewLogger(), FirstPassword: func(user, password string) {
		fmt.Printf("\nThe first admin is %q with the one-time password %s\n\n", user, password)
	}})
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
