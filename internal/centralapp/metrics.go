package centralapp

import (
	"context"
	"time"

	"connectrpc.com/connect"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"portcullis/central/store"
)

// metrics are central's counters; docs/metrics.md lists them for users. As an interceptor it counts calls.
type metrics struct {
	registry *prometheus.Registry

	calls       *prometheus.CounterVec
	callSeconds *prometheus.HistogramVec
	streams     *prometheus.GaugeVec
}

func newMetrics(version string) *metrics {
	m := &metrics{
		registry: prometheus.NewRegistry(),
		calls: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "portcullis_central_calls_total", Help: "Calls that ended, by code.",
		}, []string{"method", "code"}),
		callSeconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "portcullis_central_call_seconds", Help: "Time that calls took, streams left out.",
			Buckets: prometheus.ExponentialBuckets(0.001, 4, 8),
		}, []string{"method"}),
		streams: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "portcullis_central_streams", Help: "Streams that are open.",
		}, []string{"method"}),
	}
	build := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "portcullis_central_build_info", Help: "Always 1.", ConstLabels: prometheus.Labels{"version": version},
	})
	build.Set(1)
	m.registry.MustRegister(m.calls, m.callSeconds, m.streams, build,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// watch tells how the database is.
func (m *metrics) watch(s *store.Store) {
	m.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "portcullis_central_database_full", Help: "1 while there is no space for what changes.",
	}, func() float64 {
		if s.Full() {
			return 1
		}
		return 0
	}))
}

func (m *metrics) ended(procedure string, err error) {
	code := "ok"
	if err != nil {
		code = connect.CodeOf(err).String()
	}
	m.calls.WithLabelValues(procedure, code).Inc()
}

// WrapUnary counts a call.
func (m *metrics) WrapUnary(next connect.UnaryFunc) connect.UnaryFunc {
	return func(ctx context.Context, request connect.AnyRequest) (connect.AnyResponse, error) {
		began := time.Now()
		response, err := next(ctx, request)
		m.callSeconds.WithLabelValues(request.Spec().Procedure).Observe(time.Since(began).Seconds())
		m.ended(request.Spec().Procedure, err)
		return response, err
	}
}

// WrapStreamingClient does nothing.
func (*metrics) WrapStreamingClient(next connect.StreamingClientFunc) connect.StreamingClientFunc {
	return next
}

// WrapStreamingHandler counts a stream.
func (m *metrics) WrapStreamingHandler(next connect.StreamingHandlerFunc) connect.StreamingHandlerFunc {
	return func(ctx context.Context, stream connect.StreamingHandlerConn) error {
		open := m.streams.WithLabelValues(stream.Spec().Procedure)
		open.Inc()
		defer open.Dec()
		err := next(ctx, stream)
		m.ended(stream.Spec().Procedure, err)
		return err
	}
}
