package relay

const (
	initialWindow = 65535
	maxWindow     = 1<<31 - 1
)

// connectionWindow is the flow-control window of a connection towards the runtime, as both ends see
// it. They see it alike while everything passes. What the relay holds or drops, the client has sent
// and the runtime has not received: that is the slack, and the relay may use it up or give it back.
//
// The client is never told of window that the relay means to use itself, so together they cannot send
// more than the runtime takes, and nothing that passes ever waits for what is held.
type connectionWindow struct {
	runtime int64 // bytes that the runtime takes
	slack   int64 // of those, bytes that the client does not know of
	held    int64 // bytes held that may go to the runtime
	peak    int64 // the largest that runtime has been
}

func newConnectionWindow() connectionWindow {
	return connectionWindow{runtime: initialWindow, peak: initialWindow}
}

// passed: n bytes went from the client to the runtime.
func (w *connectionWindow) passed(n int) { w.runtime -= int64(n) }

// withheld: n bytes came from the client and are held.
func (w *connectionWindow) withheld(n int) {
	w.slack += int64(n)
	w.held += int64(n)
}

// dropped: n bytes came from the client and go nowhere.
func (w *connectionWindow) dropped(n int) { w.slack += int64(n) }

// discarded: n bytes that were held go nowhere.
func (w *connectionWindow) discarded(n int) { w.held -= int64(n) }

// sent: n bytes that were held went to the runtime.
func (w *connectionWindow) sent(n int) {
	w.runtime -= int64(n)
	w.slack -= int64(n)
	w.held -= int64(n)
}

// granted: the runtime takes n bytes more.
func (w *connectionWindow) granted(n uint32) {
	w.runtime += int64(n)
	w.slack += int64(n)
	w.peak = max(w.peak, w.runtime)
}

// reserve is the slack that is kept for what is held, so that sending it never comes to a stop. Either
// it is enough for all of it, or what has been sent by the time it is used up makes the runtime give
// window back: every end does that when half of its window is used, most do earlier.
func (w *connectionWindow) reserve() int64 {
	used := w.peak - w.runtime
	return min(w.held, max(0, (w.peak+1)/2-used))
}

// excess takes what the client is to be told of, 0 for nothing.
func (w *connectionWindow) excess() uint32 {
	excess := increment(w.slack - w.reserve())
	w.slack -= int64(excess)
	return excess
}

// streamWindow is the same for one stream that is held. Everything on it goes through the relay, so
// the client may be told of window that the runtime has not given yet: slack may be negative.
type streamWindow struct {
	runtime int64
	slack   int64
}

func (w *streamWindow) withheld(n int) { w.slack += int64(n) }

func (w *streamWindow) sent(n int) {
	w.runtime -= int64(n)
	w.slack -= int64(n)
}

func (w *streamWindow) granted(n uint32) {
	w.runtime += int64(n)
	w.slack += int64(n)
}

// resized: the runtime changed the initial window of all streams.
func (w *streamWindow) resized(by int64) { w.runtime += by }

// excess takes what the client is to be told of: nothing until it has used half of what it knows of,
// so that a small request costs no extra frame.
func (w *streamWindow) excess() uint32 {
	if known := w.runtime - w.slack; known > w.slack {
		return 0
	}
	excess := increment(w.slack)
	w.slack -= int64(excess)
	return excess
}

// increment is what one WINDOW_UPDATE frame can give of n, 0 when there is nothing to give.
func increment(n int64) uint32 {
	if n <= 0 {
		return 0
	}
	if n > maxWindow {
		return maxWindow
	}
	return uint32(n)
}
