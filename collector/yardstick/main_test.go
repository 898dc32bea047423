//go:build linux

package yardstick

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"testing"
	"time"
)

var (
	rounds  = flag.Int("yardstick.rounds", 3, "rounds of a benchmark; each gives the load to the bare handler and to the collector")
	window  = flag.Duration("yardstick.window", 3*time.Second, "how long the load of a round is measured")
	minutes = flag.Float64("yardstick.minutes", 0, "how long BenchmarkSteady loads the collector; 0: not at all")
	profile = flag.String("yardstick.profile", "", "a folder for processor and allocation profiles of the collector under load")
)

// role makes the test binary one of the processes that a measurement needs.
const role = "YARDSTICK_ROLE"

func TestMain(m *testing.M) {
	var err error
	switch os.Getenv(role) {
	case "bare":
		err = bare(os.Stdout, os.Args[1])
	case "load":
		var o order
		if err = json.Unmarshal([]byte(os.Args[1]), &o); err == nil {
			err = load(os.Stdout, o)
		}
	default:
		code := m.Run()
		report.print(os.Stdout)
		os.Exit(code)
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", os.Getenv(role), err)
		os.Exit(1)
	}
	os.Exit(0)
}
