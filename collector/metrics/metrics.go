// Package metrics holds every figure that /metrics shows.
//
// A caller can rely on labels from fixed sets: a value that is not in the set
// is counted as `other`, so nothing a stranger sends can make a new series, and
// no address, agent, token or page can become a label. Every series of a fixed
// set is there from the start with zero, so that a rate has a beginning. All
// methods may be called from any number of goroutines.
//
// The package does not know who counts. Spool, loader and engine hand over a
// function that returns their present figures; it is called once a scrape, so
// that the figures of one scrape belong to one moment. The package imports none
// of them and knows no route.
//
// What surprises: `Figures` gives the same numbers as pairs of key and value,
// for the table behind the view `health`. They come from the same table of
// figures as the page, so the two cannot disagree.
package metrics

import (
	"net/http"
	"runtime"
	"slices"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Other is the label value of everything that is not in a fixed set.
const Other = "other"

// The fixed sets.
var (
	answers = []string{"204", "400", "403", "405", "413", "415", "429", "500", "503", Other}
	types   = []string{"view", "copy", "share", "engage", "convert", "ask", "answer", "open", "unfurl", "link", "confirm", Other}
	reasons = []string{"bot", "foreign", "gpc", "prefetch", "rate", Other}
)

// buckets are the bounds of the beacon latency in seconds. The spool's group
// commit takes 0.3 to 10 ms on an SSD; the upper ones are for a disk in trouble,
// up to the time after which a beacon is given up.
var buckets = []float64{0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10}

// Options say what the figures are of. The zero value works.
type Options struct {
	Version string   // of the binary
	Commit  string   // it was built from
	Sites   []string // configured ids: the label `site` takes these and `other`
	Now     func() time.Time
}

// Metrics counts. Make it with New.
type Metrics struct {
	own, process *prometheus.Registry
	now          func() time.Time
	sites        []string

	// Every series there is, so that a beacon looks up no labels.
	answers  map[int]prometheus.Counter // 0: other
	events   map[string]prometheus.Counter
	filtered map[hit]prometheus.Counter

	latency     prometheus.Histogram
	panics      prometheus.Counter
	connections prometheus.Gauge
	refused     prometheus.Counter

	sources sources
}

// A hit is what a filtered one is counted by.
type hit struct{ site, reason string }

// New makes the figures, all zero.
func New(o Options) *Metrics {
	if o.Now == nil {
		o.Now = time.Now
	}
	m := &Metrics{
		own: prometheus.NewRegistry(), process: prometheus.NewRegistry(), now: o.Now,
		sites:   append(slices.Clone(o.Sites), Other),
		answers: map[int]prometheus.Counter{}, events: map[string]prometheus.Counter{}, filtered: map[hit]prometheus.Counter{},
		latency: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "passalong_beacon_seconds",
			Help:    "Time from a beacon read to its 204, the wait for the disk included. Moves with every beacon that was stored, not with those refused or filtered.",
			Buckets: buckets,
		}),
		panics: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "passalong_panics_total",
			Help: "Requests answered with 500 because the collector panicked. Moves only when there is a bug to report; the log has the stack.",
		}),
		connections: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "passalong_connections",
			Help: "Connections open now, idle ones included. Rises when one is accepted, falls when it is closed.",
		}),
		refused: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "passalong_connections_refused_total",
			Help: "Connections turned away because too many were open, in all or from one address. Moves when one is closed unserved.",
		}),
	}
	beacons := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "passalong_beacons_total",
		Help: "Requests to the endpoint for beacons, by status of the answer. Moves with every answer; 204 also for those that are filtered and not kept. Requests that never became whole are not in it.",
	}, []string{"answer"})
	events := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "passalong_events_total",
		Help: "Events of beacons taken, by type, those of bots included. Moves when the spool has them on disk; imported events are not in it.",
	}, []string{"type"})
	filtered := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "passalong_filtered_total",
		Help: "Hits that no view counts, by site and reason. bot: stored and marked; foreign: unknown site, or page or Origin not of the site; gpc: Sec-GPC or DNT, nothing kept; prefetch: a page fetched ahead; rate: over the rate limit. The site is other where it was not read or is not configured.",
	}, []string{"site", "reason"})
	build := prometheus.NewGauge(prometheus.GaugeOpts{
		Name:        "passalong_build_info",
		Help:        "Always 1; the labels say which build runs. Changes with an upgrade.",
		ConstLabels: prometheus.Labels{"version": o.Version, "commit": o.Commit, "go": runtime.Version()},
	})
	build.Set(1)
	m.own.MustRegister(beacons, events, filtered, m.latency, m.panics, m.connections, m.refused, build, &m.sources)
	m.process.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))

	for _, a := range answers {
		status, _ := strconv.Atoi(a) // 0: other
		m.answers[status] = beacons.WithLabelValues(a)
	}
	for _, t := range types {
		m.events[t] = events.WithLabelValues(t)
	}
	for _, s := range m.sites {
		for _, r := range reasons {
			m.filtered[hit{s, r}] = filtered.WithLabelValues(s, r)
		}
	}
	return m
}

// Handler serves the page.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(prometheus.Gatherers{m.own, m.process}, promhttp.HandlerOpts{
		// A source that cannot be read must not hide the others.
		ErrorHandling: promhttp.ContinueOnError,
	})
}

// Beacon counts an answer of the endpoint for beacons.
func (m *Metrics) Beacon(status int) {
	c := m.answers[status]
	if c == nil {
		c = m.answers[0]
	}
	c.Inc()
}

// Stored counts the time that a stored beacon took.
func (m *Metrics) Stored(took time.Duration) { m.latency.Observe(took.Seconds()) }

// Event counts an event taken.
func (m *Metrics) Event(kind string) {
	c := m.events[kind]
	if c == nil {
		c = m.events[Other]
	}
	c.Inc()
}

// Filtered counts a hit that no view counts.
func (m *Metrics) Filtered(site, reason string) {
	m.filtered[hit{within(m.sites, site), within(reasons, reason)}].Inc()
}

// Panic counts a request that panicked.
func (m *Metrics) Panic() { m.panics.Inc() }

// Opened and Closed follow the connections; Refused counts those turned away.
func (m *Metrics) Opened()  { m.connections.Inc() }
func (m *Metrics) Closed()  { m.connections.Dec() }
func (m *Metrics) Refused() { m.refused.Inc() }

// within keeps a label inside its set.
func within(set []string, value string) string {
	if slices.Contains(set, value) {
		return value
	}
	return Other
}
