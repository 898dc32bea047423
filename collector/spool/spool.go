// Package spool is the durable queue between the way in and the way out: events
// wait in it, on disk, until ClickHouse has them.
//
// A caller can rely on this. When Append returns nil, its events are on disk,
// each under a row number that is never given twice. Batches have boundaries
// that are on disk before anybody sees the batch, so that after any crash the
// same rows come back as the same batch. Done moves the mark; events stay until
// Release, because the loader counts the newest batches again at its next
// start. An import line and its identity are kept in the same commit.
//
// Not promised: an Append whose context ends has an unknown outcome, like a
// commit whose answer was lost. The events may be on disk or not; they are
// never there in part. There is one reader: Next, Done and Release are meant
// for one loader, and Next gives the same batch until it is Done.
//
// A full disk is not the end. Part of it is kept free, and below that Append
// returns ErrFull; where somebody else has taken even that, writes wait for
// space inside and go on in the same process, Append returns ErrFull at once,
// an Append already being written has its outcome when there is space, and so
// have Next, Done and Release. A start on a disk without space uses the ballast,
// or fails and says so.
//
// What surprises: a fsync that fails is final, whatever the reason, and so is a
// write that fails for any other reason than space. The kernel may drop the
// pages of a failed fsync and report success the next time, so a retry proves
// nothing. After it every call returns the failure, Failed is closed, and only
// a new process that reads the disk again knows what is there. A thin or remote
// disk may say only at the fsync that it is full: then it is up to whoever
// supervises the process to start it until there is space.
//
// The package knows neither ClickHouse nor HTTP, nor what an event means. It is
// the only one that imports Pebble. What lies on disk is drawn in
// docs/reference/spool-format.md.
package spool

import (
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// FS is the file system a spool lies on. Tests use it to lose power or space;
// everybody else leaves it nil.
type FS = vfs.FS

// Options says where a spool lies and how much it may hold. Only Dir is needed.
type Options struct {
	// Dir holds the spool and nothing else; it is made when missing. What is
	// damaged is set aside beside it, so its parent must be writable.
	Dir string

	// Limit is how many bytes of events may be stored, loaded or not; beyond it
	// Append returns ErrFull. 0: 10 GiB.
	Limit int64

	// Reserve is how many bytes of the disk are left free for everybody else;
	// below it Append returns ErrFull. 0: 2 % of the disk, at least 256 MiB and
	// at most 1 GiB, but of a disk under 2 GiB an eighth.
	Reserve int64

	// Version of this program. It is written down, so that an older program that
	// cannot read the spool can say which one to start.
	Version string

	FS     FS           // nil: the disk
	Logger *slog.Logger // nil: nothing is logged
}

const (
	defaultLimit = 10 << 30
	minReserve   = 256 << 20
	maxReserve   = 1 << 30 // 2 % of a large disk is more than anybody needs kept free
	maxBallast   = 64 << 20
)

var (
	// ErrFull: nothing was stored, and later it may be taken. The text says
	// whether the limit or the disk is in the way.
	ErrFull = errors.New("spool is full")

	// ErrClosed: Close was called, nothing was stored.
	ErrClosed = errors.New("spool is closed")

	// ErrFailed: a write or fsync failed, now or earlier. The outcome of what was
	// under way is unknown; the process has to end.
	ErrFailed = errors.New("spool has failed")

	// ErrLocked: another process has the directory.
	ErrLocked = errors.New("another passalong uses this data directory")

	// ErrDamaged: what is on disk is not what was written. The next Open sets it
	// aside and goes on in a fresh directory.
	ErrDamaged = errors.New("spool is damaged")

	// ErrNewer: a newer version of Passalong wrote the spool. The text names it.
	ErrNewer = errors.New("spool was written by a newer version")
)

// A Spool is safe for use by several goroutines.
type Spool struct {
	options Options
	fs      vfs.FS
	log     *slog.Logger
	id      string
	db      *pebble.DB
	lock    *pebble.Lock
	gate    *gate
	guard   *guard

	// Guards everything below it. Never held across a call into Pebble: Pebble
	// reports a fatal error with its own mutex held, and fail takes this one.
	mu       sync.Mutex
	work     sync.Cond  // there is something to commit, or closing
	pending  []*request // waiting for the committer
	ops      []*op      // the same for marks, cuts and deletions
	inflight []*request // in the committer's hand
	oping    []*op
	flushing bool // a flush is due soon
	closing  bool
	failure  error
	ledger   ledger
	cuts     []Range   // cut and not released; those below the mark are loaded
	uncut    time.Time // since when rows wait for a cut; zero: since before Open
	oldest   int64     // received of the oldest event not loaded; 0: none
	setAside []string
	groups   uint64
	events   uint64

	failed  chan struct{} // closed with failure
	closed  chan struct{} // closed when Close begins
	ended   chan struct{} // closed when the committer has ended
	more    chan struct{} // holds one token after a commit; Next waits for it
	turn    chan struct{} // holds one token: whose turn it is in Next
	imports chan struct{} // holds one token: whose turn it is in AppendLines

	familiar familiar // belongs to whoever has that turn

	use      sync.RWMutex // held for reading while reading from Pebble, for writing by Close
	requests sync.Pool
	patience time.Duration // of Close with Pebble, after a failure
	once     sync.Once
	closeErr error
}

// Open opens the spool in o.Dir, or makes one.
//
// A torn tail, as a crash leaves it, is normal: nothing in it was acknowledged.
// Damage elsewhere is set aside under a name of its own beside o.Dir, logged and
// kept in Stats, and the spool goes on empty; nothing is deleted.
func Open(o Options) (*Spool, error) {
	if o.Dir == "" {
		return nil, errors.New("open spool: no directory given")
	}
	if o.Limit <= 0 {
		o.Limit = defaultLimit
	}
	if o.FS == nil {
		o.FS = vfs.Default
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	s := &Spool{
		options: o,
		log:     o.Logger,
		failed:  make(chan struct{}),
		closed:  make(chan struct{}),
		ended:   make(chan struct{}),
		more:    make(chan struct{}, 1),
		turn:    make(chan struct{}, 1),
		imports: make(chan struct{}, 1),

		patience: 2 * time.Second, // a guess: what a stop can spare
	}
	s.work.L = &s.mu
	s.requests.New = func() any { return &request{done: make(chan error, 1)} }
	s.gate = newGate(o, s.log)
	s.fs = vfs.OnDiskFull(o.FS, s.gate.diskFull)
	if err := s.open(); err != nil {
		return nil, fmt.Errorf("open spool: %w", err)
	}
	go s.run()
	return s, nil
}

// ID names this spool: 32 hex digits, made once. With a row number it is the
// name of that row for ever.
func (s *Spool) ID() string { return s.id }

// Failed is closed when the spool has failed; Err then says why. The owner
// should end the process: see the package's doc.
func (s *Spool) Failed() <-chan struct{} { return s.failed }

// Err is nil until the spool has failed.
func (s *Spool) Err() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.failure
}

// Close commits what was queued before it and refuses what comes after; nothing
// is stored in part. Batches not yet Done come again after the next Open. After
// a failure it gives Pebble a moment and then leaves it as it is, for the
// process is about to end.
func (s *Spool) Close() error {
	s.once.Do(func() { s.closeErr = s.close() })
	return s.closeErr
}

func (s *Spool) close() error {
	s.mu.Lock()
	s.closing = true
	s.mu.Unlock()
	s.work.Broadcast()
	close(s.closed)

	select {
	case <-s.ended:
	case <-s.failed:
		return s.abandon()
	}
	if s.Err() != nil {
		return s.abandon()
	}
	s.use.Lock()
	defer s.use.Unlock()
	done := make(chan error, 1)
	go func() { done <- s.closeEngine() }()
	select {
	case err := <-done:
		return errors.Join(err, s.lock.Close())
	case <-s.failed: // met by Pebble while it closes: it may hang from here
		return s.Err()
	}
}

func (s *Spool) closeEngine() error {
	s.guard.stage.Store(closing)
	return s.db.Close()
}

// abandon closes a spool that has failed. Pebble may hang in Close when its
// manifest could not be written, and then holds the directory's lock until the
// process ends, which is right: nobody else should touch the files before that.
func (s *Spool) abandon() error {
	done := make(chan struct{})
	go func() {
		defer close(done)
		<-s.ended
		s.use.Lock()
		defer s.use.Unlock()
		if err := s.closeEngine(); err != nil {
			s.log.Debug("pebble", "text", err.Error())
		}
		if err := s.lock.Close(); err != nil {
			s.log.Debug("pebble", "text", err.Error())
		}
	}()
	timer := time.NewTimer(s.patience)
	defer timer.Stop()
	select {
	case <-done:
	case <-timer.C:
	}
	return s.Err()
}

// Stats is a look at the spool at one moment.
type Stats struct {
	Rows           uint64 // events that wait to be loaded
	Bytes          int64  // their size as stored, before Pebble compresses; whole groups
	StoredBytes    int64  // the same with what is loaded and not released: what Limit bounds
	OldestReceived int64  // of the oldest event that waits: Unix milliseconds, 0 = none waits
	NextRow        uint64 // the row the next event gets
	Mark           uint64 // rows below are loaded
	Groups, Events uint64 // committed since Open

	Full     string   // why Append refuses: "limit", "disk", or empty
	FreeDisk int64    // bytes free on the disk when last looked at; -1 = not known
	SetAside []string // names of damaged directories beside Dir that somebody has to look at
	Failed   bool
}

// Stats costs two mutexes and, only while the spool is full, a look at the free
// space: who asks whether events are taken again may be the only one to ask.
func (s *Spool) Stats() Stats {
	s.mu.Lock()
	stored := int64(s.ledger.total - s.ledger.keptBytes)
	s.mu.Unlock()
	full, free := s.gate.state(stored)
	s.mu.Lock()
	defer s.mu.Unlock()
	return Stats{
		Rows:           s.ledger.next - s.ledger.mark,
		Bytes:          int64(s.ledger.total - s.ledger.markBytes),
		StoredBytes:    int64(s.ledger.total - s.ledger.keptBytes),
		OldestReceived: s.oldest,
		NextRow:        s.ledger.next,
		Mark:           s.ledger.mark,
		Groups:         s.groups,
		Events:         s.events,
		Full:           full,
		FreeDisk:       free,
		SetAside:       append([]string(nil), s.setAside...),
		Failed:         s.failure != nil,
	}
}
