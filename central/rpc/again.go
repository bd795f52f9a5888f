package rpc

import (
	"errors"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/protobuf/types/known/durationpb"
)

// Again is the error for who is to call again after a while, which it says (google.rpc.RetryInfo).
func Again(after time.Duration, why string) error {
	err := connect.NewError(connect.CodeUnavailable, errors.New(why))
	if detail, failed := connect.NewErrorDetail(&errdetails.RetryInfo{RetryDelay: durationpb.New(after)}); failed == nil {
		err.AddDetail(detail)
	}
	return err
}
