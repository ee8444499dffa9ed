package smtpd

import (
	"net"
	"strings"
	"testing"

	"github.com/emersion/go-smtp"
)

// BenchmarkSession sends messages over one loopback connection to a desk that
// only reads them.
func BenchmarkSession(b *testing.B) {
	for _, size := range []int{4 << 10, 1 << 20} {
		b.Run(itoa(size>>10)+"KiB", func(b *testing.B) {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				b.Fatal(err)
			}
			o := Options{GreetingDelay: -1, MaxMessages: -1, MaxSessionBytes: -1}
			s := New(new(fakeDesk), o)
			go func() { _ = s.Serve(l) }()
			defer func() { _ = s.Shutdown(b.Context()) }()
			c, err := smtp.Dial(l.Addr().String())
			if err != nil {
				b.Fatal(err)
			}
			defer c.Close()
			text := "Subject: x\r\n\r\n" + strings.Repeat(strings.Repeat("x", 76)+"\r\n", size/78)
			b.SetBytes(int64(len(text)))
			for b.Loop() {
				if err := c.SendMail("a@example.org", []string{"help@desk.test"}, strings.NewReader(text)); err != nil {
					b.Fatal(err)
				}
			}
			_ = c.Close()
		})
	}
}
