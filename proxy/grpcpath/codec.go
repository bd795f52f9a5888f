package grpcpath

import "google.golang.org/grpc/mem"

// message is one gRPC message, never decoded.
type message struct{ data mem.BufferSlice }

// rawCodec hands messages through as they came.
type rawCodec struct{}

// Marshal gives the message's buffers away: grpc frees them once they are sent.
func (rawCodec) Marshal(v any) (mem.BufferSlice, error) {
	return v.(*message).data, nil
}

// Unmarshal takes a reference of its own, because grpc frees data when Unmarshal returns.
func (rawCodec) Unmarshal(data mem.BufferSlice, v any) error {
	data.Ref()
	v.(*message).data = data
	return nil
}

// Name is empty so that the content type stays the plain application/grpc that the client sent.
func (rawCodec) Name() string { return "" }
