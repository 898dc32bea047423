package metrics

import (
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// SpoolStats is what waits on disk.
type SpoolStats struct {
	Rows, Bytes int64
	Oldest      time.Time // when the oldest waiting row was received; zero when none waits
	Full        bool      // beacons are refused until some of it is loaded
	FreeDisk    int64     // bytes free on its disk; below 0: not known
	SetAside    int       // damaged spools that somebody has to look at
}

// LoaderStats is what became of it since the start.
type LoaderStats struct {
	Batches, Rows uint64        // that are in the tables
	Nodes         uint64        // births written with what was decided of them
	Repaired      uint64        // of these by the sweep, because a parent came late
	Retries       uint64        // attempts that did not end cleanly
	Recounts      uint64        // batches whose rows were counted after something unclean
	Quarantined   uint64        // rows that ClickHouse refused for good
	Lag           time.Duration // age of the oldest event that waits
	State         string        // one of the states below
	Reason        string        // why it waits, one of waits below; empty when it does not
}

// EngineStats is how the embedded ClickHouse fares.
type EngineStats struct {
	Up       bool
	Restarts int
}

// states are what a loader can be doing.
var states = []string{"starting", "recounting", "idle", "loading", "waiting", "stopped", Other}

// waits are the reasons why a loader can wait: what ClickHouse answers, in one word.
var waits = []string{"connection", "timeout", "memory", "parts", "readonly", "disk", "access", "schema", "busy", "server", "row", Other}

// A figure is one line of the page that is read from a source.
type figure[T any] struct {
	name, help string
	kind       prometheus.ValueType
	value      func(T) float64
}

func (m *Metrics) spoolFigures() []figure[SpoolStats] {
	return []figure[SpoolStats]{
		{"spool_rows", "Rows on disk that are not in the tables yet. Rises with every beacon, falls with every batch loaded.", prometheus.GaugeValue,
			func(s SpoolStats) float64 { return float64(s.Rows) }},
		{"spool_bytes", "Bytes on disk of the spool; spool-limit is held against it. Falls some time after the rows do.", prometheus.GaugeValue,
			func(s SpoolStats) float64 { return float64(s.Bytes) }},
		{"spool_oldest_seconds", "Age of the oldest row that is not in the tables yet, 0 when none waits. Grows while ClickHouse is away.", prometheus.GaugeValue,
			func(s SpoolStats) float64 {
				if s.Oldest.IsZero() {
					return 0
				}
				return max(0, m.now().Sub(s.Oldest).Seconds())
			}},
		{"spool_full", "1 while beacons are answered 503 because the spool has reached its limit or the disk is nearly full, else 0.", prometheus.GaugeValue,
			func(s SpoolStats) float64 { return truth(s.Full) }},
		{"spool_free_disk_bytes", "Bytes free on the spool's disk when last looked at, -1 where the system does not say. Beacons are refused while it is below the reserve.", prometheus.GaugeValue,
			func(s SpoolStats) float64 { return float64(s.FreeDisk) }},
		{"spool_set_aside", "Damaged spools that lie beside the spool and wait for somebody to look at them. Moves at a start that finds damage.", prometheus.GaugeValue,
			func(s SpoolStats) float64 { return float64(s.SetAside) }},
	}
}

var loaderFigures = []figure[LoaderStats]{
	{"loader_batches_total", "Batches that are in the tables. Moves when a batch has been counted there.", prometheus.CounterValue,
		func(s LoaderStats) float64 { return float64(s.Batches) }},
	{"loader_rows_total", "Rows that are in the tables. Moves with loader_batches_total.", prometheus.CounterValue,
		func(s LoaderStats) float64 { return float64(s.Rows) }},
	{"loader_nodes_total", "Views, shares and links written to nodes, each time one is decided anew included. Moves after the rows of a batch.", prometheus.CounterValue,
		func(s LoaderStats) float64 { return float64(s.Nodes) }},
	{"loader_repaired_total", "Of loader_nodes_total those that the sweep decided anew, because a parent came late. Moves once a minute at most.", prometheus.CounterValue,
		func(s LoaderStats) float64 { return float64(s.Repaired) }},
	{"loader_retries_total", "Attempts to load a batch that did not end cleanly. Moves while ClickHouse is away or refuses.", prometheus.CounterValue,
		func(s LoaderStats) float64 { return float64(s.Retries) }},
	{"loader_recounts_total", "Batches whose rows were counted again after something unclean. Moves after a retry and at the start.", prometheus.CounterValue,
		func(s LoaderStats) float64 { return float64(s.Recounts) }},
	{"loader_quarantined_rows", "Rows that ClickHouse refuses and that were set aside, also before this start. Rises only when there is something to mend.", prometheus.GaugeValue,
		func(s LoaderStats) float64 { return float64(s.Quarantined) }},
	{"loader_lag_seconds", "Age of the oldest event that the loader has not brought into the tables, 0 when it has caught up. Grows while ClickHouse is away.", prometheus.GaugeValue,
		func(s LoaderStats) float64 { return s.Lag.Seconds() }},
}

var engineFigures = []figure[EngineStats]{
	{"engine_up", "1 while the embedded ClickHouse answers, else 0.", prometheus.GaugeValue,
		func(s EngineStats) float64 { return truth(s.Up) }},
	{"engine_restarts_total", "Times the embedded ClickHouse was started again since the collector's start. Moves when it died.", prometheus.CounterValue,
		func(s EngineStats) float64 { return float64(s.Restarts) }},
}

const stateHelp = "1 for what the loader is doing now, 0 for everything else. recounting: batches are counted again after a start or something unclean; waiting: ClickHouse does not answer or does not take rows."

const waitsHelp = "1 for why the loader waits, all 0 while it does not. connection: no answer, or cut; access: user, password or grant; parts: merges do not keep up; schema: a table or column is missing; row: it is refused and there is no quarantine; server: another answer of ClickHouse; other: a fault on this side."

// Spool says where the figures of the spool come from.
func (m *Metrics) Spool(stats func() SpoolStats) { m.sources.add(read(stats, m.spoolFigures())) }

// Engine says where the figures of the embedded ClickHouse come from. Without
// a call (a server is used) they are not on the page.
func (m *Metrics) Engine(stats func() EngineStats) { m.sources.add(read(stats, engineFigures)) }

// Loader says where the figures of the loader come from.
func (m *Metrics) Loader(stats func() LoaderStats) {
	m.sources.add(func() []reading {
		s := stats()
		out := readings(s, loaderFigures)
		now := within(states, s.State)
		for _, state := range states {
			out = append(out, reading{name: "loader_state", help: stateHelp, kind: prometheus.GaugeValue, key: "state", label: state, value: truth(state == now)})
		}
		now = ""
		if s.Reason != "" {
			now = within(waits, s.Reason)
		}
		for _, reason := range waits {
			out = append(out, reading{name: "loader_waits", help: waitsHelp, kind: prometheus.GaugeValue, key: "reason", label: reason, value: truth(reason == now)})
		}
		return out
	})
}

// A Figure is one number of the view `health`.
type Figure struct {
	Key   string
	Value float64
}

// Figures gives what the page says of spool, loader and engine, always in the
// same order.
func (m *Metrics) Figures() []Figure {
	var out []Figure
	for _, r := range m.sources.read() {
		key := r.name
		if r.label != "" {
			key += "_" + r.label
		}
		out = append(out, Figure{key, r.value})
	}
	return out
}

// A reading is a figure with its value of one moment.
type reading struct {
	name, help string
	key, label string // of the one label, empty for a figure without
	kind       prometheus.ValueType
	value      float64
}

func readings[T any](s T, figures []figure[T]) []reading {
	out := make([]reading, 0, len(figures))
	for _, f := range figures {
		out = append(out, reading{name: f.name, help: f.help, kind: f.kind, value: f.value(s)})
	}
	return out
}

func read[T any](stats func() T, figures []figure[T]) func() []reading {
	return func() []reading { return readings(stats(), figures) }
}

// sources collects from all that was handed over. It is an unchecked collector
// (Describe sends nothing) because sources come after the registration.
type sources struct {
	mu  sync.Mutex
	all []func() []reading
}

func (s *sources) add(f func() []reading) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all = append(s.all, f)
}

func (s *sources) read() []reading {
	s.mu.Lock()
	all := s.all[:len(s.all):len(s.all)]
	s.mu.Unlock()
	var out []reading
	for _, f := range all {
		out = append(out, f()...)
	}
	return out
}

func (s *sources) Describe(chan<- *prometheus.Desc) {}

func (s *sources) Collect(ch chan<- prometheus.Metric) {
	for _, r := range s.read() {
		var labels []string
		var values []string
		if r.label != "" {
			labels, values = []string{r.key}, []string{r.label}
		}
		ch <- prometheus.MustNewConstMetric(prometheus.NewDesc("passalong_"+r.name, r.help, labels, nil), r.kind, r.value, values...)
	}
}

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
