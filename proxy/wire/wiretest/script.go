package wiretest

import (
	"context"
	"crypto/sha256"
	"encoding/gob"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
)

// Call is the client's side of a call, with the script of the runtime's.
type Call struct {
	Name     string
	Method   string
	Metadata metadata.MD
	Requests []int // sizes
	// Timeout of the call. Cancel gives it up after that many responses, if it is positive.
	Timeout time.Duration
	Cancel  int
	Script  Script
	Refused bool // by the guard: the runtime need not hear of it
}

// Answered is what the client saw of a call.
type Answered struct {
	Header, Trailer metadata.MD
	Messages        []Digest
	Status          string
}

// Digest stands for the bytes of a message.
type Digest string

func digest(message []byte) Digest {
	sum := sha256.Sum256(message)
	return Digest(fmt.Sprintf("%d bytes %s", len(message), hex.EncodeToString(sum[:8])))
}

// Bytes makes a message that is the same for the same seed.
func Bytes(seed uint64, size int) []byte {
	var key [32]byte
	copy(key[:], fmt.Sprint(seed, size))
	message := make([]byte, size)
	_, _ = rand.NewChaCha8(key).Read(message) // never fails
	return message
}

// Connect makes a client's connection to the unix socket at path, that ends with the test.
func Connect(t testing.TB, path string, options ...grpc.DialOption) *grpc.ClientConn {
	t.Helper()
	client, err := grpc.NewClient("unix:"+path, append([]grpc.DialOption{
		grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithNoProxy(),
		grpc.WithDefaultCallOptions(grpc.ForceCodecV2(raw{}), grpc.MaxCallRecvMsgSize(math.MaxInt32), grpc.MaxCallSendMsgSize(math.MaxInt32)),
	}, options...)...)
	require.NoError(t, err)
	t.Cleanup(func() { _ = client.Close() })
	return client
}

// Make makes the call and returns what the client saw.
func (c Call) Make(ctx context.Context, client *grpc.ClientConn) Answered {
	sent := c.Metadata.Copy()
	if sent == nil {
		sent = metadata.MD{}
	}
	sent.Set(scriptKey, c.Script.encode())
	sent.Set(callKey, c.Name)
	ctx, cancel := context.WithCancel(metadata.NewOutgoingContext(ctx, sent))
	defer cancel()
	if c.Timeout > 0 {
		ctx, cancel = context.WithTimeout(ctx, c.Timeout)
		defer cancel()
	}
	stream, err := client.NewStream(ctx, &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}, c.Method)
	if err != nil {
		return Answered{Status: describe(err)}
	}
	sending := make(chan struct{})
	go func() {
		defer close(sending)
		for i, size := range c.Requests {
			request := Bytes(uint64(i), size)
			if stream.SendMsg(&request) != nil {
				return
			}
		}
		_ = stream.CloseSend() // never fails; what became of the call comes with its responses
	}()
	a := Answered{}
	err = c.receive(stream, cancel, &a)
	<-sending
	a.Header, _ = stream.Header()
	a.Trailer = stream.Trailer()
	a.Status = describe(err)
	return a
}

func (c Call) receive(stream grpc.ClientStream, cancel func(), a *Answered) error {
	for {
		if c.Cancel > 0 && len(a.Messages) == c.Cancel {
			cancel()
		}
		var response []byte
		err := stream.RecvMsg(&response)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		a.Messages = append(a.Messages, digest(response))
	}
}

func (s Script) encode() string {
	var encoded strings.Builder
	if err := gob.NewEncoder(&encoded).Encode(s); err != nil {
		panic(err) // it has nothing that gob cannot encode
	}
	return encoded.String()
}

// describe says everything that is in a status.
func describe(err error) string {
	s := status.Convert(err)
	encoded, _ := proto.MarshalOptions{Deterministic: true}.Marshal(s.Proto()) // a status always encodes
	return fmt.Sprintf("%s: %s (%x)", s.Code(), s.Message(), encoded)
}

// transport is the metadata that belongs to one hop and says nothing of the call.
func transport(key string) bool {
	return strings.HasPrefix(key, ":") || key == "user-agent" || key == "grpc-accept-encoding"
}

// BetweenHops leaves out what is of the connection and not of the call.
func (r *Received) BetweenHops() *Received {
	if r == nil {
		return nil
	}
	kept := *r
	kept.Metadata = metadata.MD{}
	for key, values := range r.Metadata {
		if !transport(key) {
			kept.Metadata[key] = values
		}
	}
	return &kept
}
