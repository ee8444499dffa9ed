package store_test

import (
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/mxdesk/mxdesk/ticketing/store"
	"github.com/mxdesk/mxdesk/ticketing/store/memdb"
)

// BenchmarkOverlay commits batches of closures with 15 writes and 3 scans each.
// The time per closure must hardly grow with the size of the batch.
func BenchmarkOverlay(b *testing.B) {
	for _, closures := range []int{10, 50, 200} {
		b.Run(fmt.Sprintf("closures=%d", closures), func(b *testing.B) {
			db := store.Open(memdb.New(memdb.Options{}), store.Options{})
			for b.Loop() {
				benchmarkBatch(b, db, closures)
			}
			b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N*closures), "us/closure")
			if err := db.Close(b.Context()); err != nil {
				b.Error(err)
			}
		})
	}
}

func benchmarkBatch(b *testing.B, db *store.DB, closures int) {
	started, release := make(chan struct{}), make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		err := db.Update(b.Context(), func(store.Tx) error {
			close(started)
			<-release
			return nil
		})
		if err != nil {
			b.Error(err)
		}
	})
	<-started
	for i := range closures - 1 {
		wg.Go(func() {
			if err := db.Update(b.Context(), func(tx store.Tx) error { return writeAndScan(tx, i) }); err != nil {
				b.Error(err)
			}
		})
	}
	close(release)
	wg.Wait()
}

func writeAndScan(tx store.Tx, i int) error {
	var errs []error
	for n := range 15 {
		errs = append(errs, tx.Put(store.K("table", n, i), nil))
	}
	for n := range 3 {
		seen := 0
		for _, err := range tx.Scan(store.Prefix("table", n), true) {
			errs = append(errs, err)
			if seen++; seen == 20 {
				break
			}
		}
	}
	return errors.Join(errs...)
}
