package nodes

import (
	"errors"
	"net/http"
	"sync"
	"time"

	"connectrpc.com/connect"

	"portcullis/central/access"
)

const (
	// maxUploads and maxInventories bound the calls of one kind that are worked at. Further ones wait unread, and those
	// beyond a multiple are refused unread: what thousands have to say, and that they wait, would be all the memory that
	// central has. Of uploads, which are large, there are never more than may wait to be counted.
	maxUploads     = 32
	maxInventories = 16
	uploadsWait    = 16  // times as many as are worked at
	inventoryWait  = 128 // as above
	// oneByOne and lookups bound the calls of one kind of one node: those of a rogue one would be all. A node looks up
	// the verdicts of several images at a time.
	oneByOne = 2
	lookups  = 40
	// maxWait is how long a call waits for its turn. A node gives up after 30 s.
	maxWait = 15 * time.Second
)

// turns lets in so many calls at a time, in the order in which they came.
type turns struct {
	slots  chan struct{}
	most   int // callers, waiting or let in
	each   int // of them of one node
	errors *connect.ErrorWriter

	mu      sync.Mutex
	callers int
	ofNode  map[string]int
}

// newTurns lets in most calls at a time; those that are let in or wait are times as many, and each node's no more than
// each.
func newTurns(most, times, each int) *turns {
	return &turns{slots: make(chan struct{}, most), most: most * times, each: each, errors: connect.NewErrorWriter(), ofNode: map[string]int{}}
}

// come lets a node's call wait, if there are not too many.
func (t *turns) come(node string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.callers == t.most || t.ofNode[node] == t.each {
		return false
	}
	t.callers++
	t.ofNode[node]++
	return true
}

func (t *turns) leave(node string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.callers--
	if t.ofNode[node]--; t.ofNode[node] == 0 {
		delete(t.ofNode, node)
	}
}

// InTurn makes calls that change much wait for their turn before they are read.
func (s *Sync) InTurn(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if turns := s.turns[r.URL.Path]; turns != nil {
			turns.serve(w, r, next)
			return
		}
		next.ServeHTTP(w, r)
	})
}

var errBusy = connect.NewError(connect.CodeUnavailable, errors.New("central is busy with other nodes; try again later"))

func (t *turns) serve(w http.ResponseWriter, r *http.Request, next http.Handler) {
	node := access.From(r.Context()).Name
	if !t.come(node) {
		_ = t.errors.Write(w, r, errBusy) // the caller may be gone
		return
	}
	defer t.leave(node)
	timer := time.NewTimer(maxWait)
	defer timer.Stop()
	select {
	case t.slots <- struct{}{}: // who waits at a channel is served in the order of coming
		defer func() { <-t.slots }()
		next.ServeHTTP(w, r)
	case <-timer.C:
		_ = t.errors.Write(w, r, errBusy) // the caller may be gone
	case <-r.Context().Done():
	}
}
