package api

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"log/slog"
	"net/http"
	"time"

	"github.com/mxdesk/mxdesk/ticketing"
	"github.com/mxdesk/mxdesk/ticketing/store"
	"github.com/mxdesk/mxdesk/ticketing/store/backup"
)

// Store is what the calls on the store as a whole work on: the store of a
// running server, or one that a command has opened itself.
type Store struct {
	DB     *store.DB
	Rules  []ticketing.Rule // of rows that are not the domain's own
	Files  fs.FS            // what a backup keeps beside the store
	Mxdesk string           // version of the program
	Now    func() time.Time
	// Space tells what the store takes up. Nil: unknown.
	Space func() Space
	// Compact gives back what is not in use any more. Nil: there is nothing to do.
	Compact func(ctx context.Context) (Compacted, error)
	// Done ends long calls when the server stops. Nil: never.
	Done <-chan struct{}
	Log  *slog.Logger
}

// Space is what a store takes up on its disk, in octets.
type Space struct {
	Tables   int64  `json:"tables"`   // keys and small values
	Segments int    `json:"segments"` // files with blobs
	Blobs    int64  `json:"blobs"`    // their length
	Free     uint64 `json:"free"`
	Disk     uint64 `json:"disk"`
}

// Compacted is what a compaction has done, in octets.
type Compacted struct {
	Segments int   `json:"segments"` // emptied
	Moved    int64 `json:"moved"`    // copied out of them
	Freed    int64 `json:"freed"`    // their length
	Damaged  int   `json:"damaged"`  // left alone, something in them is damaged
	Tables   int64 `json:"tables"`   // given back by the tables
	Merged   bool  `json:"merged"`   // the tables were merged: not while a server runs
}

// Line is one line of the answer to a call on the store. The last one has Done
// or Failure set; without it the answer was cut short.
type Line struct {
	Progress *Progress       `json:"progress,omitempty"`
	Value    json.RawMessage `json:"value,omitempty"`
	Failure  *Failure        `json:"failure,omitempty"`
	Done     bool            `json:"done,omitempty"`
}

// Progress tells how far a call has come, in octets.
type Progress struct {
	Done int64 `json:"done"`
	Of   int64 `json:"of"`
}

// storeCalls are the calls on a store.
var storeCalls = []string{"backup", "store.verify", "store.stats", "store.list", "store.compact"}

// StoreHandler serves the calls on a store.
func StoreHandler(s Store) http.Handler {
	if s.Log == nil {
		s.Log = slog.New(slog.DiscardHandler)
	}
	if s.Space == nil {
		s.Space = func() Space { return Space{} }
	}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /backup", s.backup)
	streamed(mux, &s, "store.verify", s.verify)
	streamed(mux, &s, "store.stats", s.stats)
	streamed(mux, &s, "store.list", s.list)
	streamed(mux, &s, "store.compact", s.compact)
	return mux
}

// streamTime is how long a client may take for a part of an answer.
const streamTime = 2 * time.Minute

// patient writes to a client that may take its time with each part, but not
// for ever.
type patient struct {
	w  io.Writer
	rc *http.ResponseController
}

func (p patient) Write(b []byte) (int, error) {
	// Without deadlines, as in tests, there is nothing to move.
	if err := p.rc.SetWriteDeadline(time.Now().Add(streamTime)); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return 0, err
	}
	n, err := p.w.Write(b)
	return n, ofClient(err)
}

// errClient marks errors on the way to or from the client, which are its own
// doing.
var errClient = errors.New("the client has gone or is too slow")

func ofClient(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%w: %w", errClient, err)
}

// failed logs the end of a call that is not its good one, and tells whether
// there is still somebody to hear of it.
func (s *Store) failed(r *http.Request, call string, err error) bool {
	if r.Context().Err() != nil || errors.Is(err, errClient) {
		s.Log.Info("admin call given up by its client", "call", call, "error", err)
		return false
	}
	s.Log.Error("admin call", "call", call, "error", err)
	return true
}

// until is the request's context, ended early when the server stops.
func (s *Store) until(r *http.Request) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(r.Context())
	stop := make(chan struct{})
	go func() {
		select {
		case <-s.Done:
			cancel(errors.New("the server is about to stop"))
		case <-stop:
		}
	}()
	return ctx, func() { close(stop); cancel(nil) }
}

// out is where a call puts its lines.
type out struct {
	enc      *json.Encoder
	buf      *bufio.Writer
	now      func() time.Time
	progress time.Time
}

func (o *out) value(v any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return o.enc.Encode(Line{Value: escape(text)})
}

// progressEvery is how often a client hears of progress at most.
const progressEvery = 200 * time.Millisecond

func (o *out) step(p Progress) error {
	if now := o.now(); now.Sub(o.progress) >= progressEvery {
		o.progress = now
		return errors.Join(o.enc.Encode(Line{Progress: &p}), o.buf.Flush())
	}
	return nil
}

// streamed mounts a call that may take long and has much to say.
func streamed[Req any](mux *http.ServeMux, s *Store, name string, call func(context.Context, Req, *out) error) {
	mux.HandleFunc("POST /"+name, func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := s.until(r)
		defer cancel()
		var req Req
		if err := decode(http.MaxBytesReader(w, r.Body, maxRequest), &req); err != nil {
			w.WriteHeader(http.StatusUnprocessableEntity)
			json.NewEncoder(w).Encode(Failure{Reason: "bad-request", Message: "the request is not understood"})
			return
		}
		w.Header().Set("Content-Type", "application/x-ndjson")
		buf := bufio.NewWriterSize(patient{w, http.NewResponseController(w)}, 64<<10)
		defer buf.Flush()
		o := &out{enc: json.NewEncoder(buf), buf: buf, now: s.Now}
		o.enc.SetEscapeHTML(false)
		err := call(ctx, req, o)
		if err != nil {
			if !s.failed(r, name, err) {
				return
			}
			o.enc.Encode(Line{Failure: &Failure{Reason: "failed", Message: err.Error()}}) // to the owner of the data
			return
		}
		o.enc.Encode(Line{Done: true})
	})
}

// backup writes a backup. The body of the request is the hashes of the blobs
// that the client has, in order, 32 octets each; it is read while the answer is
// written.
func (s *Store) backup(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := s.until(r)
	defer cancel()
	rc := http.NewResponseController(w)
	if err := errors.Join(rc.EnableFullDuplex(), rc.SetReadDeadline(time.Time{})); err != nil {
		s.Log.Error("admin call", "call", "backup", "error", err)
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	buf := bufio.NewWriterSize(patient{w, rc}, 512<<10)
	defer buf.Flush()
	_, err := backup.Write(ctx, buf, backup.Source{
		DB: s.DB, Files: s.Files, Mxdesk: s.Mxdesk, Made: s.Now(), Size: s.Space().Tables, Have: readHashes(r.Body),
	})
	if err != nil {
		s.failed(r, "backup", err)
	}
}

// readHashes reads a list of hashes.
func readHashes(r io.Reader) iter.Seq2[store.Hash, error] {
	return func(yield func(store.Hash, error) bool) {
		br := bufio.NewReader(r)
		for {
			var h store.Hash
			_, err := io.ReadFull(br, h[:])
			if errors.Is(err, io.EOF) || !yield(h, ofClient(err)) || err != nil {
				return
			}
		}
	}
}

// VerifyRequest asks for a check of everything.
type VerifyRequest struct{}

// Verified is a value of the answer to store.verify: a finding, or at the end
// the sum.
type Verified struct {
	Key  string `json:"key,omitempty"` // as people read it
	What string `json:"what,omitempty"`
	Sum  *Sum   `json:"sum,omitempty"`
}

// Sum is what a check has seen.
type Sum struct {
	Wrong int `json:"wrong"`
	backup.Counts
	Change uint64     `json:"change"` // number of the newest
	Digest store.Hash `json:"digest"`
}

func (s *Store) verify(ctx context.Context, _ VerifyRequest, o *out) error {
	return s.DB.View(ctx, func(r store.Reader) error {
		sum := &Sum{}
		p := Progress{Of: s.Space().Tables}
		for b, err := range store.BlobsOf(r) {
			if err != nil {
				break // the check says where
			}
			p.Of += b.Size
		}
		var gone error // the client, which ends the check
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		tell := func(err error) {
			if err != nil {
				gone = err
				cancel()
			}
		}
		var err error
		sum.Wrong, err = ticketing.Check(ctx, s.DB, r, ticketing.CheckOptions{
			Rules: s.Rules,
			Found: func(f store.Finding) { tell(o.value(Verified{Key: f.Key.String(), What: f.What})) },
			Step: func(n int64) {
				p.Done += n
				p.Of = max(p.Of, p.Done)
				tell(o.step(p))
			},
		})
		if err = errors.Join(gone, err); err != nil {
			return err
		}
		if sum.Change, err = store.LastChange(r); err != nil {
			return err
		}
		if sum.Digest, sum.Counts, err = backup.Digest(ctx, r); err != nil {
			return err
		}
		return o.value(Verified{Sum: sum})
	})
}

func (s *Store) compact(ctx context.Context, _ struct{}, o *out) error {
	if s.Compact == nil {
		return o.value(Compacted{})
	}
	done, err := s.Compact(ctx)
	if err != nil {
		return err
	}
	return o.value(done)
}
