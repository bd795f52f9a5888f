package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"portcullis/cmd/portcullis-scan/scan"
	"portcullis/scanner-client/verdict"
)

// scan does the work and tells about it on stderr; the verdict alone goes to stdout.
func (s *settings) scan(ctx context.Context) (finding, error) {
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	progress := newProgress(os.Stderr, s.quiet)
	defer progress.end()
	s.options.Progress = progress
	img, err := s.open(ctx)
	if err != nil {
		return finding{}, err
	}
	defer img.Close()
	result, err := scan.Run(ctx, img, s.options)
	if err != nil {
		return finding{}, err
	}
	progress.end()
	if !s.quiet {
		summarize(os.Stderr, s.target, result)
	}
	severity, findings := result.Worst()
	return finding{any: findings > 0, severity: severity}, write(s.output, result.Verdict)
}

// write puts the verdict where a reader never sees half of it. It is read back first: a verdict that
// nodes would refuse must not be taken for one.
func write(output string, v *verdict.Verdict) error {
	var file bytes.Buffer
	if err := verdict.Write(&file, v); err != nil {
		return fmt.Errorf("verdict: %w", err)
	}
	if _, err := verdict.Read(bytes.NewReader(file.Bytes())); err != nil {
		return fmt.Errorf("verdict: %w", err)
	}
	if output == "-" {
		_, err := os.Stdout.Write(file.Bytes())
		return err
	}
	if info, err := os.Stat(output); err == nil && info.IsDir() {
		output = filepath.Join(output, fileName(v))
	}
	return replace(output, file.Bytes())
}

// fileName names a verdict after its image and, unless it tells of all kinds of risk in full, after those
// that it tells of: it must not take the place of what an earlier scan has found of the others.
func fileName(v *verdict.Verdict) string {
	name := strings.TrimPrefix(v.ImageID, "sha256:")
	var told []string
	full := true
	for _, kind := range verdict.Kinds() {
		switch {
		case v.Covers(kind):
			told = append(told, string(kind))
			continue
		case v.Partly(kind):
			told = append(told, "partly-"+string(kind))
		}
		full = false
	}
	if !full {
		name += "." + strings.Join(told, "+")
	}
	return name + ".json"
}

// replace writes a file under a name that the reports folder passes over, then renames it.
func replace(name string, content []byte) error {
	file, err := os.CreateTemp(filepath.Dir(name), ".verdict-")
	if err != nil {
		return fmt.Errorf("verdict: %w", err)
	}
	defer func() { _ = os.Remove(file.Name()) }() // fails when all went well
	_, err = file.Write(content)
	if err == nil {
		err = file.Chmod(0o644)
	}
	if err == nil {
		err = file.Sync()
	}
	if closeErr := file.Close(); err == nil {
		err = closeErr
	}
	if err == nil {
		err = os.Rename(file.Name(), name)
	}
	if err != nil {
		return fmt.Errorf("verdict: %w", err)
	}
	return nil
}
