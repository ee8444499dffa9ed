package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/common/expfmt"

	"github.com/mxdesk/mxdesk/ticketing/store"
	"github.com/mxdesk/mxdesk/ticketing/store/memdb"
)

// broken is an engine whose commits can be made to fail or to hang, on a disk
// of a gigabyte.
type broken struct {
	store.Engine
	free    uint64
	stuck   chan struct{} // a commit sends when it begins, and ends when it has received
	failing bool
}

func (b *broken) Begin(ctx context.Context) (store.Batch, error) {
	batch, err := b.Engine.Begin(ctx)
	return &brokenBatch{batch, b}, err
}

func (b *broken) FreeBytes() (free, total uint64, err error) { return b.free, 1 << 30, nil }

type brokenBatch struct {
	store.Batch
	engine *broken
}

func (b *brokenBatch) Commit(ctx context.Context, writes []store.Item) error {
	if b.engine.stuck != nil {
		b.engine.stuck <- struct{}{}
		<-b.engine.stuck
	}
	if b.engine.failing {
		return fmt.Errorf("%w: input/output error", store.ErrFailed)
	}
	return b.Batch.Commit(ctx, writes)
}

// scrape reads single values from /metrics.
func scrape(t *testing.T, a *App) func(name string) float64 {
	t.Helper()
	families, err := a.scraped().Gather()
	if err != nil {
		t.Fatal(err)
	}
	return func(name string) float64 {
		t.Helper()
		for _, f := range families {
			if f.GetName() == name && len(f.Metric) == 1 {
				return f.Metric[0].GetGauge().GetValue()
			}
		}
		t.Fatalf("no %s", name)
		return 0
	}
}

// A scrape tells how the server is at that moment.
func TestHealthAtEachScrape(t *testing.T) {
	c := localConfig(t)
	c.Hostname = "desk.test"
	engine := &broken{Engine: memdb.New(memdb.Options{}), free: 500 << 20}
	app, err := NewApp(t.Context(), c, Parts{Engine: engine})
	if err != nil {
		t.Fatal(err)
	}
	if err := app.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer app.Drain(t.Context())
	expect := func(ready, failed, free float64) {
		t.Helper()
		value := scrape(t, app)
		if r, f, d := value("mxdesk_ready"), value("mxdesk_store_failed"), value("mxdesk_disk_free_bytes"); r != ready || f != failed || d != free {
			t.Errorf("ready %v, store failed %v, free %v; want %v, %v, %v", r, f, d, ready, failed, free)
		}
	}
	expect(1, 0, 500<<20)
	value := scrape(t, app)
	if got := value("mxdesk_disk_reserve_bytes"); got != float64(2*c.SMTP.MaxSize) {
		t.Errorf("reserve %v", got)
	}
	in := time.Until(time.Unix(int64(value("mxdesk_tls_certificate_expiry_timestamp_seconds")), 0))
	if in < selfSignedFor-time.Hour || in > selfSignedFor {
		t.Errorf("the certificate expires in %v", in)
	}
	engine.free = 1 << 20
	expect(0, 0, 1<<20)
	engine.free, engine.failing = 500<<20, true
	if _, err := app.Desk.CreateProject(t.Context(), "x", nil); !errors.Is(err, store.ErrFailed) {
		t.Fatalf("a write on a broken disk: %v", err)
	}
	expect(0, 1, 500<<20)
}

// The handler itself serves these values.
func TestHealthIsServed(t *testing.T) {
	c := localConfig(t)
	c.Metrics.Listen = freeAddr(t)
	app, err := NewApp(t.Context(), c, Parts{Engine: memdb.New(memdb.Options{})})
	if err != nil {
		t.Fatal(err)
	}
	if err := app.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer app.Drain(t.Context())
	resp, err := http.Get("http://" + c.Metrics.Listen + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	for _, want := range []string{"\nmxdesk_ready 1\n", "\nmxdesk_disk_free_bytes +Inf\n", "\nmxdesk_build_info{version="} {
		if err != nil || !strings.Contains(string(text), want) {
			t.Errorf("%q is not in /metrics: %v", want, err)
		}
	}
	if resp.Header.Get("Content-Type") == "" || expfmt.ResponseFormat(resp.Header).FormatType() != expfmt.TypeTextPlain {
		t.Errorf("content type %q", resp.Header.Get("Content-Type"))
	}
}
