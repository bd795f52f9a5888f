// Package failure answers: what went wrong, and what can be done about it?
//
// It turns what central and the connection to it say into sentences, and tells a refusal, which trying
// again does not change, from what kept a command from doing its work.
package failure

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"strings"

	"connectrpc.com/connect"

	portcullisv1 "portcullis/api/portcullis/v1"
	"portcullis/internal/cli/output"
)

// Refusal is a no of central's.
type Refusal struct{ text string }

func (r *Refusal) Error() string { return r.text }

// Refuse makes a refusal.
func Refuse(format string, args ...any) error { return &Refusal{fmt.Sprintf(format, args...)} }

// Locate says where in the user's files a problem of a document is; nil for no files.
type Locate func(line int) string

// Say returns err in words. address is central's.
func Say(err error, address string, locate Locate) error {
	var told *connect.Error
	if !errors.As(err, &told) {
		return err
	}
	message := output.Text(told.Message())
	switch told.Code() {
	case connect.CodeInvalidArgument:
		return &Refusal{mistakes(told, message, locate)}
	case connect.CodeNotFound, connect.CodePermissionDenied, connect.CodeFailedPrecondition, connect.CodeOutOfRange:
		return &Refusal{message}
	case connect.CodeAlreadyExists:
		return &Refusal{message + "; choose another name, or change what is there"}
	case connect.CodeAborted:
		return &Refusal{message + "; nothing was changed: look at what it is now (portcullis describe), and try again with that revision"}
	case connect.CodeUnimplemented:
		return fmt.Errorf("the central at %s does not know this call (%s); it may be of an older version than this program, see portcullis whoami", address, message)
	case connect.CodeUnauthenticated:
		return fmt.Errorf("central at %s does not know who is calling: %s; run portcullis login %s, or set PORTCULLIS_TOKEN", address, message, address)
	case connect.CodeResourceExhausted:
		return &Refusal{message}
	case connect.CodeUnavailable, connect.CodeDeadlineExceeded:
		return unreachable(told, address)
	}
	return fmt.Errorf("central at %s: %s", address, message)
}

// mistakes lists every problem with its place.
func mistakes(err *connect.Error, message string, locate Locate) string {
	var lines []string
	for _, detail := range err.Details() {
		value, failed := detail.Value()
		found, ok := value.(*portcullisv1.FieldProblems)
		if failed != nil || !ok {
			continue
		}
		for _, p := range found.GetProblems() {
			lines = append(lines, problem(p, locate))
		}
	}
	if len(lines) == 0 {
		return message
	}
	return "nothing was changed:\n  " + strings.Join(lines, "\n  ")
}

func problem(p *portcullisv1.FieldProblem, locate Locate) string {
	text := p.GetMessage()
	if p.GetField() != "" {
		text = p.GetField() + ": " + text
	}
	if p.GetLine() > 0 && locate != nil {
		text = locate(int(p.GetLine())) + ": " + text
	}
	return output.Text(text)
}

// unreachable says why the connection failed, above all when it is not certain who answers.
func unreachable(err *connect.Error, address string) error {
	var unknown x509.UnknownAuthorityError
	var name x509.HostnameError
	var invalid x509.CertificateInvalidError
	var record tls.RecordHeaderError
	switch {
	case errors.As(err, &unknown):
		return fmt.Errorf("the certificate of %s is not of the authority that is trusted for it: nothing was sent. Has central been set up anew? Then run portcullis login %s and compare the fingerprint; in CI set PORTCULLIS_CA to the file of its ca.crt", address, address)
	case errors.As(err, &name):
		return fmt.Errorf("the certificate of %s is for other names (%w): nothing was sent; use one of them, or add this one to names in central's configuration", address, name)
	case errors.As(err, &invalid):
		return fmt.Errorf("the certificate of %s cannot be used (%w): nothing was sent; are both clocks right?", address, invalid)
	case errors.As(err, &record):
		return fmt.Errorf("%s does not speak TLS; is that central's address?", address)
	case errors.Is(err, context.DeadlineExceeded) || err.Code() == connect.CodeDeadlineExceeded:
		return fmt.Errorf("central at %s did not answer in time; try again", address)
	}
	return fmt.Errorf("central at %s cannot be reached: %s", address, output.Text(err.Message()))
}
