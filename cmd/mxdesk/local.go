package main

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/mxdesk/mxdesk/auth/login"
	"github.com/mxdesk/mxdesk/server/api"
	"github.com/mxdesk/mxdesk/ticketing/store"
	"github.com/mxdesk/mxdesk/ticketing/store/badgerdb"
)

// The store in the data folder, and the name it has while a restore fills it.
const (
	storeFolder   = "store"
	restoreFolder = "store.restoring"
)

// keptFiles are what of the data folder, beside the store, belongs to the desk.
var keptFiles = []string{"dkim", "tls", firstMark}

func isKept(name string) bool {
	first, _, _ := strings.Cut(name, "/")
	return slices.Contains(keptFiles, first)
}

// deskFiles are the files of a data folder that belong to the desk beside the
// store.
type deskFiles struct{ fs.FS }

func filesOf(data string) deskFiles { return deskFiles{os.DirFS(data)} }

// ReadDir leaves out, at the top, what does not belong to the desk, and what is
// about to be written.
func (d deskFiles) ReadDir(name string) ([]fs.DirEntry, error) {
	entries, err := fs.ReadDir(d.FS, name)
	var kept []fs.DirEntry
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), ".new-") && (name != "." || isKept(e.Name())) {
			kept = append(kept, e)
		}
	}
	return kept, err
}

// reached is a server that answers calls on the store.
type reached struct {
	client *http.Client
	close  func() error
}

// reach connects to the running server of the data folder. Where none runs it
// opens the store in this process, which keeps servers out until close.
func (e *Env) reach(cfg Config) (*reached, error) {
	dir := filepath.Join(cfg.Data, "run")
	c, err := api.Dial(dir)
	if errors.Is(err, os.ErrNotExist) || errors.Is(err, syscall.ECONNREFUSED) {
		return e.reachLocal(cfg)
	}
	if errors.Is(err, os.ErrPermission) {
		return nil, exitf(exitIO, "the server on %s belongs to another user: run this as that user or as root", cfg.Data)
	}
	if err != nil {
		return nil, exitf(exitIO, "admin socket of %s: %w", cfg.Data, err)
	}
	c.Close()
	t := &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) { return api.Dial(dir) }}
	return &reached{&http.Client{Transport: t}, func() error { t.CloseIdleConnections(); return nil }}, nil
}

func (e *Env) reachLocal(cfg Config) (*reached, error) {
	folder := filepath.Join(cfg.Data, storeFolder)
	info, err := os.Stat(folder)
	if err != nil {
		return nil, exitf(exitIO, "no server is running on %s, and there is no store in it: name the data folder with --data or --config, as for serve%s (%w)", cfg.Data, e.elsewhere(), err)
	}
	if err := ownFolder(info, folder); err != nil {
		return nil, err
	}
	tuneMemory(e.Getenv)
	cfg.Log.Level = "warn"
	log := logger(cfg, e.Stderr)
	engine, err := badgerdb.Open(folder, badgerdb.Options{Log: log})
	if errors.Is(err, badgerdb.ErrInUse) {
		return nil, exitf(exitIO, "%w, which does not answer on its admin socket: wait until it has started, or stop it", err)
	}
	if err != nil {
		return nil, &exitError{code: exitIO, err: err}
	}
	db := store.Open(engine, store.Options{Log: log})
	s := deskStore(cfg, db, engine)
	s.Log = nil // the answer says it
	s.Compact = func(ctx context.Context) (api.Compacted, error) {
		before := engine.Stats().TableBytes
		done, err := engine.Compact(ctx, db)
		return api.Compacted{Segments: done.Segments, Moved: done.Moved, Freed: done.Freed, Damaged: done.Damaged,
			Tables: before - engine.Stats().TableBytes, Merged: err == nil}, err
	}
	l := newPipes()
	srv := &http.Server{Handler: api.StoreHandler(*s)}
	go srv.Serve(l)
	t := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return l.dial(ctx) }}
	return &reached{&http.Client{Transport: t}, func() error {
		t.CloseIdleConnections()
		ctx, cancel := context.WithTimeout(context.Background(), drainTime)
		defer cancel()
		return errors.Join(srv.Close(), db.Close(ctx))
	}}, nil
}

// ownFolder keeps root from leaving files in the store of somebody else, which
// that user's server could not open afterwards.
func ownFolder(info fs.FileInfo, path string) error {
	st, ok := info.Sys().(*syscall.Stat_t)
	if ok && os.Geteuid() == 0 && st.Uid != 0 {
		return exitf(exitIO, "no server is running, and %s belongs to the user with number %d: run this as that user", path, st.Uid)
	}
	return nil
}

// deskStore is what calls on the store work on.
func deskStore(cfg Config, db *store.DB, engine *badgerdb.DB) *api.Store {
	s := &api.Store{DB: db, Rules: login.Rules(), Files: filesOf(cfg.Data), Mxdesk: version(), Now: time.Now}
	if engine == nil {
		return s
	}
	s.Space = func() api.Space {
		st := engine.Stats()
		free, disk, _ := engine.FreeBytes() // 0 where it cannot be told
		return api.Space{Tables: st.TableBytes, Segments: st.Blobs.Segments, Blobs: st.Blobs.Bytes, Free: free, Disk: disk}
	}
	s.Compact = func(ctx context.Context) (api.Compacted, error) {
		done, err := engine.GC(ctx, db)
		return api.Compacted{Segments: done.Segments, Moved: done.Moved, Freed: done.Freed, Damaged: done.Damaged}, err
	}
	return s
}

// call makes one call and gives the body of the answer to read.
func (r *reached) call(e *Env, name string, body io.Reader, read func(io.Reader) error) error {
	req, err := http.NewRequestWithContext(e.Ctx, http.MethodPost, "http://mxdesk/"+name, body)
	if err != nil {
		return err
	}
	resp, err := r.client.Do(req)
	if err != nil {
		return exitf(exitIO, "admin socket: %w", err)
	}
	defer resp.Body.Close()
	if resp.StatusCode == http.StatusNotFound {
		return exitf(exitIO, "the running server is older than this program and cannot do this: restart it")
	}
	if resp.StatusCode != http.StatusOK {
		return refused(resp)
	}
	return read(resp.Body)
}

// pipes is a listener within the process.
type pipes struct {
	conns chan net.Conn
	ended chan struct{}
}

func newPipes() *pipes { return &pipes{make(chan net.Conn), make(chan struct{})} }

func (p *pipes) dial(ctx context.Context) (net.Conn, error) {
	ours, theirs := net.Pipe()
	select {
	case p.conns <- theirs:
		return ours, nil
	case <-p.ended:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// Accept returns the other end of a connection that was dialled.
func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.ended:
		return nil, net.ErrClosed
	}
}

// Close ends the listener. It is called once.
func (p *pipes) Close() error { close(p.ended); return nil }

// Addr has nothing to say.
func (p *pipes) Addr() net.Addr { return &net.UnixAddr{Net: "pipe"} }
