// Package events answers: what was blocked and alerted, where, how often, and what is to be done?
//
// Nodes upload what their spools hold; it is folded into events and counted exactly, however often an
// upload is repeated. Each transaction counts what several nodes sent, because a database writes many
// rows at once almost as fast as one.
package events

import (
	"context"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/sirupsen/logrus"

	"portcullis/central/store"
)

// Nodes tells what an event says of its node.
type Nodes interface {
	EventNode(ctx context.Context, id string) (store.EventNode, error)
}

// Options is what a Service needs besides the store.
type Options struct {
	Nodes Nodes
	// Retention is how long an event is kept after it happened last (default 180 days).
	Retention time.Duration
	// FollowGap is how long one who follows events waits for more at least, before they are sent
	// together (default 200 ms).
	FollowGap time.Duration
	Now       func() time.Time
	Log       logrus.FieldLogger
	Metrics   prometheus.Registerer
}

// Service is the EventService, the receiver of decisions, and the list of events as CSV.
type Service struct {
	store     *store.Store
	options   Options
	followers followers

	allowances *allowances

	mu      sync.Mutex
	queue   []*upload
	waiting int // decisions in the queue
	writers int
	writing sync.WaitGroup

	decisions *prometheus.CounterVec
	swept     prometheus.Counter
}

const defaultRetention = 180 * 24 * time.Hour

// New makes a Service. Close waits for what it is writing.
func New(s *store.Store, options Options) *Service {
	if options.Retention == 0 {
		options.Retention = defaultRetention
	}
	if options.FollowGap == 0 {
		options.FollowGap = 200 * time.Millisecond
	}
	service := &Service{
		store: s, options: options, followers: followers{ofUser: map[string]int{}}, allowances: newAllowances(),
		decisions: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "portcullis_central_decisions_total", Help: "Decisions that nodes uploaded and that were counted, each time that they happened; records of those that were refused because they make no sense, or postponed because a node has too many, each time that they came.",
		}, []string{"result"}),
		swept: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "portcullis_central_events_swept_total", Help: "Events deleted because they were older than events.retention.",
		}),
	}
	options.Metrics.MustRegister(service.decisions, service.swept)
	return service
}

// Close waits for uploads that are being counted.
func (s *Service) Close() { s.writing.Wait() }
