package events

import (
	"sync"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"golang.org/x/time/rate"
	"google.golang.org/protobuf/proto"

	portcullisv1 "portcullis/api/portcullis/v1"
	"portcullis/central/rpc"
)

const (
	// atOnce and aSecond are what is taken of one node: whoever makes pods by the thousand, or has the key of a node, would fill
	// everyone's database soon. A decision costs one, and each KiB of an upload one more; most cost two. What a node has in its
	// spool after days without central is less, unless the spool was made larger.
	atOnce  = 400_000
	aSecond = 100
	// maxNodes is of how many nodes it is remembered; the others begin anew.
	maxNodes = 1 << 16
	// tellAgain is how often the log says that a node has too many.
	tellAgain = 10 * time.Minute
)

// allowances are how much more each node may tell. Each replica counts for itself.
type allowances struct {
	mu sync.Mutex // so that two uploads that come first do not get an allowance each
	of *lru.Cache[string, *allowance]
}

type allowance struct {
	*rate.Limiter
	told time.Time // when the log has said that there were too many
}

func newAllowances() *allowances {
	of, _ := lru.New[string, *allowance](maxNodes) // fails for sizes below 1
	return &allowances{of: of}
}

// cost is what an upload takes of its node's allowance.
func cost(r *portcullisv1.UploadDecisionsRequest) int {
	return len(r.GetDecisions()) + proto.Size(r)/1024 + 1
}

// take takes from the node's allowance; the error says when there is enough. tell says that somebody should be told.
func (a *allowances) take(node string, cost int, now time.Time) (tell bool, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	one, ok := a.of.Get(node)
	if !ok {
		one = &allowance{Limiter: rate.NewLimiter(aSecond, atOnce)}
		a.of.Add(node, one)
	}
	taken := one.ReserveN(now, cost)
	wait := taken.DelayFrom(now)
	if wait == 0 {
		return false, nil
	}
	taken.CancelAt(now)
	if tell = now.Sub(one.told) >= tellAgain; tell {
		one.told = now
	}
	return tell, rpc.Again(wait, "this node has told of more decisions than central takes of one; it keeps the others until there is room")
}

// giveBack is for what was not counted.
func (a *allowances) giveBack(u *upload, now time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if one, ok := a.of.Get(u.batch.Node.ID); ok {
		one.AllowN(now, -u.cost) // never above atOnce
	}
}
