package smtpd

import (
	"context"
	"io"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mxdesk/mxdesk/ticketing"
)

// TestWorkBudget is about a work budget that is used up: the client is told to
// come again, and a late result changes nothing.
func TestWorkBudget(t *testing.T) {
	bubble(t, func(t *testing.T) {
		o := quick()
		o.MaxAbandoned = 1
		w, c := open(t, o)
		late := make(chan struct{})
		w.desk.deliver = func(ctx context.Context, e *ticketing.Envelope, raw ticketing.Raw) []ticketing.Outcome {
			defer close(late)
			<-ctx.Done()
			time.Sleep(time.Minute)
			if _, err := io.Copy(io.Discard, io.NewSectionReader(raw, 0, raw.Size())); err != nil {
				t.Error(err)
			}
			return everyone(&transaction{envelope: *e}, nil)
		}
		c.data()
		begun := time.Now()
		c.send("Subject: x\r\n\r\n.\r\n")
		c.want("451 4.4.5 ")
		if time.Since(begun) != time.Minute {
			t.Errorf("after %v", time.Since(begun))
		}
		if got := w.desk.reasons(); !slices.Equal(got, []string{"data deadline"}) {
			t.Errorf("refusals %v", got)
		}
		c.do("MAIL FROM:<>", "451 4.3.2 ")
		<-late
		synctest.Wait()
		if n := w.srv.o.Spool.inRAM.Load(); n != 0 {
			t.Errorf("%d octets in the spool", n)
		}
		c.do("MAIL FROM:<>", "250 ")
	})
}
