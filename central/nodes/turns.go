package nodes

import (
	"errors"
	"net/http"
	"time"

	"connectrpc.com/connect"
)

const (
	// maxUploads and maxInventories bound the calls of one kind that are worked at. Further ones wait unread: to read
	// thousands of them, only to say that there are too many, would be all that central does. Of uploads there are
	// never more than may wait to be counted.
	maxUploads     = 32
	maxInventories = 16
	// maxWait is how long a call waits for its turn. A node gives up after 30 s.
	maxWait = 15 * time.Second
)

// turns lets in so many calls at a time, in the order in which they came.
type turns struct {
	slots  chan struct{}
	errors *connect.ErrorWriter
}

func newTurns(most int) *turns {
	return &turns{slots: make(chan struct{}, most), errors: connect.NewErrorWriter()}
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
