package failure_test

import (
	"crypto/x509"
	"errors"
	"fmt"
	"testing"

	"connectrpc.com/connect"
	"github.com/stretchr/testify/require"

	portcullisv1 "portcullis/api/portcullis/v1"
	"portcullis/internal/cli/failure"
)

const address = "https://central:8443"

// What trying again does not change is a refusal; the rest is what kept the command from its work.
func TestARefusalIsToldFromAFailure(t *testing.T) {
	for _, c := range []struct {
		code    connect.Code
		refusal bool
		want    string
	}{
		{connect.CodeNotFound, true, "^why$"},
		{connect.CodePermissionDenied, true, "^why$"},
		{connect.CodeFailedPrecondition, true, "^why$"},
		{connect.CodeInvalidArgument, true, "^why$"},
		{connect.CodeResourceExhausted, true, "^why$"},
		{connect.CodeAlreadyExists, true, "why; choose another name"},
		{connect.CodeAborted, true, "why; nothing was changed: look at what it is now"},
		{connect.CodeUnauthenticated, false, "does not know who is calling: why; run portcullis login " + address},
		{connect.CodeUnavailable, false, "cannot be reached: why"},
		{connect.CodeDeadlineExceeded, false, "did not answer in time"},
		{connect.CodeUnimplemented, false, "older version"},
		{connect.CodeInternal, false, "^central at " + address + ": why$"},
	} {
		err := failure.Say(fmt.Errorf("somewhere: %w", connect.NewError(c.code, errors.New("why"))), address, nil)
		require.Regexp(t, c.want, err.Error(), c.code)
		var refusal *failure.Refusal
		require.Equal(t, c.refusal, errors.As(err, &refusal), c.code)
	}
	other := errors.New("other")
	require.Equal(t, other, failure.Say(other, address, nil))
	require.NoError(t, failure.Say(nil, address, nil))
}

func TestEveryMistakeIsToldWithItsPlace(t *testing.T) {
	err := connect.NewError(connect.CodeInvalidArgument, errors.New("all in one"))
	detail, failed := connect.NewErrorDetail(&portcullisv1.FieldProblems{Problems: []*portcullisv1.FieldProblem{
		{Field: "spec.effect.days", Line: 12, Message: "is 0"},
		{Field: "page_size", Message: "is \x1b[31mred"},
		{Message: "and 3 more mistakes"},
	}})
	require.NoError(t, failed)
	err.AddDetail(detail)
	said := failure.Say(err, address, func(line int) string { return fmt.Sprintf("b.yaml:%d", line-10) })
	require.EqualError(t, said, "nothing was changed:\n  b.yaml:2: spec.effect.days: is 0\n  page_size: is \\u001b[31mred\n  and 3 more mistakes")
}

func TestACertificateThatIsNotTrustedSaysWhatToDo(t *testing.T) {
	err := connect.NewError(connect.CodeUnavailable, fmt.Errorf("tls: %w", x509.UnknownAuthorityError{}))
	require.ErrorContains(t, failure.Say(err, address, nil), "nothing was sent. Has central been set up anew?")
	err = connect.NewError(connect.CodeUnavailable, x509.CertificateInvalidError{Cert: &x509.Certificate{}, Reason: x509.Expired})
	require.ErrorContains(t, failure.Say(err, address, nil), "are both clocks right?")
}
