package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/mxdesk/mxdesk/auth/dns"
	"github.com/mxdesk/mxdesk/ticketing"
)

// BenchmarkIntake takes in mails from different people, each of which makes a
// ticket and a confirmation, on a disk. It leaves out the network, and shows
// the processor time of the whole process.
func BenchmarkIntake(b *testing.B) {
	for _, senders := range []int{1, 50} {
		b.Run(fmt.Sprintf("senders=%d", senders), func(b *testing.B) { benchmarkIntake(b, senders, 10<<10) })
	}
}

func benchmarkIntake(b *testing.B, senders, size int) {
	a := benchApp(b)
	route, err := a.Desk.Route(b.Context(), "support@desk.test")
	if err != nil {
		b.Fatal(err)
	}
	text := strings.Repeat("The printer on the second floor refuses to print invoices again.\r\n", size/66)
	var next atomic.Int64
	b.SetParallelism((senders + 1) / 2)
	if senders == 1 {
		b.SetParallelism(0)
	}
	b.ReportAllocs()
	cpu := processorTime(b)
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			n := next.Add(1)
			from := fmt.Sprintf("user%d@customer.test", n)
			raw := newRawMail(fmt.Sprintf("From: User <%s>\r\nTo: <support@desk.test>\r\nSubject: Printer %d\r\nDate: Mon, 02 Jan 2006 15:04:05 +0000\r\n"+
				"Message-ID: <%d@customer.test>\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n%d\r\n%s", from, n, n, n, text))
			env := &ticketing.Envelope{
				ID: ticketing.NewID(time.Now()), Session: "session", Protocol: "ESMTP", Client: netip.MustParseAddrPort("192.0.2.1:1"), Helo: "mx.customer.test",
				MailFrom: from, Recipients: []ticketing.Recipient{{Address: "support@desk.test", Route: route}}, ReceivedAt: time.Now(), Hostname: "desk.test",
			}
			if out := a.intake.Deliver(b.Context(), env, raw)[0]; out.Reason != "new-ticket" {
				b.Errorf("outcome %+v", out)
			}
		}
	})
	b.StopTimer()
	b.ReportMetric(float64(processorTime(b)-cpu)/float64(b.N)/1e3, "cpu-us/op")
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "mails/s")
}

func benchApp(b *testing.B) *App {
	b.Helper()
	z, err := dns.ParseZone([]byte(zone))
	if err != nil {
		b.Fatal(err)
	}
	cfg := DefaultConfig()
	cfg.Data, cfg.Hostname, cfg.File = b.TempDir(), "desk.test", "bench.toml"
	cfg.SMTP.Listen, cfg.LMTP.Listen, cfg.HTTP.Listen, cfg.Metrics.Listen = nil, nil, "", ""
	tuneMemory(func(string) string { return "" })
	a, err := NewApp(b.Context(), cfg, Parts{Resolver: z, Admin: func(string) (net.Listener, error) { return net.Listen("tcp", "127.0.0.1:0") }})
	if err == nil {
		_, err = a.Desk.CreateProject(b.Context(), "support", []string{"support@desk.test"})
	}
	if err == nil {
		err = a.Start(b.Context())
	}
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		end, cancel := context.WithTimeout(context.Background(), drainTime)
		defer cancel()
		if err := a.Drain(end); err != nil {
			b.Error(err)
		}
	})
	return a
}

// rawMail is a received message in memory.
type rawMail struct {
	*bytes.Reader
	hash [32]byte
}

func newRawMail(s string) rawMail {
	return rawMail{bytes.NewReader([]byte(s)), sha256.Sum256([]byte(s))}
}

func (m rawMail) SHA256() [32]byte { return m.hash }

// processorTime is what the process has used so far.
func processorTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
