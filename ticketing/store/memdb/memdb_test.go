package memdb_test

import (
	"testing"

	"github.com/mxdesk/mxdesk/ticketing/store"
	"github.com/mxdesk/mxdesk/ticketing/store/memdb"
	"github.com/mxdesk/mxdesk/ticketing/store/storetest"
)

func TestConformance(t *testing.T) {
	storetest.Run(t, storetest.Factory{
		Open: func(testing.TB) store.Engine { return memdb.New(memdb.Options{}) },
		Reopen: func(_ testing.TB, closed store.Engine) store.Engine {
			return closed.(*memdb.DB).Reopen(memdb.Options{})
		},
	})
}

func BenchmarkMails(b *testing.B) {
	storetest.Benchmark(b, func(testing.TB) store.Engine { return memdb.New(memdb.Options{}) })
}
