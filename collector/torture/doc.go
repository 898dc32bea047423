// Package torture breaks a running collector in every way we could think of,
// and then counts.
//
// It has no code of its own but tests. Everything in it is a black box: the
// real binary, real sockets, the real embedded ClickHouse, signals of the real
// kernel. A reader of a test can rely on the oracle: every event of a beacon
// that was answered 204 is one row of `events`, once; of one that was refused
// there is none; one that was never answered is there as a whole or not at all;
// every token born is one row of `nodes`; the nodes are what the recursive
// definition makes of the rows; and the revenue is right to the cent.
//
// Not promised: that a run repeats another to the microsecond. A seed repeats
// the beacons and the order of the faults; which goroutine comes first is the
// scheduler's. That is why the deeper runs make each fault many times.
//
// What surprises: kills are not timed. strace holds the process at a system
// call, and the test kills it there, because a window of microseconds is never
// met by chance.
//
// The variable TORTURE says how deep: empty for the part in `make test`,
// `short` for `make torture`, `long` for a night. TORTURE_SEED repeats a run;
// a failure prints the command.
package torture
