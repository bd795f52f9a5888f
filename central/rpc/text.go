package rpc

import (
	"context"
	"fmt"
	"strings"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// Text refuses requests whose text holds zero bytes, which no name has and not every database takes, before
// any service has to.
func Text() connect.Interceptor {
	return connect.UnaryInterceptorFunc(func(next connect.UnaryFunc) connect.UnaryFunc {
		return func(ctx context.Context, request connect.AnyRequest) (connect.AnyResponse, error) {
			if m, ok := request.Any().(proto.Message); ok {
				if path := zeroByte(m.ProtoReflect()); path != "" {
					return nil, Invalid(Problem(path, "holds a zero byte; write text"))
				}
			}
			return next(ctx, request)
		}
	})
}

// zeroByte is the path of the first text that holds one.
func zeroByte(m protoreflect.Message) (path string) {
	m.Range(func(field protoreflect.FieldDescriptor, value protoreflect.Value) bool {
		name := string(field.Name())
		switch {
		case field.IsMap():
		case field.IsList():
			for i := range value.List().Len() {
				if path = zeroByteIn(field, value.List().Get(i), fmt.Sprintf("%s[%d]", name, i)); path != "" {
					break
				}
			}
		default:
			path = zeroByteIn(field, value, name)
		}
		return path == ""
	})
	return path
}

func zeroByteIn(field protoreflect.FieldDescriptor, value protoreflect.Value, path string) string {
	switch {
	case field.Message() != nil:
		if within := zeroByte(value.Message()); within != "" {
			return path + "." + within
		}
	case field.Kind() == protoreflect.StringKind && strings.ContainsRune(value.String(), 0):
		return path
	}
	return ""
}
