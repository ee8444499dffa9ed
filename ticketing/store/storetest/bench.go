package storetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mxdesk/mxdesk/ticketing/store"
)

// Benchmark measures an engine with closures like those of a mail: 5 reads,
// 13 writes and a blob. It reports mails per second and the delays of commit
// for 1, 8 and 64 senders of 10 KiB, and for 4 senders of 1 MiB.
func Benchmark(b *testing.B, open func(t testing.TB) store.Engine) {
	for _, load := range []struct{ senders, size int }{{1, 10 << 10}, {8, 10 << 10}, {64, 10 << 10}, {4, 1 << 20}} {
		b.Run(fmt.Sprintf("senders=%d/KiB=%d", load.senders, load.size>>10), func(b *testing.B) {
			benchmarkMails(b, store.Open(open(b), store.Options{}), load.senders, load.size)
		})
	}
}

func benchmarkMails(b *testing.B, db *store.DB, senders, size int) {
	defer func() {
		if err := db.Close(context.Background()); err != nil {
			b.Error(err)
		}
	}()
	delays := make([]time.Duration, b.N)
	var next atomic.Int64
	var wg sync.WaitGroup
	b.ResetTimer()
	for range senders {
		wg.Go(func() {
			body := make([]byte, size)
			for i := next.Add(1); i <= int64(b.N); i = next.Add(1) {
				start := time.Now()
				if err := sendMail(db, uint64(i), body); err != nil {
					b.Error(err)
					return
				}
				delays[i-1] = time.Since(start)
			}
		})
	}
	wg.Wait()
	b.StopTimer()
	slices.Sort(delays)
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "mails/s")
	b.ReportMetric(float64(delays[len(delays)/2].Microseconds()), "p50-us")
	b.ReportMetric(float64(delays[len(delays)*99/100].Microseconds()), "p99-us")
}

// sendMail stages the body and commits one mail. Bodies and ids are random, as
// hashes would be; hashing itself is not measured.
func sendMail(db *store.DB, id uint64, body []byte) error {
	var h store.Hash
	for i := range h {
		h[i] = byte(rand.Uint32())
	}
	copy(body, h[:])
	s, err := db.Stage(context.Background(), int64(len(body)), h, bytes.NewReader(body))
	if err != nil {
		return err
	}
	return db.Update(context.Background(), func(tx store.Tx) error { return writeMail(tx, id, s) })
}

func writeMail(tx store.Tx, id uint64, s *store.Staged) error {
	messageID := fmt.Sprintf("%x@example.org", s.Hash[:8])
	first := []store.Key{store.K("alias", "help"), store.K("dedupe", 1, messageID), store.K("message", 1, messageID), store.K("message", 1, "parent")}
	if _, err := tx.GetMulti(first); err != nil {
		return err
	}
	n, err := number(tx, store.K("counter", 1))
	if err != nil {
		return err
	}
	now := time.Now()
	return errors.Join(
		putNumber(tx, store.K("counter", 1), n+1),
		tx.Put(store.K("ticket", 1, n+1), make([]byte, 600)),
		tx.Put(store.K("comment", 1, n+1, 1), make([]byte, 1500)),
		tx.Put(store.K("index", "state", 1, "open", store.Desc(now), id), nil),
		tx.Put(store.K("index", "updated", 1, store.Desc(now), id), nil),
		tx.Put(store.K("index", "assignee", 1, "", store.Desc(now), id), nil),
		tx.Put(store.K("index", "label", 1, "new", store.Desc(now), id), nil),
		tx.Put(store.K("index", "participant", "someone@example.org", store.Desc(now), id), nil),
		tx.Put(store.K("dedupe", 1, messageID), []byte(`{"v":1}`)),
		tx.Put(store.K("message", 1, messageID), []byte(`{"v":1}`)),
		tx.Put(store.K("outgoing", now, id), make([]byte, 300)),
		tx.AddBlob(s),
		tx.Emit(store.Change{Kind: "ticket", Key: store.K("ticket", 1, n+1)}),
	)
}
