// Package rpc answers: what is the same for every service of central?
//
// How an error becomes what the caller is told, how mistakes in a request are listed, and how lists are
// cut into pages.
package rpc

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"connectrpc.com/connect"
	"github.com/sirupsen/logrus"

	portcullisv1 "portcullis/api/portcullis/v1"
	"portcullis/central/store"
)

// Error says err to a caller: a *connect.Error as it is, the store's sentinels by their codes, and
// anything else by an ID under which the log has it.
func Error(err error, log logrus.FieldLogger) error {
	var told *connect.Error
	if err == nil || errors.As(err, &told) {
		return err
	}
	for _, known := range []struct {
		sentinel error
		code     connect.Code
	}{
		{context.Canceled, connect.CodeCanceled},
		{context.DeadlineExceeded, connect.CodeDeadlineExceeded},
		{store.ErrNotFound, connect.CodeNotFound},
		{store.ErrExists, connect.CodeAlreadyExists},
		{store.ErrRevision, connect.CodeAborted},
		{store.ErrText, connect.CodeInvalidArgument},
	} {
		if errors.Is(err, known.sentinel) {
			return connect.NewError(known.code, plain(err, known.sentinel))
		}
	}
	for _, sentinel := range []error{store.ErrFull, store.ErrUnavailable} {
		if errors.Is(err, sentinel) {
			log.WithError(err).Error("database")
			return connect.NewError(connect.CodeUnavailable, fmt.Errorf("%w; try again later", sentinel))
		}
	}
	id := store.NewID()
	log.WithError(err).WithField("id", id).Error("call failed")
	return connect.NewError(connect.CodeInternal, fmt.Errorf("something went wrong in central; its log has more under ID %s", id))
}

// plain is what the store says about an error, without what the database's driver says.
func plain(err, sentinel error) error {
	for e := err; e != nil; e = errors.Unwrap(e) {
		if _, several := e.(interface{ Unwrap() []error }); several {
			if about, ok := strings.CutSuffix(err.Error(), e.Error()); ok {
				return fmt.Errorf("%s%w", about, sentinel)
			}
			return sentinel
		}
		if e == sentinel { //nolint:errorlint // looks at this very error
			return err
		}
	}
	return sentinel
}

// Errors lets every handler return errors as they are.
func Errors(log logrus.FieldLogger) connect.Interceptor { return errorInterceptor{log} }

type errorInterceptor struct{ log logrus.FieldLogger }

func (i errorInterceptor) WrapUnary(next connect.UnaryFunc) connect.UnaryFunc {
	return func(ctx context.Context, request connect.AnyRequest) (connect.AnyResponse, error) {
		response, err := next(ctx, request)
		return response, Error(err, i.log.WithField("method", request.Spec().Procedure))
	}
}

func (i errorInterceptor) WrapStreamingClient(next connect.StreamingClientFunc) connect.StreamingClientFunc {
	return next
}

func (i errorInterceptor) WrapStreamingHandler(next connect.StreamingHandlerFunc) connect.StreamingHandlerFunc {
	return func(ctx context.Context, stream connect.StreamingHandlerConn) error {
		return Error(next(ctx, stream), i.log.WithField("method", stream.Spec().Procedure))
	}
}

// Problem is one mistake in a request.
func Problem(field, format string, args ...any) *portcullisv1.FieldProblem {
	return &portcullisv1.FieldProblem{Field: field, Message: fmt.Sprintf(format, args...)}
}

// Invalid is INVALID_ARGUMENT with all mistakes, as a detail and in the text.
func Invalid(problems ...*portcullisv1.FieldProblem) error {
	var all []error
	for _, p := range problems {
		all = append(all, fmt.Errorf("%s: %s", p.GetField(), p.GetMessage()))
	}
	err := connect.NewError(connect.CodeInvalidArgument, errors.Join(all...))
	if detail, failed := connect.NewErrorDetail(&portcullisv1.FieldProblems{Problems: problems}); failed == nil {
		err.AddDetail(detail)
	}
	return err
}
