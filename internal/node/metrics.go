package node

import (
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"google.golang.org/grpc"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"

	"portcullis/event"
	"portcullis/policy"
	"portcullis/proxy/wire"
	scanner "portcullis/scanner-client"
	"portcullis/uplink"
)

// metrics are the daemon's counters; docs/metrics.md lists them for users.
type metrics struct {
	registry *prometheus.Registry

	decisions       *prometheus.CounterVec
	decisionSeconds *prometheus.HistogramVec
	calls           *prometheus.CounterVec
	callSeconds     *prometheus.HistogramVec
	reloads         *prometheus.CounterVec
	reloadSuccess   prometheus.Gauge
	eventsLost      prometheus.Counter
}

func newMetrics(version string) *metrics {
	m := &metrics{
		registry: prometheus.NewRegistry(),
		decisions: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "portcullis_decisions_total", Help: "Decisions made, by the policy that decided; no policy where the reason is another.",
		}, []string{"operation", "action", "reason", "policy"}),
		decisionSeconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "portcullis_decision_seconds", Help: "Time a decision took, the wait for a verdict included.",
			Buckets: []float64{1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 0.1, 0.5, 1, 2, 5},
		}, []string{"operation"}),
		calls: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "portcullis_calls_total", Help: "Calls that ended, by gRPC status code.",
		}, []string{"method", "guarded", "code"}),
		callSeconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "portcullis_call_seconds", Help: "Time from a call's arrival to its end, the runtime's share included.",
			Buckets: prometheus.ExponentialBuckets(0.00025, 4, 10),
		}, []string{"method"}),
		reloads: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "portcullis_bundle_reloads_total", Help: "Attempts to load changed policies, by result.",
		}, []string{"result"}),
		reloadSuccess: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "portcullis_bundle_reload_success", Help: "1 when the newest policies are in force, 0 when they are wrong and older ones are.",
		}),
		eventsLost: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "portcullis_events_lost_total", Help: "Decisions of which no event could be kept.",
		}),
	}
	build := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "portcullis_build_info", Help: "Always 1.", ConstLabels: prometheus.Labels{"version": version},
	})
	build.Set(1)
	m.registry.MustRegister(m.decisions, m.decisionSeconds, m.calls, m.callSeconds, m.reloads, m.reloadSuccess, m.eventsLost, build,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// observe adds what is read from n whenever the metrics are.
func (m *metrics) observe(n *Node) {
	gauge := func(name, help string, value func() float64) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, value)
	}
	counter := func(name, help string, value func() float64) prometheus.Collector {
		return prometheus.NewCounterFunc(prometheus.CounterOpts{Name: name, Help: help}, value)
	}
	m.registry.MustRegister(
		counter("portcullis_verdict_cache_hits_total", "Verdicts answered from memory.", func() float64 { return float64(n.verdicts.Stats().Hits) }),
		counter("portcullis_verdict_cache_misses_total", "Verdicts that a source was asked for.", func() float64 { return float64(n.verdicts.Stats().Misses) }),
		gauge("portcullis_verdict_cache_size", "Verdicts in memory.", func() float64 { return float64(n.verdicts.Stats().Size) }),
		gauge("portcullis_verdict_cache_bytes", "Memory that the verdicts take, as estimated.", func() float64 { return float64(n.verdicts.Stats().Bytes) }),
		counter("portcullis_verdict_timeouts_total", "Verdicts that a source did not give in time.", func() float64 { return float64(n.verdicts.Stats().Timeouts) }),
		gauge("portcullis_verdict_files", "Report files in the reports folders.", func() float64 { files, _ := n.reportFiles(); return float64(files) }),
		gauge("portcullis_verdict_files_broken", "Report files that cannot be read.", func() float64 { _, broken := n.reportFiles(); return float64(broken) }),
		sourceCollector{n.chain},
		gauge("portcullis_runtime_connected", "1 while the container runtime can be reached.", func() float64 {
			if n.path.Connected() {
				return 1
			}
			return 0
		}),
		bundleCollector{n.bundles},
	)
	if n.uplink != nil {
		m.registry.MustRegister(centralCollector{n})
	}
}

// centralMetrics are what is told of central and the spool, where central is configured.
var centralMetrics = []struct {
	description *prometheus.Desc
	kind        prometheus.ValueType
	value       func(uplink.Stats, event.SpoolStats) float64
}{
	{centralDesc("uplink_connected", "1 while the node is connected to central."), prometheus.GaugeValue, func(u uplink.Stats, _ event.SpoolStats) float64 { return oneIf(u.Connected) }},
	{centralDesc("uplink_bundle", "Number of central's bundle in force, 0 when none of central's is."), prometheus.GaugeValue, func(u uplink.Stats, _ event.SpoolStats) float64 { return float64(u.Bundle) }},
	{centralDesc("uplink_bundle_rejected", "Number of the newest bundle from central while it cannot be used, else 0."), prometheus.GaugeValue, func(u uplink.Stats, _ event.SpoolStats) float64 { return float64(u.Rejected) }},
	{centralDesc("uplink_decisions_uploaded_total", "Decisions that central has taken."), prometheus.CounterValue, func(u uplink.Stats, _ event.SpoolStats) float64 { return float64(u.Uploaded) }},
	{centralDesc("uplink_verdicts_mirrored", "Images of which central has told."), prometheus.GaugeValue, func(u uplink.Stats, _ event.SpoolStats) float64 { return float64(u.Mirrored) }},
	{centralDesc("uplink_starts_lost_total", "Starts that were not reported for previews of policies, because there were too many different ones."), prometheus.CounterValue, func(u uplink.Stats, _ event.SpoolStats) float64 { return float64(u.StartsLost) }},
	{centralDesc("spool_bytes", "Disk that the spool takes."), prometheus.GaugeValue, func(_ uplink.Stats, s event.SpoolStats) float64 { return float64(s.Bytes) }},
	{centralDesc("spool_records", "Records that central does not have yet, at most."), prometheus.GaugeValue, func(_ uplink.Stats, s event.SpoolStats) float64 { return float64(s.Waiting) }},
	{centralDesc("spool_writable", "0 while decisions are held in memory because the spool cannot be written."), prometheus.GaugeValue, func(_ uplink.Stats, s event.SpoolStats) float64 { return oneIf(!s.Trouble) }},
	{centralDesc("spool_held_decisions", "Decisions that are in memory only."), prometheus.GaugeValue, func(_ uplink.Stats, s event.SpoolStats) float64 { return float64(s.Held) }},
	{centralDesc("spool_damaged_records_total", "Records of the spool that could not be read."), prometheus.CounterValue, func(_ uplink.Stats, s event.SpoolStats) float64 { return float64(s.Damaged) }},
	{centralDesc("spool_summarised_decisions_total", "Decisions that lost details because the spool was full or could not be written."), prometheus.CounterValue, func(_ uplink.Stats, s event.SpoolStats) float64 { return float64(s.Summarised) }},
}

func centralDesc(name, help string) *prometheus.Desc {
	return prometheus.NewDesc("portcullis_"+name, help, nil, nil)
}

func oneIf(is bool) float64 {
	if is {
		return 1
	}
	return 0
}

// centralCollector reports how the node stands with central.
type centralCollector struct{ node *Node }

func (centralCollector) Describe(descriptions chan<- *prometheus.Desc) {
	for _, m := range centralMetrics {
		descriptions <- m.description
	}
}

func (c centralCollector) Collect(values chan<- prometheus.Metric) {
	link, spool := c.node.uplink.Stats(), c.node.spool.Stats()
	for _, m := range centralMetrics {
		values <- prometheus.MustNewConstMetric(m.description, m.kind, m.value(link, spool))
	}
}

var (
	bundleInfo     = prometheus.NewDesc("portcullis_bundle_info", "Always 1; the revision in force.", []string{"revision"}, nil)
	expired        = prometheus.NewDesc("portcullis_bundle_exemptions_expired", "Exemptions in the bundle in force that have no effect any more.", nil, nil)
	bundlePolicies = prometheus.NewDesc("portcullis_bundle_policies", "Policies in the bundle in force.", nil, nil)
)

// bundleCollector reports the bundle in force, whose revision is a label and changes.
type bundleCollector struct{ bundles *bundles }

func (bundleCollector) Describe(descriptions chan<- *prometheus.Desc) {
	descriptions <- bundleInfo
	descriptions <- bundlePolicies
	descriptions <- expired
}

func (c bundleCollector) Collect(values chan<- prometheus.Metric) {
	bundle := c.bundles.Current()
	if bundle == nil {
		return
	}
	values <- prometheus.MustNewConstMetric(bundleInfo, prometheus.GaugeValue, 1, bundle.Revision())
	values <- prometheus.MustNewConstMetric(bundlePolicies, prometheus.GaugeValue, float64(bundle.Len()))
	values <- prometheus.MustNewConstMetric(expired, prometheus.GaugeValue, float64(bundle.Expired(c.bundles.now())))
}

var (
	sourceAnswers = prometheus.NewDesc("portcullis_verdict_source_answers_total", "Answers of each verdict source.", []string{"source", "result"}, nil)
	sourceResting = prometheus.NewDesc("portcullis_verdict_source_resting", "1 while a source is not asked because it failed too often.", []string{"source"}, nil)
)

// sourceCollector reports how each verdict source does.
type sourceCollector struct{ chain *scanner.Chain }

func (sourceCollector) Describe(descriptions chan<- *prometheus.Desc) {
	descriptions <- sourceAnswers
	descriptions <- sourceResting
}

func (c sourceCollector) Collect(values chan<- prometheus.Metric) {
	for _, s := range c.chain.Stats() {
		for result, count := range map[string]uint64{"found": s.Found, "unscanned": s.Unscanned, "failed": s.Failed} {
			values <- prometheus.MustNewConstMetric(sourceAnswers, prometheus.CounterValue, float64(count), s.Name, result)
		}
		resting := 0.0
		if s.Resting {
			resting = 1
		}
		values <- prometheus.MustNewConstMetric(sourceResting, prometheus.GaugeValue, resting, s.Name)
	}
}

func (m *metrics) decided(operation string, d *policy.Decision, took time.Duration) {
	name := ""
	if len(d.Matches) > 0 {
		name = d.Matches[0].Policy
	}
	m.decisions.WithLabelValues(operation, d.Action.String(), string(d.Reason), name).Inc()
	m.decisionSeconds.WithLabelValues(operation).Observe(took.Seconds())
}

func (m *metrics) reloaded(ok bool) {
	if ok {
		m.reloads.WithLabelValues("success").Inc()
		m.reloadSuccess.Set(1)
		return
	}
	m.reloads.WithLabelValues("failure").Inc()
	m.reloadSuccess.Set(0)
}

func (m *metrics) finished(c wire.Call) {
	method := methodLabel(c.Method)
	m.calls.WithLabelValues(method, strconv.FormatBool(c.Guarded), c.Code.String()).Inc()
	m.callSeconds.WithLabelValues(method).Observe(c.Took.Seconds())
}

// knownMethods bounds the label: a client may call any name it likes.
var knownMethods = func() map[string]bool {
	known := map[string]bool{}
	for _, service := range []grpc.ServiceDesc{cri.RuntimeService_ServiceDesc, cri.ImageService_ServiceDesc} {
		for _, method := range service.Methods {
			known[method.MethodName] = true
		}
		for _, stream := range service.Streams {
			known[stream.StreamName] = true
		}
	}
	return known
}()

func methodLabel(method string) string {
	name := method[strings.LastIndexByte(method, '/')+1:]
	if strings.HasPrefix(method, "/runtime.v1") && knownMethods[name] {
		return name
	}
	return "other"
}
