package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"connectrpc.com/connect"
	"github.com/spf13/cobra"
	"golang.org/x/term"

	"portcullis/internal/cli/failure"
	"portcullis/internal/cli/output"
)

const (
	reportsPath = "/api/v1/reports"
	// maxReport is central's limit: what is larger need not be sent.
	maxReport     = 100 << 20
	uploadTimeout = 10 * time.Minute
)

func (p program) uploadReport() *cobra.Command {
	var image string
	command := &cobra.Command{
		Use:   "upload-report FILE...",
		Short: "Upload scanners' reports of images, in any form that central knows; - for the input",
		Args:  cobra.MinimumNArgs(1),
	}
	command.Flags().StringVar(&image, "image", "", "`IMAGE` that the report is about, by ID, digest or tag, where it does not say so itself")
	return p.central(command, func(c *call, files []string) error {
		address := c.Context.Address + reportsPath
		if image != "" {
			if len(files) > 1 {
				return errors.New("--image is for one report")
			}
			address += "?" + url.Values{"image": {image}}.Encode()
		}
		var failures []error
		for _, file := range files {
			if err := c.upload(address, file); err != nil {
				failures = append(failures, fmt.Errorf("%s: %w", file, failure.Say(err, c.Context.Address, nil)))
			}
		}
		return errors.Join(failures...)
	})
}

func (c *call) upload(address, path string) error {
	body, size := c.command.InOrStdin(), int64(-1)
	if path != "-" {
		file, err := os.Open(path)
		if err != nil {
			return err
		}
		defer file.Close()
		info, err := file.Stat()
		switch {
		case err != nil:
			return err
		case !info.Mode().IsRegular():
			return errors.New("is not a file")
		case info.Size() > maxReport:
			return fmt.Errorf("is %d bytes, and central takes %d at most", info.Size(), maxReport)
		}
		body, size = file, info.Size()
	}
	ctx, cancel := context.WithTimeout(c.ctx, uploadTimeout)
	defer cancel()
	bar := newProgress(c.errOut, filepath.Base(path), size)
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, address, io.TeeReader(body, bar))
	if err != nil {
		return err
	}
	request.ContentLength = size
	request.Header.Set("Content-Type", "application/octet-stream")
	response, err := c.HTTP.Do(request)
	bar.end()
	if err != nil {
		return connect.NewError(connect.CodeUnavailable, err)
	}
	defer response.Body.Close()
	return c.uploaded(path, response)
}

// maxReply bounds what is read of central's answer to an upload.
const maxReply = 1 << 20

func (c *call) uploaded(path string, response *http.Response) error {
	text, err := io.ReadAll(io.LimitReader(response.Body, maxReply))
	if err != nil {
		return connect.NewError(connect.CodeUnavailable, err)
	}
	if response.StatusCode/100 != 2 {
		return refused(response, text)
	}
	var reply uploadReply
	if err := json.Unmarshal(text, &reply); err != nil {
		return fmt.Errorf("what central answered is not understood: %w", err)
	}
	for _, warning := range reply.Warnings {
		fmt.Fprintf(c.errOut, "%s: warning: %s\n", output.Line(path), output.Line(warning))
	}
	about := "about no image that is known yet; it is kept for when one is"
	if len(reply.Images) > 0 {
		about = "about " + output.Some(reply.Images, 0)
	}
	fmt.Fprintf(c.Out, "report/%s uploaded, %s\n", output.Line(reply.Report.ID), output.Line(about))
	return nil
}

// uploadReply is central's answer.
type uploadReply struct {
	Report   struct{ ID string }
	Images   []string
	Warnings []string
}

// refused is the connect error that the answer holds or, from something in between, stands for.
func refused(response *http.Response, text []byte) error {
	var told struct{ Code, Message string }
	var code connect.Code
	if json.Unmarshal(text, &told) == nil && code.UnmarshalText([]byte(told.Code)) == nil {
		return connect.NewError(code, errors.New(told.Message))
	}
	message := errors.New(output.Line(strings.TrimSpace(string(text[:min(len(text), 1000)]))))
	switch response.StatusCode {
	case http.StatusUnauthorized:
		code = connect.CodeUnauthenticated
	case http.StatusForbidden:
		code = connect.CodePermissionDenied
	case http.StatusRequestEntityTooLarge, http.StatusTooManyRequests:
		code = connect.CodeResourceExhausted
	case http.StatusBadRequest, http.StatusUnprocessableEntity, http.StatusUnsupportedMediaType:
		code = connect.CodeInvalidArgument
	case http.StatusServiceUnavailable, http.StatusBadGateway, http.StatusGatewayTimeout:
		code = connect.CodeUnavailable
	case http.StatusNotFound, http.StatusMethodNotAllowed:
		code = connect.CodeUnimplemented
	default:
		return fmt.Errorf("central answered %s: %w", response.Status, message)
	}
	return connect.NewError(code, message)
}

// progress shows on a terminal how much of a file was sent.
type progress struct {
	out         io.Writer // nil where nobody looks
	name        string
	size, sent  int64
	shownSecond int64
}

func newProgress(out io.Writer, name string, size int64) *progress {
	p := &progress{name: output.Line(name), size: size}
	if file, ok := out.(*os.File); ok && term.IsTerminal(int(file.Fd())) {
		p.out = out
	}
	return p
}

func (p *progress) Write(data []byte) (int, error) {
	p.sent += int64(len(data))
	if now := time.Now().Unix(); p.out != nil && now != p.shownSecond {
		p.shownSecond = now
		if p.size > 0 {
			fmt.Fprintf(p.out, "\r%s %d%%", p.name, p.sent*100/p.size)
		} else {
			fmt.Fprintf(p.out, "\r%s %d MiB", p.name, p.sent>>20)
		}
	}
	return len(data), nil
}

func (p *progress) end() {
	if p.out != nil && p.shownSecond != 0 {
		fmt.Fprintf(p.out, "\r\x1b[K")
	}
}
