package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"
)

// scannerProgram does the scanning. It is a program of its own, because the libraries that know every
// kind of package are many times larger than everything else here.
const scannerProgram = "portcullis-scan"

func scanCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "scan IMAGE|TAR",
		Short: "Scan an image for vulnerabilities, malware and secrets (runs portcullis-scan)",
		// Flags, help and completion are the other program's.
		DisableFlagParsing: true,
		RunE: func(_ *cobra.Command, arguments []string) error {
			program, err := findScanner()
			if err != nil {
				return err
			}
			return fmt.Errorf("%s: %w", program, unix.Exec(program, append([]string{program}, arguments...), os.Environ()))
		},
	}
}

// findScanner looks beside this program first, so that the two are of one version.
func findScanner() (string, error) {
	if self, err := os.Executable(); err == nil {
		beside := filepath.Join(filepath.Dir(self), scannerProgram)
		if _, err := os.Stat(beside); err == nil {
			return beside, nil
		}
	}
	program, err := exec.LookPath(scannerProgram)
	if errors.Is(err, exec.ErrNotFound) {
		return "", fmt.Errorf("%s is neither beside this program nor on PATH; install it, or build it with make", scannerProgram)
	}
	return program, err
}
