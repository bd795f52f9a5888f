// Command portcullis-bypass is the break-glass of a node: it stands in for portcullisd and lets everything
// pass. portcullis-bypass.service starts it.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"

	"github.com/coreos/go-systemd/v22/daemon"
	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"portcullis/internal/activation"
	"portcullis/internal/bypass"
)

// version is set when a release is built.
var version = "dev"

func main() { os.Exit(run(os.Args[1:])) }

// run returns the exit status: 0 when all went well, 1 otherwise.
func run(arguments []string) int {
	var configFile, runtime string
	command := &cobra.Command{
		Use:           "portcullis-bypass",
		Short:         "Lets every container start UNCHECKED, on the socket that systemd holds for portcullisd",
		Version:       version,
		Args:          cobra.NoArgs,
		SilenceUsage:  true,
		SilenceErrors: true,
		RunE: func(*cobra.Command, []string) error {
			return serve(configFile, runtime)
		},
	}
	command.SetArgs(arguments)
	command.Flags().StringVar(&configFile, "config", "/etc/portcullis/portcullisd.yaml", "configuration `FILE` of portcullisd, of which only the line runtime: is read")
	command.Flags().StringVar(&runtime, "runtime", "", "the container runtime's `SOCKET`, instead of the one in the configuration")
	if err := command.Execute(); err != nil {
		fmt.Fprintf(os.Stderr, "portcullis-bypass: %v\n", err)
		return 1
	}
	return 0
}

func serve(configFile, runtime string) error {
	passed, err := activation.Receive()
	if err != nil {
		return err
	}
	if passed.Socket == nil {
		return errors.New("systemd passed no socket; use systemctl start portcullis-bypass. Without systemd, point the kubelet at the runtime's own socket")
	}
	if runtime == "" {
		if runtime, err = bypass.FindRuntime(configFile); err != nil {
			return err
		}
	}
	ctx, stop := signal.NotifyContext(context.Background(), unix.SIGTERM, unix.SIGINT)
	defer stop()
	if _, err := daemon.SdNotify(false, daemon.SdNotifyReady+"\nSTATUS=PORTCULLIS IS BYPASSED: containers start unchecked"); err != nil {
		fmt.Fprintf(os.Stderr, "portcullis-bypass: systemd could not be told: %v\n", err)
	}
	return bypass.New(runtime, bypass.Journal).Run(ctx, passed.Socket)
}
