package api

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/mxdesk/mxdesk/ticketing"
	"github.com/mxdesk/mxdesk/ticketing/store"
	"github.com/mxdesk/mxdesk/ticketing/store/backup"
	"github.com/mxdesk/mxdesk/ticketing/store/memdb"
)

// depot is a desk's store behind the calls on stores.
type depot struct {
	t      *testing.T
	engine *memdb.DB
	db     *store.DB
	srv    *httptest.Server
	done   chan struct{}
	logs   bytes.Buffer // to be read when the server is closed
}

func newDepot(t *testing.T) *depot {
	t.Helper()
	d := &depot{t: t, engine: memdb.New(memdb.Options{}), done: make(chan struct{})}
	d.db = store.Open(d.engine, store.Options{})
	desk := ticketing.New(d.db, ticketing.Options{})
	if _, err := desk.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := desk.CreateProject(t.Context(), "support", []string{"support@desk.test"}); err != nil {
		t.Fatal(err)
	}
	now := time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)
	s := Store{
		DB: d.db, Files: fstest.MapFS{"dkim/k.pem": {Data: []byte("k")}}, Mxdesk: "test", Done: d.done, Log: slog.New(slog.NewTextHandler(&d.logs, nil)),
		Now: func() time.Time { now = now.Add(time.Second); return now }, Space: func() Space { return Space{Tables: 5000} },
		Compact: func(context.Context) (Compacted, error) { return Compacted{Segments: 2}, nil },
	}
	d.srv = httptest.NewServer(StoreHandler(s))
	t.Cleanup(func() { d.srv.Close(); d.db.Close(context.Background()) })
	return d
}

// put writes rows behind the desk's back.
func (d *depot) put(rows ...store.Item) {
	d.t.Helper()
	if err := d.db.Update(d.t.Context(), func(tx store.Tx) error {
		for _, r := range rows {
			if err := tx.Put(r.Key, r.Value); err != nil {
				return err
			}
		}
		return nil
	}); err != nil {
		d.t.Fatal(err)
	}
}

// post makes a call and returns the lines of the answer.
func (d *depot) post(call, body string) (lines []Line, raw string) {
	d.t.Helper()
	resp, err := http.Post(d.srv.URL+"/"+call, "application/json", strings.NewReader(body))
	if err != nil {
		d.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		d.t.Fatal(err)
	}
	for dec := json.NewDecoder(bytes.NewReader(text)); dec.More(); {
		var l Line
		if err := dec.Decode(&l); err != nil {
			d.t.Fatalf("%v: %s", err, text)
		}
		lines = append(lines, l)
	}
	return lines, string(text)
}

// values are the values of an answer, which must have ended well.
func values[T any](t *testing.T, lines []Line) (vs []T) {
	t.Helper()
	if len(lines) == 0 || !lines[len(lines)-1].Done {
		t.Fatalf("the answer does not end: %+v", lines)
	}
	for _, l := range lines {
		var v T
		if l.Value == nil {
			continue
		}
		if err := json.Unmarshal(l.Value, &v); err != nil {
			t.Fatal(err)
		}
		vs = append(vs, v)
	}
	return vs
}

func TestStoreVerify(t *testing.T) {
	d := newDepot(t)
	lines, _ := d.post("store.verify", `{}`)
	good := values[Verified](t, lines)
	if len(good) != 1 || good[0].Sum.Wrong != 0 || good[0].Sum.Keys == 0 || lines[0].Progress == nil {
		t.Fatalf("%+v", lines)
	}
	d.put(store.Item{Key: store.K("ticket.label", 1, "x", 2, 3), Value: []byte("{}")}, store.Item{Key: store.K("ticket", 1, 1), Value: []byte("\x9b")})
	lines, _ = d.post("store.verify", "")
	bad := values[Verified](t, lines)
	last := bad[len(bad)-1]
	if len(bad) != 3 || last.Sum.Wrong != 2 || last.Sum.Digest == good[0].Sum.Digest || bad[0].Key != "ticket/1/1" || bad[1].Key != "ticket.label/1/x/2/3" {
		t.Errorf("%+v", bad)
	}
}

func TestStoreList(t *testing.T) {
	d := newDepot(t)
	evil := "a\u009b\u202e\u2028\x7fb ü"
	value, err := json.Marshal(map[string]string{"x": evil})
	if err != nil {
		t.Fatal(err)
	}
	d.put(store.Item{Key: store.K("z", 1), Value: value}, store.Item{Key: store.K("z", evil), Value: []byte{0xff}}, store.Item{Key: store.K("z", 3), Value: []byte("7")})
	lines, raw := d.post("store.list", `{"prefix":"z","values":true}`)
	rows := values[StoreRow](t, lines)
	if strings.ContainsFunc(raw, harmful) || len(rows) != 3 {
		t.Fatalf("%q", raw)
	}
	var v struct{ X string }
	if err := json.Unmarshal(rows[1].Value, &v); err != nil || v.X != evil || rows[1].Key != "z/1" {
		t.Errorf("%+v, %v", rows[1], err)
	}
	if !bytes.Equal(rows[0].Bytes, []byte{0xff}) || rows[0].Value != nil || string(rows[2].Value) != "7" {
		t.Errorf("%+v", rows)
	}
	keys := func(body string) string {
		lines, _ := d.post("store.list", body)
		var out []string
		for _, r := range values[StoreRow](t, lines) {
			out = append(out, r.Key)
		}
		return strings.Join(out, " ")
	}
	for body, want := range map[string]string{
		`{"prefix":"z","limit":1,"after":"z/1"}`: "z/3", `{"prefix":"z","after":"z/3"}`: "", `{"prefix":"alias"}`: "alias/support@desk.test",
		`{"limit":2}`: "alias/support@desk.test domain/desk.test", `{"prefix":"z","after":"a"}`: rows[0].Key + " z/1 z/3",
	} {
		if got := keys(body); got != want {
			t.Errorf("%s: %s, want %s", body, got, want)
		}
	}
	if lines, _ := d.post("store.list", `{"prefix":"'"}`); lines[0].Failure == nil {
		t.Errorf("a bad prefix: %+v", lines)
	}
	if _, raw := d.post("store.list", `[`); !strings.Contains(raw, "bad-request") {
		t.Errorf("no JSON: %s", raw)
	}
}

func TestStoreStatsAndCompact(t *testing.T) {
	d := newDepot(t)
	lines, _ := d.post("store.stats", "")
	st := values[Stats](t, lines)[0]
	kinds := map[string]int64{}
	for _, k := range st.Kinds {
		kinds[k.Kind] = k.Rows
	}
	want := map[string]int64{"alias": 1, "domain": 1, "meta": 3, "project": 1, "project.alias": 1, "project.name": 1}
	if !maps.Equal(kinds, want) || st.Space.Tables != 5000 {
		t.Errorf("%+v", st)
	}
	lines, _ = d.post("store.compact", "")
	if c := values[Compacted](t, lines); len(c) != 1 || c[0].Segments != 2 {
		t.Errorf("%+v", lines)
	}
}

// stage puts n blobs of a size into the store.
func (d *depot) stage(n, size int) {
	d.t.Helper()
	for i := range n {
		data := bytes.Repeat([]byte{byte(i), byte(i >> 8)}, size/2)
		staged, err := d.db.Stage(d.t.Context(), int64(len(data)), hashOf(data), bytes.NewReader(data))
		if err != nil {
			d.t.Fatal(err)
		}
		if err := d.db.Update(d.t.Context(), func(tx store.Tx) error { return tx.AddBlob(staged) }); err != nil {
			d.t.Fatal(err)
		}
	}
}

// noted notes which blobs came along.
type noted struct {
	backup.Discard
	sent, elsewhere []store.Hash
	files           []string
}

func (n *noted) Blob(b backup.Blob, _ io.Reader) error {
	n.sent = append(n.sent, b.Hash)
	return nil
}

func (n *noted) Elsewhere(b backup.Blob) error {
	n.elsewhere = append(n.elsewhere, b.Hash)
	return nil
}

func (n *noted) File(name string, _ []byte) error {
	n.files = append(n.files, name)
	return nil
}

// The client says which blobs it has while the answer comes in: lists longer
// than any buffer.
func TestBackupOfWhatTheClientLacks(t *testing.T) {
	d := newDepot(t)
	d.stage(4000, 20)
	ask := func(have []store.Hash) *noted {
		t.Helper()
		var body bytes.Buffer
		for _, h := range have {
			body.Write(h[:])
		}
		resp, err := http.Post(d.srv.URL+"/backup", "", &body)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		n := &noted{}
		if _, err := backup.Read(resp.Body, n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	all := ask(nil)
	if len(all.sent) != 4000 || len(all.elsewhere) != 0 || !slices.Equal(all.files, []string{"dkim/k.pem"}) {
		t.Fatalf("%d sent, %d elsewhere, files %v", len(all.sent), len(all.elsewhere), all.files)
	}
	some := ask(all.sent[:3990])
	if !slices.Equal(some.sent, all.sent[3990:]) || !slices.Equal(some.elsewhere, all.sent[:3990]) {
		t.Errorf("%d sent, %d elsewhere", len(some.sent), len(some.elsewhere))
	}
}

// A server that stops does not wait for a client that takes its time; the
// client sees that its backup is not whole.
func TestBackupEndsWithTheServer(t *testing.T) {
	d := newDepot(t)
	d.stage(300, 60_000)
	resp, err := http.Post(d.srv.URL+"/backup", "", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if _, err := io.ReadFull(resp.Body, make([]byte, 1000)); err != nil {
		t.Fatal(err)
	}
	close(d.done)
	rest, err := io.ReadAll(resp.Body)
	if err != nil || !bytes.Contains(rest, []byte("about to stop")) || len(rest) > 15_000_000 {
		t.Errorf("%d bytes, %v: %q", len(rest), err, rest[max(len(rest)-100, 0):])
	}
}

// A client that goes away in the middle is no fault of ours.
func TestClientThatGoesIsNoError(t *testing.T) {
	d := newDepot(t)
	d.stage(300, 60_000)
	for _, body := range []string{"", "no whole hash"} {
		resp, err := http.Post(d.srv.URL+"/backup", "", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(resp.Body, make([]byte, 30)); err != nil {
			t.Fatal(err)
		}
		resp.Body.Close() // with 18 MB to come
	}
	d.srv.Close()
	if logs := d.logs.String(); strings.Count(logs, "level=INFO") != 2 || strings.Contains(logs, "level=ERROR") {
		t.Errorf("log:\n%s", logs)
	}
}

func hashOf(b []byte) store.Hash { return sha256.Sum256(b) }

// The deadlines that keep other calls short do not end one that works.
func TestLongCallsOutliveTheServersDeadlines(t *testing.T) {
	const limit = 50 * time.Millisecond
	srv := httptest.NewUnstartedServer(StoreHandler(Store{Now: time.Now, Compact: func(ctx context.Context) (Compacted, error) {
		select {
		case <-ctx.Done():
			return Compacted{}, context.Cause(ctx)
		case <-time.After(5 * limit):
			return Compacted{Segments: 1}, nil
		}
	}}))
	srv.Config.ReadTimeout, srv.Config.WriteTimeout = limit, limit
	srv.Start()
	defer srv.Close()
	d := &depot{t: t, srv: srv}
	lines, raw := d.post("store.compact", "{}")
	if len(lines) != 2 || !lines[1].Done {
		t.Error(raw)
	}
}
