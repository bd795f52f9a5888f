package wiretest

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// Methods are those of CRI, and some that no CRI has.
func Methods() []string {
	methods := []string{"/runtime.v2.RuntimeService/CreateContainer", "/a.b.C/D", "/some.future.Service/Watch", "/grpc.health.v1.Health/Check"}
	for _, service := range []struct {
		name string
		desc *grpc.ServiceDesc
	}{{"runtime.v1.RuntimeService", &cri.RuntimeService_ServiceDesc}, {"runtime.v1.ImageService", &cri.ImageService_ServiceDesc}} {
		for _, m := range service.desc.Methods {
			methods = append(methods, "/"+service.name+"/"+m.MethodName)
		}
		for _, s := range service.desc.Streams {
			methods = append(methods, "/"+service.name+"/"+s.StreamName)
		}
	}
	return methods
}

// Random makes calls whose outcome does not depend on timing: whatever a client and a runtime say to
// each other, each call ends in one way only.
func Random(seed uint64, calls int) []Call {
	g := generator{rand.New(rand.NewPCG(seed, 0))} //nolint:gosec // the same calls for the same seed
	made := make([]Call, calls)
	for i := range made {
		made[i] = g.call(fmt.Sprint(i))
	}
	return made
}

type generator struct{ *rand.Rand }

func (g generator) call(name string) Call {
	methods := Methods()
	c := Call{Name: name, Method: methods[g.IntN(len(methods))], Metadata: g.metadata(), Requests: g.sizes(4)}
	c.Script = Script{HeaderOnly: g.one(4), Requests: -1, Responses: g.sizes(5), Trailer: g.metadata()}
	if g.one(2) {
		c.Script.Header = g.metadata()
	}
	if g.one(3) {
		c.Timeout = time.Hour
	}
	switch g.IntN(6) {
	case 0:
		c.Script.Code = codes.Code(1 + g.Uint32N(16))
		c.Script.Message = strings.Repeat("why: ünïcode 100%\n", g.IntN(20))
	case 1:
		c.Script.Code, c.Script.Message, c.Script.Details = codes.FailedPrecondition, "see details", g.text(300)
	case 2:
		c.Script.Echo = true
	case 3: // answered before all is read
		c.Script.Requests = g.IntN(len(c.Requests) + 1)
	case 4:
		c.Script.Responses = append(c.Script.Responses, 1)
		c.Cancel, c.Script.Hang = len(c.Script.Responses), true
	}
	if c.Method == Guarded {
		c.Requests = []int{g.size()}
		c.Script.Requests = 1
	}
	return c
}

func (g generator) one(in int) bool { return g.IntN(in) == 0 }

// size is small most of the time.
func (g generator) size() int { return g.IntN(1 << (1 + g.IntN(17))) }

func (g generator) sizes(most int) []int {
	sizes := make([]int, g.IntN(most+1))
	for i := range sizes {
		sizes[i] = g.size()
	}
	return sizes
}

func (g generator) text(most int) string {
	const printable = "!\"#$%&'()*+,-./0123456789:;<=>?@ABCXYZ[\\]^_`abcxyz{|}~"
	text := make([]byte, g.IntN(most))
	for i := range text {
		text[i] = printable[g.IntN(len(printable))]
	}
	return string(text)
}

func (g generator) metadata() metadata.MD {
	md := metadata.MD{}
	for range g.IntN(4) {
		key := fmt.Sprintf("key-%d", g.IntN(5))
		if g.one(2) {
			md.Append(key+"-bin", string(Bytes(g.Uint64(), g.IntN(200))))
		} else {
			md.Append(key, g.text(1+g.IntN(200)))
		}
	}
	return md
}
