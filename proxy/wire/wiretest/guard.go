package wiretest

import (
	"context"
	"strings"
	"sync"
)

// Guarded and Observed are the methods that a Guard guards and observes.
const (
	Guarded  = "/runtime.v1.RuntimeService/CreateContainer"
	Observed = "/runtime.v1.ImageService/PullImage"
)

// Guard is a wire.Guard, and a wire.Observer, that does what a test says.
type Guard struct {
	mu       sync.Mutex
	decide   Decide
	checked  []Digest
	observed [][2]Digest
}

// Decide is what a Check does.
type Decide func(ctx context.Context, request []byte) (answered func([]byte), err error)

// Decide sets what Check does from now on. With nil, the default, it allows everything.
func (g *Guard) Decide(decide Decide) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.decide = decide
}

// Guards says whether method is Guarded, however a server may take it.
func (g *Guard) Guards(method string) bool {
	return strings.TrimPrefix(method, "/") == strings.TrimPrefix(Guarded, "/")
}

// Check remembers the request and decides.
func (g *Guard) Check(ctx context.Context, _ string, request []byte) (func([]byte), error) {
	g.mu.Lock()
	g.checked = append(g.checked, digest(request))
	decide := g.decide
	g.mu.Unlock()
	if decide == nil {
		return nil, nil
	}
	return decide(ctx, request)
}

// CheckNow allows every other request at once, as long as everything is allowed.
func (g *Guard) CheckNow(_ string, request []byte) (func([]byte), bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.decide != nil || len(request)%2 == 0 {
		return nil, false
	}
	g.checked = append(g.checked, digest(request))
	return nil, true
}

// Observes says whether method is Observed.
func (g *Guard) Observes(method string) bool { return method == Observed }

// Observed remembers the messages.
func (g *Guard) Observed(_ string, request, response []byte) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.observed = append(g.observed, [2]Digest{digest(request), digest(response)})
}

// Checked are the requests that have been shown to Check.
func (g *Guard) Checked() []Digest {
	g.mu.Lock()
	defer g.mu.Unlock()
	return append([]Digest(nil), g.checked...)
}

func (g *Guard) seen() [][2]Digest {
	g.mu.Lock()
	defer g.mu.Unlock()
	return append([][2]Digest(nil), g.observed...)
}
