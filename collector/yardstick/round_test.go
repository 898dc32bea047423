//go:build linux

package yardstick

import (
	"bufio"
	"encoding/json"
	"os"
	"os/exec"
	"runtime"
	"testing"
	"time"
)

// connections is how many a measurement keeps alive.
const connections = 64

// A round is what one load has cost.
type round struct {
	outcome
	took      time.Duration // of the window
	processor time.Duration // of the subject for all beacons, until they are in the tables
	engine    time.Duration // of the engine, likewise
	generator float64       // share of all processors within the window, as the next two
	subject   float64
	others    float64 // of programs that do not belong to the measurement
	peak      int     // memory of the subject so far
}

// perSecond is the rate of beacons answered.
func (r round) perSecond() float64 { return float64(r.Beacons) / r.took.Seconds() }

// micros is a processor time in µs a beacon.
func (r round) micros(of time.Duration) float64 { return of.Seconds() * 1e6 / float64(r.Total) }

// measure gives a load to a subject. While is called when the window begins
// and returns before it ends; nil: nothing.
func measure(b *testing.B, s *subject, o order, while func()) round {
	b.Helper()
	o.Address, o.Connections = s.address, connections
	text, err := json.Marshal(o)
	if err != nil {
		b.Fatal(err)
	}
	cmd := exec.Command(os.Args[0], string(text))
	cmd.Env = append(os.Environ(), role+"=load")
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	own, below := processor(s.pid()), s.engine()
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	lines := bufio.NewReader(out)
	expect := func(want string) {
		if line, err := lines.ReadString('\n'); err != nil || line != want+"\n" {
			_ = cmd.Wait() // its own words are on the error stream
			b.Fatalf("load on the %s: %q, %v", s.name, line, err)
		}
	}
	sample := func() (at time.Time, subject, all time.Duration) {
		return time.Now(), processor(s.pid()) + s.engine(), busy()
	}
	expect("begin")
	began, ownBefore, allBefore := sample()
	if while != nil {
		while()
	}
	expect("end")
	ended, ownAfter, allAfter := sample()
	r := round{took: ended.Sub(began)}
	if err := json.NewDecoder(lines).Decode(&r.outcome); err != nil {
		b.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		b.Fatal(err)
	}
	if err := s.drain(); err != nil {
		b.Fatal(err)
	}
	r.processor, r.engine = processor(s.pid())-own, s.engine()-below
	_, r.peak = resident(s.pid())
	whole := r.took.Seconds() * float64(runtime.NumCPU())
	r.generator, r.subject = r.Processor.Seconds()/whole, (ownAfter-ownBefore).Seconds()/whole
	r.others = max(0, (allAfter-allBefore).Seconds()/whole-r.generator-r.subject)
	return r
}
