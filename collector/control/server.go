package control

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"time"
)

// Serve makes the socket and answers on it until ctx ends; then it ends the
// requests, waits for them, removes the socket and returns nil. The caller
// holds Lock on the directory; without it, a live socket still gives ErrRunning.
func Serve(ctx context.Context, dir string, h Handlers) error {
	s, err := listen(ctx, dir, h)
	if err != nil {
		return err
	}
	select {
	case <-ctx.Done():
	case <-s.done: // the socket is lost
	}
	return s.close()
}

// A server answers on the socket until close.
type server struct {
	http  *http.Server
	place *place
	end   context.CancelCauseFunc // ends the requests
	done  chan struct{}           // closed when it no longer accepts
	err   error                   // why, before done is closed
}

// listen makes the socket and answers on it in the background. When it returns,
// commands find it.
func listen(ctx context.Context, dir string, h Handlers) (*server, error) {
	p, err := locate(dir)
	if err != nil {
		return nil, err
	}
	ln, err := p.listen(ctx)
	if err != nil {
		_ = p.Close() // nothing was written through it
		return nil, fmt.Errorf("control socket: %w", err)
	}
	requests, end := context.WithCancelCause(context.WithoutCancel(ctx))
	s := &server{place: p, end: end, done: make(chan struct{})}
	s.http = &http.Server{
		Handler:           h.mux(),
		ReadHeaderTimeout: 5 * time.Second,
		BaseContext:       func(net.Listener) context.Context { return requests },
	}
	go func() {
		defer close(s.done)
		// Ends with ErrServerClosed by close; anything else means that the
		// socket is lost, which commands will notice as ErrNotRunning.
		if err := s.http.Serve(ln); !errors.Is(err, http.ErrServerClosed) {
			s.err = fmt.Errorf("control socket: %w", err)
		}
	}()
	return s, nil
}

// errStopping is why a command's context ends when serve does.
var errStopping = errors.New("serve is stopping")

// patience is how long close waits for requests whose context has ended.
const patience = 5 * time.Second

// close ends the requests, waits for them, and removes the socket.
func (s *server) close() error {
	s.end(errStopping)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	// Closing the listener removes the socket's file, which may go through the
	// directory: that is closed last.
	err := s.http.Shutdown(ctx)
	if err != nil {
		err = errors.Join(fmt.Errorf("finish commands: %w", err), s.http.Close())
	}
	<-s.done
	return errors.Join(s.err, err, s.place.Close())
}

// mux is every address of the socket.
func (h Handlers) mux() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /info", func(w http.ResponseWriter, r *http.Request) {
		if h.Info == nil {
			refuse(w, http.StatusNotImplemented, errors.New("info: not offered"))
			return
		}
		info, err := h.Info(r.Context())
		if err != nil {
			refuse(w, http.StatusServiceUnavailable, err)
			return
		}
		info.PID = cmp.Or(info.PID, os.Getpid())
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(info) // the client is gone
	})
	mux.HandleFunc("POST /flush", func(w http.ResponseWriter, r *http.Request) {
		if h.Flush == nil {
			refuse(w, http.StatusNotImplemented, errors.New("flush: not offered"))
			return
		}
		if err := h.Flush(r.Context()); err != nil {
			refuse(w, http.StatusInternalServerError, err)
			return
		}
		w.WriteHeader(http.StatusNoContent)
	})
	mux.HandleFunc("POST /erase", func(w http.ResponseWriter, r *http.Request) {
		if h.Erase == nil {
			refuse(w, http.StatusNotImplemented, errors.New("erase: not offered"))
			return
		}
		var whose json.RawMessage
		err := json.NewDecoder(r.Body).Decode(&whose)
		if err != nil {
			refuse(w, http.StatusBadRequest, fmt.Errorf("erase: %w", err))
			return
		}
		result, err := h.Erase(r.Context(), whose)
		if err != nil {
			refuse(w, http.StatusInternalServerError, err)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(result) // the client is gone
	})
	mux.HandleFunc("POST /import", func(w http.ResponseWriter, r *http.Request) {
		if h.Import == nil {
			refuse(w, http.StatusNotImplemented, errors.New("import: not offered"))
			return
		}
		h.serveImport(w, r)
	})
	return mux
}

// refuse answers in full; the owner of the data directory may read everything.
func refuse(w http.ResponseWriter, status int, err error) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(message{Error: err.Error()}) // the client is gone
}

// serveImport reads lines and streams progress back at the same time.
func (h Handlers) serveImport(w http.ResponseWriter, r *http.Request) {
	control := http.NewResponseController(w)
	// Without it net/http reads the whole body before the first answer goes out.
	if err := control.EnableFullDuplex(); err != nil {
		refuse(w, http.StatusInternalServerError, fmt.Errorf("import: %w", err))
		return
	}
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	encoder := json.NewEncoder(w)
	send := func(m message) {
		err := encoder.Encode(m)
		if err == nil {
			err = control.Flush()
		}
		if err != nil {
			// While the body is being read net/http does not notice that the
			// client is gone; a failed write is how it is known.
			cancel()
		}
	}
	w.Header().Set("Content-Type", "application/x-ndjson")
	w.WriteHeader(http.StatusOK)
	_ = control.Flush() // a client that is gone is noticed by what follows

	summary, err := h.Import(ctx, reader{ctx, r.Body}, func(p Progress) { send(message{Progress: &p}) })
	if err != nil {
		if errors.Is(context.Cause(ctx), errStopping) {
			err = fmt.Errorf("%w; the same file again adds only what is missing", errStopping)
		}
		send(message{Error: err.Error()})
		return
	}
	raw, err := json.Marshal(summary)
	if err != nil {
		send(message{Error: fmt.Sprintf("summary: %v", err)})
		return
	}
	send(message{Summary: raw})
}

// reader makes a body end when its context does.
type reader struct {
	ctx  context.Context
	body io.Reader
}

func (r reader) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.body.Read(p)
}
