// Command portcullis-scan looks for vulnerabilities, malware and secrets in one image and writes the
// verdict file that nodes read. docs/scan.md describes it for users.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"runtime/debug"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"portcullis/scanner-client/verdict"
)

// version is set when a release is built.
var version = "dev"

// The exit statuses, which pipelines rely on.
const (
	exitClean    = 0 // a verdict was written; no finding is as severe as --fail-on
	exitFindings = 1 // a verdict was written, and a finding is
	exitUsage    = 2
	exitFailed   = 3 // no verdict: the scan could not look, or could not write
)

// softMemory is where the garbage collector begins to hurry, in bytes. Without it the heap would grow to
// twice what is needed before it is looked at.
const softMemory = 160 << 20

func main() { os.Exit(run(os.Args[1:])) }

func run(arguments []string) int {
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(softMemory)
	}
	ctx, stop := signal.NotifyContext(context.Background(), unix.SIGINT, unix.SIGTERM)
	defer stop()
	var f flags
	status := exitUsage // until the command line is understood
	command := &cobra.Command{
		Use:           "portcullis-scan [flags] IMAGE|TAR",
		Short:         "Looks for vulnerabilities, malware and secrets in an image and writes its verdict",
		Long:          description,
		Version:       version,
		Args:          cobra.ExactArgs(1),
		SilenceUsage:  true,
		SilenceErrors: true,
		RunE: func(_ *cobra.Command, arguments []string) error {
			settings, err := f.parse(arguments[0])
			if err != nil {
				return err
			}
			status = exitFailed
			worst, err := settings.scan(ctx)
			if err == nil {
				status = settings.status(worst)
			}
			return err
		},
	}
	f.define(command.Flags())
	command.SetArgs(arguments)
	switch err := command.ExecuteContext(ctx); {
	case err == nil && status == exitUsage:
		return exitClean // --help and --version
	case errors.Is(err, context.Canceled):
		fmt.Fprintln(os.Stderr, "portcullis-scan: interrupted")
	case errors.Is(err, context.DeadlineExceeded):
		fmt.Fprintf(os.Stderr, "portcullis-scan: not done after %s; give it more with --timeout\n", f.timeout)
	case err != nil:
		fmt.Fprintf(os.Stderr, "portcullis-scan: %s\n", printable(err.Error()))
	}
	return status
}

const description = `Looks for vulnerabilities, malware and secrets in one image and writes the verdict file that nodes read.

IMAGE is a name in a registry, or with --runtime a name or an ID in that containerd. TAR is a file that
docker save, ctr images export or skopeo wrote, or the folder of an OCI layout.

Exit status: 0 no finding as severe as --fail-on, 1 there is one, 2 wrong usage, 3 no verdict because
the scan could not look (no database, clamd away, damaged image) or could not write.`

// status is the exit status of a scan whose worst finding is this severe.
func (s *settings) status(worst finding) int {
	if s.failOn != nil && worst.any && worst.severity >= *s.failOn {
		return exitFindings
	}
	return exitClean
}

// finding is the worst of a verdict.
type finding struct {
	any      bool
	severity verdict.Severity
}
