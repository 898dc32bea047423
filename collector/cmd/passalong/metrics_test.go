package main

import (
	"slices"
	"testing"

	"github.com/passalong/passalong/collector/loader"
	"github.com/passalong/passalong/collector/metrics"
)

// The page has labels from fixed sets, which package metrics keeps without
// knowing the loader.
func TestEveryStateAndReasonOfTheLoaderHasALabel(t *testing.T) {
	one := func(s metrics.LoaderStats) (keys []string) {
		m := metrics.New(metrics.Options{})
		m.Loader(func() metrics.LoaderStats { return s })
		for _, f := range m.Figures() {
			if f.Value == 1 {
				keys = append(keys, f.Key)
			}
		}
		return keys
	}
	for _, state := range loader.States {
		if got := one(metrics.LoaderStats{State: state}); !slices.Equal(got, []string{"loader_state_" + state}) {
			t.Errorf("state %s: %v", state, got)
		}
	}
	for _, class := range loader.Classes {
		if got := one(metrics.LoaderStats{State: "waiting", Reason: string(class)}); !slices.Equal(got, []string{"loader_state_waiting", "loader_waits_" + string(class)}) {
			t.Errorf("reason %s: %v", class, got)
		}
	}
}
