package wiretest

import "google.golang.org/grpc/mem"

// raw is a codec of messages that nobody decodes: their type is *[]byte.
type raw struct{}

func (raw) Marshal(v any) (mem.BufferSlice, error) {
	return mem.BufferSlice{mem.SliceBuffer(*v.(*[]byte))}, nil
}

func (raw) Unmarshal(data mem.BufferSlice, v any) error {
	*v.(*[]byte) = data.Materialize()
	return nil
}

// Name is empty, as a client's is that says nothing but application/grpc.
func (raw) Name() string { return "" }
