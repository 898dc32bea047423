// Package control is how the commands on a machine find the `serve` that runs
// there: a socket in the data directory, and HTTP over it.
//
// A caller can rely on this: the socket is open to its owner only, from the
// moment it exists; a socket file that a killed process left behind is replaced
// and one that somebody listens on never is; a client that goes away ends what
// it asked for. Lock tells a second `serve` on the same directory apart from a
// first, and lets go when the process ends in whatever way.
//
// Not promised: that two versions of the program understand each other. The
// socket is no public interface; a command and the `serve` it finds are of one
// build. Info carries the version so that a command can say so when not.
//
// The package knows neither Fiber nor what an import does: `serve` hands it
// functions. What surprises: a socket's path may be 107 bytes long and a data
// directory's much longer, so a long one is reached through /proc/self/fd,
// which names the open directory in a few bytes.
package control

import (
	"context"
	"encoding/json"
	"errors"
	"io"
)

const (
	socketName = "control.sock"
	lockName   = "lock"
)

// Errors that a caller tells apart.
var (
	// ErrNotRunning: nobody serves on this data directory.
	ErrNotRunning = errors.New("no running serve")
	// ErrRunning: somebody does, and the socket is theirs.
	ErrRunning = errors.New("another serve answers on its socket")
	// ErrLocked is what every LockedError is.
	ErrLocked = errors.New("data directory in use")
)

// Info says who serves.
type Info struct {
	Version   string `json:"version"`
	PID       int    `json:"pid"`    // filled in by the server when 0
	Listen    string `json:"listen"` // address of the collector, with the port it really has
	ReaderDSN string `json:"dsn"`    // of the reading user; holds a password
	State     string `json:"state"`  // "" once beacons are taken, else what is waited for
}

// Progress is how far an import is.
type Progress struct {
	Bytes int64 // read, line ends included
	Lines int64 // settled, blank ones included
	Full  bool  // waiting for a full spool
}

// Handlers are what a running `serve` does for commands. One that is nil is
// answered with an error. The context ends when the client goes away or the
// server stops.
type Handlers struct {
	// Info may wait for what it has to tell; an error is told to the command.
	Info func(context.Context) (Info, error)
	// Import reads lines until r ends. When the client goes away before its
	// end, reading gives another error than io.EOF. progress may be called by
	// one goroutine at a time. The summary is sent as JSON.
	Import func(ctx context.Context, r io.Reader, progress func(Progress)) (summary any, err error)
	// Flush returns when everything taken before the call is visible.
	Flush func(ctx context.Context) error
	// Erase removes whose rows the command names. The result is sent as JSON.
	Erase func(ctx context.Context, whose json.RawMessage) (result any, err error)
}

// message is one line of what the server streams back. Exactly one of the
// fields is set; the last line has Summary or Error.
type message struct {
	Progress *Progress       `json:"progress,omitempty"`
	Summary  json.RawMessage `json:"summary,omitempty"`
	Error    string          `json:"error,omitempty"`
}
