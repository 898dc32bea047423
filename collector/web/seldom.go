package web

import (
	"log/slog"
	"sync"
	"time"
)

// pause between two log lines of one kind.
const pause = 10 * time.Second

// seldom logs what could happen with every beacon, at most once in a while, and
// says how often it stayed silent.
type seldom struct {
	log *slog.Logger
	now func() time.Time

	mu    sync.Mutex
	kinds map[string]*silence
}

type silence struct {
	until  time.Time
	missed int
}

func (s *seldom) error(message string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.kinds == nil {
		s.kinds = map[string]*silence{}
	}
	k := s.kinds[message]
	if k == nil {
		k = &silence{}
		s.kinds[message] = k
	}
	now := s.now()
	if now.Before(k.until) {
		k.missed++
		return
	}
	s.log.Error(message, "err", err, "since_last", k.missed)
	*k = silence{until: now.Add(pause)}
}
