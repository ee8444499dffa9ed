package main

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	mdns "github.com/miekg/dns"

	"github.com/mxdesk/mxdesk/auth/dkim"
	"github.com/mxdesk/mxdesk/auth/keyring"
	"github.com/mxdesk/mxdesk/auth/message"
	"github.com/mxdesk/mxdesk/queue/queuetest"
	"github.com/mxdesk/mxdesk/server/api"
	"github.com/mxdesk/mxdesk/ticketing"
)

// TestStoryKeysChangeByThemselves has the housekeeping go over to new keys once
// they are published, while a copy that was signed before waits for its next
// hop.
func TestStoryKeysChangeByThemselves(t *testing.T) {
	tell(t, func(s *story) {
		t := s.t
		keys := s.publishKeys()
		first, second := keys[0].Selector, keys[0].Selector+"b"
		s.send("192.0.2.1", "ann@customer.test", "support@desk.test", mailText("ann@customer.test", "Hello", "1@customer.test", "", "Hi."))
		time.Sleep(time.Minute) // signed, and nobody takes it
		if _, err := s.keys.Rotate(t.Context(), "desk.test", keyring.RotateOptions{}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Hour)
		synctest.Wait()
		if s.activeKey() != first {
			t.Fatal("keys sign that are not published")
		}
		s.publishKeys()
		time.Sleep(time.Hour)
		synctest.Wait()
		if s.activeKey() != second || !strings.Contains(s.logs.String(), "dkim keys changed") {
			t.Fatalf("published keys do not sign: %s does", s.activeKey())
		}
		mx := &queuetest.Server{}
		s.mx.Put("192.0.2.25:25", mx)
		if _, err := s.Desk.Reply(t.Context(), ticketing.Ref{Project: "support", IID: 1}, "", "Use water."); err != nil {
			t.Fatal(err)
		}
		time.Sleep(24 * time.Hour)
		synctest.Wait()
		signed := map[string]int{}
		for _, m := range mx.Messages() {
			signed[s.verified(m.Data)]++
		}
		if len(signed) != 2 || signed[first] != 1 || signed[second] != 1 {
			t.Errorf("mails by keys: %v", signed)
		}
		time.Sleep(keyring.KeepRetired)
		synctest.Wait()
		left, err := filepath.Glob(filepath.Join(s.cfg.Data, "dkim", "desk.test", "*.pem"))
		if err != nil || len(left) != 2 || !strings.Contains(s.logs.String(), "dkim key removed") {
			t.Errorf("left: %v, %v", left, err)
		}
	})
}

// publishKeys puts the records of all keys into the DNS.
func (s *story) publishKeys() []keyring.Key {
	s.t.Helper()
	keys, err := s.keys.Keys(s.t.Context(), "desk.test")
	if err != nil {
		s.t.Fatal(err)
	}
	for _, k := range keys {
		s.dns.add(k.Name(), k.Record)
	}
	return keys
}

// activeKey is the selector of the RSA key that signs.
func (s *story) activeKey() string {
	s.t.Helper()
	keys, err := s.keys.Keys(s.t.Context(), "desk.test")
	if err != nil {
		s.t.Fatal(err)
	}
	for _, k := range keys {
		if k.State == keyring.Active && k.Algorithm == keyring.RSA {
			return k.Selector
		}
	}
	return ""
}

// verified checks both signatures of a mail that has arrived, and returns the
// selector of the first.
func (s *story) verified(raw []byte) string {
	s.t.Helper()
	m, err := message.Read(bytes.NewReader(raw), int64(len(raw)), message.Limits{})
	if err != nil {
		s.t.Fatal(err)
	}
	results := dkim.New(s.dns, dkim.Options{}).Verify(s.t.Context(), m)
	if len(results) != 2 || results[0].Result != dkim.Pass || results[1].Result != dkim.Pass ||
		results[0].Algorithm != "rsa-sha256" || results[1].Algorithm != "ed25519-sha256" {
		s.t.Errorf("signatures: %+v", results)
	}
	return results[0].Selector
}

// A running server goes on with broken keys, and housekeeping tells of them.
func TestStoryBrokenKeysAreToldOf(t *testing.T) {
	tell(t, func(s *story) {
		s.publishKeys()
		if err := os.WriteFile(filepath.Join(s.cfg.Data, "dkim", "desk.test", "keys.json"), []byte("{"), 0o600); err != nil {
			s.t.Fatal(err)
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		if !strings.Contains(s.logs.String(), "dkim/desk.test/keys.json") {
			s.t.Error("the log does not name the broken file")
		}
		mx := &queuetest.Server{}
		s.mx.Put("192.0.2.25:25", mx)
		s.send("192.0.2.1", "ann@customer.test", "support@desk.test", mailText("ann@customer.test", "Hello", "1@customer.test", "", "Hi."))
		time.Sleep(time.Minute)
		synctest.Wait()
		if len(mx.Messages()) != 1 {
			s.t.Fatal("mail stopped to leave")
		}
		s.verified(mx.Messages()[0].Data)
	})
}

// TestZoneLines reads what is printed for zone files with a parser for those.
func TestZoneLines(t *testing.T) {
	var keys []api.DKIMKey
	for _, bits := range []int{2048, 3072, 4096} {
		rsaKey, edKey, err := dkim.GenerateKeys(bits)
		if err != nil {
			t.Fatal(err)
		}
		first, err := dkim.DNSRecord(rsaKey)
		second, failed := dkim.DNSRecord(edKey)
		if err := errors.Join(err, failed); err != nil {
			t.Fatal(err)
		}
		for _, record := range []string{first, second} {
			k := keyring.Key{Domain: "desk.test", Selector: "s", Record: record}
			keys = append(keys, api.DKIMKey{Name: k.Name(), Value: k.Record, Strings: k.Strings(), State: keyring.Retired, Until: time.Now()})
		}
	}
	var text bytes.Buffer
	printZone(&text, keys)
	p := mdns.NewZoneParser(&text, "", "")
	for i, k := range keys {
		rr, ok := p.Next()
		txt, isTXT := rr.(*mdns.TXT)
		if !ok || !isTXT {
			t.Fatalf("record %d: %v, %v", i, rr, p.Err())
		}
		if strings.Join(txt.Txt, "") != k.Value || txt.Hdr.Name != "s._domainkey.desk.test." || txt.Hdr.Ttl != zoneTTL {
			t.Errorf("record %d: %v", i, txt)
		}
		if _, err := mdns.NewRR(txt.String()); err != nil {
			t.Error(err)
		}
	}
	if rr, ok := p.Next(); ok || p.Err() != nil {
		t.Errorf("more: %v, %v", rr, p.Err())
	}
}

// The keys of one domain that are broken do not hide those of others.
func TestDKIMListWithBrokenKeys(t *testing.T) {
	c := localConfig(t)
	app, stop := startApp(t, c, Parts{})
	defer stop()
	for _, domain := range []string{"a.test", "b.test"} {
		if err := app.keys.Ensure(t.Context(), domain); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(c.Data, "dkim", "a.test", "keys.json"), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"dkim", "list"}, {"dkim", "dns"}, {"dkim", "dns", "--zone"}, {"dkim", "list", "--json"}} {
		stdout, stderr, code := command(t, append(args, "--data", c.Data)...)
		if code != exitRefused || strings.Count(stderr, "\n") != 1 || !strings.Contains(stderr, "dkim/a.test/keys.json") {
			t.Errorf("%q: exit %d: %s", args, code, stderr)
		}
		marked := strings.Contains(stdout, "a.test") && strings.Contains(stdout, "broken")
		if !strings.Contains(stdout, "b.test") || marked != (args[1] == "list") {
			t.Errorf("%q: %s", args, stdout)
		}
	}
}
