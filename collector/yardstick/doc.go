// Package yardstick measures the whole collector beside the least that could
// do the same: a bare Fiber handler that decodes the same beacons and appends
// them to a spool of the same kind. It has tests only.
//
//	go test -run '^$' -bench . ./collector/yardstick
//
// What can be relied on: each ratio compares two neighbours in time. Bare
// handler, collector and load generator are processes of their own; a round
// gives the load to one and then to the other, and the next round in the other
// order. Processor time is the kernel's account of each process. What the
// collector has taken is in the tables before its round ends, and that work is
// in its figures.
//
// Not promised: rates on a machine that does something else. The report says how
// much of the processor other programs had meanwhile; the processor time of a
// beacon bears that better than the rate does.
//
// What surprises: the load generator speaks to its sockets by bare system calls
// from one thread. With net/http it would take more of the processor than what
// it measures.
package yardstick
