package event

import (
	"sync"
	"time"

	"github.com/sirupsen/logrus"

	"portcullis/policy"
)

// Options of a Recorder; zero values take the defaults.
type Options struct {
	Node string
	// FoldInterval is how often repeats are summed up; default 5m. A decision that does not recur
	// for one to two of these is forgotten, and its next occurrence is a first one again.
	FoldInterval time.Duration
	// MaxOpen bounds how many different decisions are folded at a time; default 10,000. Beyond it one
	// that was written makes room, and its repeats are events of their own.
	MaxOpen int
	// MaxEvidence bounds the evidence that they list, all together, in the same way; default 50,000
	// pieces, about 16 MiB.
	MaxEvidence int
	// Lost is told of each decision that could not be kept because too many different ones wait for a
	// sink that is stuck. It may be nil.
	Lost func()
	Log  logrus.FieldLogger
}

// Recorder folds decisions into events. The first of its kind is written at once; the kubelet retries
// a refused container every few seconds, and what it repeats is summed up every FoldInterval.
type Recorder struct {
	sink    Sink
	options Options

	mu   sync.Mutex
	open map[key]*folded
	// fresh lists the events of which nothing has been written, in the order in which they came.
	fresh []key
	// closed are the last summaries of events that made room for others.
	closed []Event
	pieces int // of evidence in open and closed

	wake chan struct{}
	stop chan struct{}
	done chan struct{}
}

// key is what makes two decisions the same for the reader of events.
type key struct {
	action                                   policy.Action
	because, imageID, podUID, pod, container string
}

// folded is one event with the count of what has not been written yet.
type folded struct {
	Event
	written bool // at least once
	quiet   bool // did not recur in the last whole interval
}

// NewRecorder makes a recorder that writes to sink until Close.
func NewRecorder(sink Sink, options Options) *Recorder {
	if options.FoldInterval == 0 {
		options.FoldInterval = 5 * time.Minute
	}
	if options.MaxOpen == 0 {
		options.MaxOpen = 10_000
	}
	if options.MaxEvidence == 0 {
		options.MaxEvidence = 50_000
	}
	if options.Lost == nil {
		options.Lost = func() {}
	}
	r := &Recorder{
		sink: sink, options: options, open: map[key]*folded{},
		wake: make(chan struct{}, 1), stop: make(chan struct{}), done: make(chan struct{}),
	}
	go r.run()
	return r
}

// Record takes one decision. It never waits for the sink. What the pod's owner was told follows from the
// rest and is not written again.
func (r *Recorder) Record(at time.Time, operation string, c *policy.Container, d *policy.Decision, _ string) {
	k := key{d.Action, d.Because(), c.Image.ID, c.PodUID, c.Namespace + "/" + c.Pod, c.Name}
	r.mu.Lock()
	defer r.mu.Unlock()
	if e, ok := r.open[k]; ok {
		if e.Count == 0 {
			e.First = at
		}
		e.Count++
		e.Last, e.quiet = at, false
		return
	}
	pieces := d.Pieces()
	for len(r.open) >= r.options.MaxOpen || len(r.open) > 0 && r.pieces+pieces > r.options.MaxEvidence {
		if !r.makeRoom() {
			r.options.Lost()
			return
		}
	}
	r.pieces += pieces
	r.open[k] = &folded{Event: Event{Operation: operation, Node: r.options.Node, Container: c, Decision: d.Detach(), Count: 1, First: at, Last: at}}
	r.fresh = append(r.fresh, k)
	select {
	case r.wake <- struct{}{}:
	default: // the writer will see this one as well
	}
}

// makeRoom ends the folding of one event that has been written, whichever comes first; what it still
// counts is written with the fresh ones. It says no when there is none: the sink is stuck, and memory
// must not grow for it. The caller holds the lock.
func (r *Recorder) makeRoom() bool {
	if len(r.closed) >= r.options.MaxOpen {
		return false
	}
	for k, e := range r.open {
		if !e.written {
			continue
		}
		if e.Count > 0 {
			r.closed = append(r.closed, e.take())
			r.pieces += e.Decision.Pieces()
		}
		r.forget(k, e)
		return true
	}
	return false
}

func (r *Recorder) forget(k key, e *folded) {
	r.pieces -= e.Decision.Pieces()
	delete(r.open, k)
}

// Close writes what has not been written yet and stops.
func (r *Recorder) Close() {
	close(r.stop)
	<-r.done
}

func (r *Recorder) run() {
	defer close(r.done)
	ticker := time.NewTicker(r.options.FoldInterval)
	defer ticker.Stop()
	for {
		select {
		case <-r.wake:
			r.write(r.takeFresh())
		case <-ticker.C:
			r.write(r.takeFresh())
			r.write(r.takeRepeats())
		case <-r.stop:
			r.write(r.takeFresh())
			r.write(r.takeRepeats())
			return
		}
	}
}

// takeFresh returns the events that have not been written at all, and the summaries of those that made
// room.
func (r *Recorder) takeFresh() []Event {
	r.mu.Lock()
	defer r.mu.Unlock()
	events := r.closed
	for _, e := range events {
		r.pieces -= e.Decision.Pieces()
	}
	for _, k := range r.fresh {
		events = append(events, r.open[k].take())
	}
	r.closed, r.fresh = nil, nil
	return events
}

// takeRepeats returns a summary of each event that has recurred since it was last written, and
// forgets those that have been quiet.
func (r *Recorder) takeRepeats() []Event {
	r.mu.Lock()
	defer r.mu.Unlock()
	var events []Event
	for k, e := range r.open {
		switch {
		case !e.written: // came after takeFresh; the writer is awake for it
		case e.Count > 0:
			events = append(events, e.take())
		case e.quiet:
			r.forget(k, e)
		default:
			e.quiet = true
		}
	}
	return events
}

// take copies the event for writing and starts its next count.
func (e *folded) take() Event {
	taken := e.Event
	e.Count, e.written = 0, true
	return taken
}

func (r *Recorder) write(events []Event) {
	for _, e := range events {
		if err := r.sink.Write(e); err != nil {
			r.options.Log.WithError(err).WithFields(fields(e)).Error("event could not be written")
		}
	}
}
