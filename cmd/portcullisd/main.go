// Command portcullisd is the node daemon: it stands between the kubelet and the container runtime.
package main

import (
	"fmt"
	"os"
	"os/signal"
	"runtime/debug"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"portcullis/internal/activation"
	"portcullis/internal/node"
)

// version is set when a release is built.
var version = "dev"

func main() { os.Exit(run(os.Args[1:])) }

// run returns the exit status: 0 when all went well, 1 otherwise.
func run(arguments []string) int {
	var configFile string
	var check, takeOver bool
	command := &cobra.Command{
		Use:           "portcullisd --config FILE",
		Short:         "Stops risky container images from starting on this node",
		Version:       fmt.Sprintf("%s (%s)", version, goVersion()),
		Args:          cobra.NoArgs,
		SilenceUsage:  true,
		SilenceErrors: true,
		RunE: func(*cobra.Command, []string) error {
			config, err := node.ReadConfig(configFile)
			if err != nil {
				return err
			}
			if check {
				return checkOnly(config)
			}
			return serve(config, takeOver)
		},
	}
	command.SetArgs(arguments)
	command.AddCommand(joinCommand(&configFile))
	command.PersistentFlags().StringVar(&configFile, "config", "/etc/portcullis/portcullisd.yaml", "configuration `FILE`")
	command.Flags().BoolVar(&check, "check", false, "validate the configuration and the policies, then exit")
	command.Flags().BoolVar(&takeOver, "take-over", false, "have a portcullisd that runs on the same socket hand over to this one, then end")
	if err := command.Execute(); err != nil {
		fmt.Fprintf(os.Stderr, "portcullisd: %v\n", err)
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

func checkOnly(config node.Config) error {
	report, err := config.Check()
	if err != nil {
		return err
	}
	fmt.Println(report)
	return nil
}

// serve runs the daemon until it is told to stop. SIGHUP makes it look at its policies and reports.
func serve(config node.Config, takeOver bool) error {
	passed, err := activation.Receive()
	if err != nil {
		return err
	}
	n, err := node.New(config, node.Options{
		Version: version, Log: config.NewLogger(), Activated: passed.Socket, Stored: passed.Stored, TakeOver: takeOver,
	})
	if err != nil {
		return err
	}
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, unix.SIGTERM, unix.SIGINT, unix.SIGHUP)
	return n.Run(signals)
}
