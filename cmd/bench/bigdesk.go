package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/mxdesk/mxdesk/auth"
	"github.com/mxdesk/mxdesk/ticketing"
	"github.com/mxdesk/mxdesk/ticketing/mail"
	"github.com/mxdesk/mxdesk/ticketing/store"
	"github.com/mxdesk/mxdesk/ticketing/store/badgerdb"
)

// bigDesk is a desk in this process on the engine of the server.
type bigDesk struct {
	dir   string
	db    *store.DB
	desk  *ticketing.Desk
	route ticketing.Route
	begin time.Time    // when the first mail came, as the tickets have it
	next  atomic.Int64 // number of the last mail
}

const (
	bigProject = "support"
	bigAddress = "support@desk.test"
	// between is the time between two mails: a million in a year.
	between = 30 * time.Second
	// filling is how many mails are under way while a store is filled: as many
	// as the committer puts in one transaction.
	filling = 200
	// together is how many are under way while their cost is measured.
	together = 64
)

func openDesk(ctx context.Context, dir string) (*bigDesk, error) {
	engine, err := badgerdb.Open(filepath.Join(dir, "store"), badgerdb.Options{})
	if err != nil {
		return nil, err
	}
	d := &bigDesk{dir: dir, db: store.Open(engine, store.Options{}), begin: time.Now().AddDate(-1, 0, 0)}
	d.desk = ticketing.New(d.db, ticketing.Options{Now: func() time.Time { return d.at(d.next.Load()) }, HashBody: auth.HashBody})
	_, err = d.desk.Migrate(ctx)
	if err == nil {
		_, err = d.desk.CreateProject(ctx, bigProject, []string{bigAddress})
	}
	if err == nil {
		d.route, err = d.desk.Route(ctx, bigAddress)
	}
	if err != nil {
		return nil, errors.Join(err, d.close())
	}
	return d, nil
}

// at is when the nth mail came.
func (d *bigDesk) at(n int64) time.Time { return d.begin.Add(time.Duration(n) * between) }

func (d *bigDesk) close() error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	return d.db.Close(ctx)
}

// messageID is that of the nth mail.
func messageID(n int64) string { return fmt.Sprintf("%d.bench@customer%d.test", n, n%1000) }

const words = "The printer on floor two burns again, please send somebody with water; it smokes since this morning and our order of toner has not come yet.\r\n"

// message is the nth mail, about 2 KiB.
func message(n int64) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "Received: from mx.customer%d.test by mx.desk.test with ESMTPS id %d\r\nFrom: Ann %d <ann%d@customer%d.test>\r\nTo: <%s>\r\nSubject: Printer %d on fire\r\n",
		n%1000, n, n, n, n%1000, bigAddress, n)
	fmt.Fprintf(&b, "Message-ID: <%s>\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nMail %d.\r\n", messageID(n), n)
	for b.Len() < 2000 {
		b.WriteString(words)
	}
	return b.Bytes()
}

// receive takes the next mail in as the server does after the end of the data:
// read, stage, decide, commit. It must become a ticket.
func (d *bigDesk) receive(ctx context.Context) error {
	n := d.next.Add(1)
	raw := message(n)
	hash := sha256.Sum256(raw)
	m := mail.Parse(bytes.NewReader(raw), int64(len(raw)), mail.Options{})
	staged, err := d.db.Stage(ctx, int64(len(raw)), hash, bytes.NewReader(raw))
	if err != nil {
		return err
	}
	domain := fmt.Sprintf("customer%d.test", n%1000)
	now := d.at(n)
	out := d.desk.Receive(ctx, ticketing.Inbound{
		Envelope: &ticketing.Envelope{
			ID: ticketing.NewID(now), Protocol: "ESMTPS", Helo: "mx." + domain, MailFrom: m.Author().Address, ReceivedAt: now, Hostname: "desk.test",
			Recipients: []ticketing.Recipient{{Address: bigAddress, Route: d.route}},
		},
		Message: m, Verdict: passed(domain), Raw: staged, Octets: bytes.NewReader(raw), Size: int64(len(raw)),
	})
	if out[0].Err != nil {
		return out[0].Err
	}
	if out[0].Reason != "new-ticket" {
		return fmt.Errorf("mail %d became %s, %s", n, out[0].Decision, out[0].Reason)
	}
	return nil
}

// passed is the verdict on a mail that passed everything.
func passed(domain string) *ticketing.Verdict {
	return &ticketing.Verdict{
		SPF:   ticketing.SPFResult{Result: "pass", Domain: domain, Scope: "mfrom", Mechanism: "ip4"},
		DKIM:  []ticketing.DKIMResult{{Result: "pass", Domain: domain, Selector: "bench", Algorithm: "rsa-sha256", KeyBits: 2048}},
		DMARC: ticketing.DMARCResult{Result: "pass", Domain: domain, Policy: "reject", Disposition: "none", AlignedSPF: true, AlignedDKIM: true},
		ARC:   ticketing.ARCResult{Result: "none"}, Verdict: ticketing.Decision{Action: ticketing.ActionAccept},
		AuthenticationResults: fmt.Sprintf("desk.test; spf=pass smtp.mailfrom=%[1]s; dkim=pass header.d=%[1]s header.s=bench; dmarc=pass header.from=%[1]s; arc=none", domain),
		FromDomain:            domain,
	}
}

// many takes n mails in, some at a time; each is told how many are done.
func (d *bigDesk) many(ctx context.Context, n, atOnce int, each func(done int)) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var begun, done atomic.Int64
	var wg sync.WaitGroup
	for range atOnce {
		wg.Go(func() {
			for begun.Add(1) <= int64(n) && ctx.Err() == nil {
				if err := d.receive(ctx); err != nil {
					cancel(err)
					return
				}
				each(int(done.Add(1)))
			}
		})
	}
	wg.Wait()
	return context.Cause(ctx)
}

// fill makes tickets until there are size of them.
func (d *bigDesk) fill(ctx context.Context, size int, p *progress) (taken time.Duration, made int, err error) {
	made = size - int(d.next.Load())
	start := time.Now()
	var mu sync.Mutex
	p.phase(fmt.Sprintf("filling to %d tickets", size))
	err = d.many(ctx, made, filling, func(done int) {
		if done%filling != 0 || !mu.TryLock() {
			return
		}
		defer mu.Unlock()
		p.step(float64(done), float64(made), fmt.Sprintf("%d tickets, %.0f per second", size-made+done, float64(done)/time.Since(start).Seconds()))
	})
	return time.Since(start), made, err
}
