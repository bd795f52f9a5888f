package centralapp_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/dynamicpb"

	portcullisv1 "portcullis/api/portcullis/v1"
	api "portcullis/api/portcullis/v1/portcullisv1connect"
)

// methods are all RPCs of all services, by SERVICE/METHOD.
func methods() map[string]protoreflect.MethodDescriptor {
	all := map[string]protoreflect.MethodDescriptor{}
	protoregistry.GlobalFiles.RangeFilesByPackage("portcullis.v1", func(file protoreflect.FileDescriptor) bool {
		for i := range file.Services().Len() {
			service := file.Services().Get(i)
			for j := range service.Methods().Len() {
				m := service.Methods().Get(j)
				all[string(service.Name()+"/"+m.Name())] = m
			}
		}
		return true
	})
	return all
}

// answer is what central said to a call: "ok" or an error's code, its text and the fields that it names.
type answer struct {
	code, message string
	fields        []string
}

// callers call every method by who may: people and, of SyncService, a node.
type callers struct {
	*central
	node *http.Client
	// patience is how long a stream is waited for that has not said that the request is wrong.
	patience time.Duration
}

func newCallers(t *testing.T) *callers {
	t.Helper()
	c := &callers{central: start(t, configured(t, "")), patience: time.Minute}
	require.NoError(t, c.login())
	const password = "correct horse battery"
	_, err := c.sessions().ChangePassword(ctx, &portcullisv1.ChangePasswordRequest{OldPassword: c.password, NewPassword: password})
	require.NoError(t, err)
	c.password = password
	token, err := api.NewNodeServiceClient(c.browser, c.url).CreateJoinToken(ctx, &portcullisv1.CreateJoinTokenRequest{})
	require.NoError(t, err)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	request, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key)
	require.NoError(t, err)
	joined, err := api.NewSyncServiceClient(c.browser, c.url).Join(ctx, &portcullisv1.JoinRequest{
		Token: token.GetSecret(), CertificateRequest: request, Info: &portcullisv1.NodeInfo{Name: "n"},
	})
	require.NoError(t, err)
	transport := c.browser.Transport.(*http.Transport).Clone()
	transport.TLSClientConfig.Certificates = []tls.Certificate{{Certificate: [][]byte{joined.GetCertificate()}, PrivateKey: key}}
	t.Cleanup(transport.CloseIdleConnections)
	c.node = &http.Client{Transport: transport}
	return c
}

// of is c for a subtest.
func (c *callers) of(t *testing.T) *callers {
	same := *c.central
	same.t = t
	return &callers{&same, c.node, c.patience}
}

// call sends a request as it is, encoded as JSON or in binary, and returns the first that is answered.
func (c *callers) call(method protoreflect.MethodDescriptor, encoding string, body []byte) answer {
	c.t.Helper()
	client := c.browser
	if method.Parent().Name() == "SyncService" {
		client = c.node
	}
	kind := "application/" + encoding
	if method.IsStreamingServer() {
		kind = "application/connect+" + encoding
		body = append(binary.BigEndian.AppendUint32([]byte{0}, uint32(len(body))), body...)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if method.IsStreamingServer() {
		ctx, cancel = context.WithTimeout(ctx, c.patience)
		defer cancel()
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, fmt.Sprintf("%s/%s/%s", c.url, method.Parent().FullName(), method.Name()), bytes.NewReader(body))
	require.NoError(c.t, err)
	r.Header.Set("Content-Type", kind)
	r.Header.Set("Connect-Protocol-Version", "1")
	response, err := client.Do(r)
	if errors.Is(err, context.DeadlineExceeded) {
		return answer{code: "ok"}
	}
	require.NoError(c.t, err)
	defer response.Body.Close()
	if !method.IsStreamingServer() || response.StatusCode != http.StatusOK {
		text, err := io.ReadAll(response.Body)
		if errors.Is(err, context.DeadlineExceeded) {
			return answer{code: "ok"}
		}
		require.NoError(c.t, err)
		if response.StatusCode == http.StatusOK {
			return answer{code: "ok"}
		}
		return c.failure(text)
	}
	head := make([]byte, 5)
	if _, err = io.ReadFull(response.Body, head); errors.Is(err, context.DeadlineExceeded) {
		return answer{code: "ok"}
	}
	require.NoError(c.t, err)
	if head[0]&2 == 0 {
		return answer{code: "ok"}
	}
	text := make([]byte, binary.BigEndian.Uint32(head[1:]))
	if _, err = io.ReadFull(response.Body, text); errors.Is(err, context.DeadlineExceeded) {
		return answer{code: "ok"}
	}
	require.NoError(c.t, err)
	var end struct{ Error json.RawMessage }
	require.NoError(c.t, json.Unmarshal(text, &end))
	if end.Error == nil {
		return answer{code: "ok"}
	}
	return c.failure(end.Error)
}

func (c *callers) failure(text []byte) answer {
	var told struct {
		Code, Message string
		Details       []struct{ Type, Value string }
	}
	require.NoError(c.t, json.Unmarshal(text, &told), string(text))
	a := answer{code: told.Code, message: told.Message}
	for _, d := range told.Details {
		require.Equal(c.t, "portcullis.v1.FieldProblems", d.Type)
		encoded, err := base64.RawStdEncoding.DecodeString(d.Value)
		require.NoError(c.t, err)
		var problems portcullisv1.FieldProblems
		require.NoError(c.t, proto.Unmarshal(encoded, &problems))
		for _, p := range problems.GetProblems() {
			a.fields = append(a.fields, p.GetField())
		}
	}
	return a
}

// wrong are values that no field of a kind should be taken with, or is taken with by few.
func wrong(field protoreflect.FieldDescriptor) (values []protoreflect.Value) {
	switch field.Kind() {
	case protoreflect.StringKind:
		for _, text := range []string{
			"\x00", "a\x00b", "'; DROP TABLE users; --", `<script>alert("1")</script>`, "\u202e\u0007\x1b[31m", "%_\\", strings.Repeat("é", 9_000),
			"kind: [", strings.Repeat("[", 5_000), strings.Repeat("{a: ", 5_000), "eyJ0aW1lIjoiZm9vIn0", "MTIz", "bnVsbA", "W10", "e30", "eyJXb3JzdCI6LTk5OTk5OTk5OTk5OTk5OTk5OX0", "../../etc/passwd",
		} {
			values = append(values, protoreflect.ValueOfString(text))
		}
	case protoreflect.BytesKind:
		for _, text := range [][]byte{{0}, []byte("-----BEGIN"), bytes.Repeat([]byte{0x30, 0x80}, 10_000)} {
			values = append(values, protoreflect.ValueOfBytes(text))
		}
	case protoreflect.Int32Kind:
		for _, n := range []int32{-1, math.MinInt32, math.MaxInt32} {
			values = append(values, protoreflect.ValueOfInt32(n))
		}
	case protoreflect.Int64Kind:
		for _, n := range []int64{-1, math.MinInt64, math.MaxInt64} {
			values = append(values, protoreflect.ValueOfInt64(n))
		}
	case protoreflect.EnumKind:
		for _, n := range []protoreflect.EnumNumber{-1, 99, math.MaxInt32} {
			values = append(values, protoreflect.ValueOfEnum(n))
		}
	case protoreflect.BoolKind:
		values = append(values, protoreflect.ValueOfBool(true))
	}
	return values
}

// each calls do with every variant of the message that has one field wrong, and the field's path. Messages within
// are gone into only so deep as central does.
func each(m protoreflect.Message, path string, deep int, do func(path string)) {
	fields := m.Descriptor().Fields()
	for i := range fields.Len() {
		field := fields.Get(i)
		here := strings.TrimPrefix(path+"."+string(field.Name()), ".")
		switch {
		case field.IsMap() || deep > 6:
		case field.Message() != nil && field.IsList():
			list := m.Mutable(field).List()
			each(list.AppendMutable().Message(), here+"[0]", deep+1, do)
			for range 20_000 {
				list.AppendMutable()
			}
			do(here)
			m.Clear(field)
		case field.Message() != nil:
			do(here) // is not there
			each(m.Mutable(field).Message(), here, deep+1, do)
			do(here) // is empty
			m.Clear(field)
		case field.IsList():
			for _, value := range wrong(field) {
				m.Mutable(field).List().Append(value)
				do(here)
				m.Clear(field)
			}
			for range 20_000 {
				m.Mutable(field).List().Append(wrong(field)[0])
			}
			do(here)
			m.Clear(field)
		default:
			for _, value := range wrong(field) {
				m.Set(field, value)
				do(here)
			}
			m.Clear(field)
		}
	}
}

// documented are codes that tell a caller what to change. What is wrong in the request is invalid_argument.
var documented = []string{"ok", "invalid_argument", "not_found", "already_exists", "aborted", "failed_precondition", "permission_denied", "unauthenticated", "resource_exhausted"}

func TestNothingThatIsSentToAnyMethodIsCentralsOwnFault(t *testing.T) {
	shared := newCallers(t)
	shared.patience = 20 * time.Millisecond
	for name, method := range methods() {
		if method.Input().Fields().Len() == 0 {
			continue // nothing can be wrong
		}
		t.Run(name, func(t *testing.T) {
			c := shared.of(t)
			request := dynamicpb.NewMessage(method.Input())
			send := func(path string) {
				body, err := proto.Marshal(request)
				require.NoError(t, err)
				a := c.call(method, "proto", body)
				require.Contains(t, documented, a.code, "%s: %s: %.500s", path, a.message, request)
				if a.code == "invalid_argument" {
					require.NotEmpty(t, a.fields, "%s: %s: %.500s", path, a.message, request)
				}
			}
			send("nothing")
			each(request, "", 0, send)
		})
	}
}

func TestWhatIsNoMessageIsRefused(t *testing.T) {
	shared := newCallers(t)
	for name, method := range methods() {
		t.Run(name, func(t *testing.T) {
			c := shared.of(t)
			for _, body := range [][]byte{{0xff}, bytes.Repeat([]byte{0x0b}, 1000), protowire.AppendTag(nil, 1, protowire.BytesType)} {
				require.Equal(t, "invalid_argument", c.call(method, "proto", body).code)
			}
			for _, body := range []string{"null", "[]", strings.Repeat("[", 20_000), "{\"\xff\": 1}"} {
				require.Equal(t, "invalid_argument", c.call(method, "json", []byte(body)).code, body)
			}
			for i := range method.Input().Fields().Len() {
				field := method.Input().Fields().Get(i)
				if field.Kind() == protoreflect.StringKind {
					body := protowire.AppendBytes(protowire.AppendTag(nil, field.Number(), protowire.BytesType), []byte("\xff\xfe"))
					require.Equal(t, "invalid_argument", c.call(method, "proto", body).code, field.Name())
				}
			}
			require.Equal(t, "resource_exhausted", c.call(method, "proto", make([]byte, 17<<20)).code)
		})
	}
}

// badInput is a line of testdata/bad-input.jsonl.
type badInput struct {
	Method  string
	Request json.RawMessage
	Code    string // invalid_argument where it is empty
	Field   string
}

func TestEveryMethodSaysWhichFieldIsWrong(t *testing.T) {
	c := newCallers(t)
	text, err := os.ReadFile(filepath.Join("testdata", "bad-input.jsonl"))
	require.NoError(t, err)
	missing := methods()
	for name, method := range methods() {
		if method.Input().Fields().Len() == 0 {
			delete(missing, name) // nothing can be wrong
		}
	}
	for number, line := range bytes.Split(bytes.TrimSpace(text), []byte("\n")) {
		bad := badInput{Code: "invalid_argument"}
		require.NoError(t, json.Unmarshal(line, &bad), "line %d", number+1)
		method, known := methods()[bad.Method]
		require.True(t, known, "line %d: %s", number+1, bad.Method)
		request := dynamicpb.NewMessage(method.Input())
		require.NoError(t, protojson.Unmarshal(bad.Request, request), "line %d", number+1)
		body, err := proto.Marshal(request)
		require.NoError(t, err)
		a := c.call(method, "proto", body)
		assert.Equal(t, bad.Code, a.code, "line %d: %s", number+1, a.message)
		if bad.Field != "" {
			assert.Contains(t, a.fields, bad.Field, "line %d: %s", number+1, a.message)
		}
		delete(missing, bad.Method)
	}
	var names []string
	for name := range missing {
		names = append(names, name)
	}
	slices.Sort(names)
	require.Empty(t, names, fmt.Sprintf("testdata/bad-input.jsonl has no line for %d methods", len(names)))
}
