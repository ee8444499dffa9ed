package iprev_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mxdesk/mxdesk/auth/iprev"
)

func TestCheckHelo(t *testing.T) {
	z := zone(t, records)
	for _, c := range []struct {
		helo, client string
		want         iprev.Helo
	}{
		{"mail.example.test", "192.0.2.1", "pass"},
		{"MAIL.example.test.", "::ffff:192.0.2.1", "pass"},
		{"mail.example.test", "2001:db8::1", "pass"},
		{"ten.test", "192.0.2.10", "pass"}, // over a CNAME
		{"[192.0.2.1]", "192.0.2.1", "pass"},
		{"[192.0.2.1]", "::ffff:192.0.2.1", "pass"},
		{"[IPv6:2001:db8::1]", "2001:db8::1", "pass"},
		{"[ipv6:2001:DB8:0::1]", "2001:db8::1", "pass"},

		{"other.test", "192.0.2.1", "mismatch"},
		{"six.test", "192.0.2.1", "mismatch"},      // only the other family
		{"other.test", "2001:db8::1", "mismatch"},  // the same the other way
		{"exchange.test", "192.0.2.1", "mismatch"}, // only an MX

		{"gone.test", "192.0.2.1", "unresolvable"},
		{"localhost.localdomain", "127.0.0.1", "unresolvable"},
		{"text.test", "192.0.2.1", "unresolvable"},
		{"null.test", "192.0.2.1", "unresolvable"},

		{"slow.test", "192.0.2.1", "temperror"},
		{"half.test", "192.0.2.1", "temperror"},

		{"", "192.0.2.1", "invalid"},
		{".", "192.0.2.1", "invalid"},
		{"localhost", "127.0.0.1", "invalid"},
		{"ylmf-pc", "192.0.2.1", "invalid"},
		{"192.0.2.1", "192.0.2.1", "invalid"},
		{"2001:db8::1", "2001:db8::1", "invalid"},
		{"[192.0.2.1", "192.0.2.1", "invalid"},
		{"[]", "192.0.2.1", "invalid"},
		{"[IPv6:192.0.2.1]", "192.0.2.1", "invalid"},
		{"[2001:db8::1]", "2001:db8::1", "invalid"},
		{"[IPv6:fe80::1%eth0]", "fe80::1", "invalid"},
		{"[203.0.113.1]", "192.0.2.1", "invalid"},
		{"192.0.2", "192.0.2.1", "invalid"},
		{"-a.test", "192.0.2.1", "invalid"},
		{"a..test", "192.0.2.1", "invalid"},
		{"two words.test", "192.0.2.1", "invalid"},
		{"user@mail.example.test", "192.0.2.1", "invalid"},
		{"mail.example.test\x00", "192.0.2.1", "invalid"},
		{"bücher.test", "192.0.2.1", "invalid"},
		{strings.Repeat("a", 100_000) + ".test", "192.0.2.1", "invalid"},

		{"desk.test", "192.0.2.1", "own"},
		{"DESK.test.", "192.0.2.1", "own"},
		{"desk.test", "198.51.100.1", "pass"}, // it is us
		{"198.51.100.1", "192.0.2.1", "own"},
		{"[198.51.100.1]", "192.0.2.1", "own"},
		{"[IPv6:2001:db8:1::1]", "192.0.2.1", "own"},
		{"[198.51.100.1]", "198.51.100.1", "pass"},
	} {
		if got := iprev.CheckHelo(t.Context(), z, c.helo, addr(c.client), "Desk.test"); got != c.want {
			t.Errorf("%.40q from %s: got %s, want %s", c.helo, c.client, got, c.want)
		}
	}
}

// Our own name may be of any kind, and have no address that can be seen.
func TestCheckHeloOwnNames(t *testing.T) {
	z := zone(t, records)
	for _, c := range []struct {
		helo, own string
		want      iprev.Helo
	}{
		{"bare.test", "bare.test", "own"},
		{"gone.test", "gone.test", "own"},
		{"localhost", "localhost", "own"},
		{"brokendesk.test", "brokendesk.test", "temperror"},
		{"[203.0.113.1]", "brokendesk.test", "invalid"},
		{"gone.test", "", "unresolvable"},
		{"[203.0.113.1]", "", "invalid"},
	} {
		if got := iprev.CheckHelo(t.Context(), z, c.helo, addr("192.0.2.1"), c.own); got != c.want {
			t.Errorf("%q, own name %q: got %s, want %s", c.helo, c.own, got, c.want)
		}
	}
}

// The second client is asked for in IPv6, which answers; what hangs is the
// question whether the name exists at all.
func TestCheckHeloThatNeverAnswers(t *testing.T) {
	for _, c := range []struct{ helo, client string }{
		{"other.test", "192.0.2.1"},
		{"text.test", "2001:db8::1"},
	} {
		synctest.Test(t, func(t *testing.T) {
			start := time.Now()
			got := iprev.CheckHelo(t.Context(), silent{zone(t, records), "*"}, c.helo, addr(c.client), "desk.test")
			if took := time.Since(start); got != iprev.HeloTempError || took != 10*time.Second {
				t.Errorf("%s from %s: got %s after %v", c.helo, c.client, got, took)
			}
		})
	}
}

func FuzzCheckHelo(f *testing.F) {
	z := zone(f, records)
	for _, s := range []string{"mail.example.test", "[192.0.2.1]", "[IPv6:::1]", "192.0.2.1", "desk.test", "bücher.test", "", "[", "a\x00"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, helo string) {
		got := iprev.CheckHelo(t.Context(), z, helo, addr("192.0.2.1"), "desk.test")
		switch got {
		case iprev.HeloPass:
			text := strings.ToLower(strings.TrimSuffix(helo, "."))
			if text != "mail.example.test" && !strings.Contains(text, "192.0.2.1]") && !strings.HasPrefix(text, "[ipv6:") {
				t.Errorf("%q passes", helo)
			}
		case iprev.HeloMismatch, iprev.HeloUnresolvable, iprev.HeloInvalid, iprev.HeloOwn, iprev.HeloTempError:
		default:
			t.Errorf("%q: %q", helo, got)
		}
	})
}
