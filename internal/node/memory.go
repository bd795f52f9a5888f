package node

import (
	"os"
	"runtime/debug"
)

const (
	// spare is how much garbage may gather before it is collected, in bytes. Go's own measure is as much
	// as is in use, which would take the memory of a full verdict cache twice.
	spare = 4 << 20
	// ownHeap is what the daemon has in use without any verdicts, about, in bytes.
	ownHeap = 4 << 20
	// Below leastPercent collecting takes more time than the memory is worth; defaultPercent is Go's own.
	leastPercent, defaultPercent = 10, 100
)

// collectInTime sets when garbage is collected by how much the verdicts take now, unless the operator has
// set GOGC.
func (n *Node) collectInTime() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(collectAt(n.verdicts.Stats().Bytes))
	}
}

// collectAt returns how many percent of what is in use may be garbage.
func collectAt(verdicts int) int {
	return max(leastPercent, min(defaultPercent, 100*spare/(ownHeap+verdicts)))
}
