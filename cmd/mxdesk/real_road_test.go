package main

import (
	"encoding/base64"
	"fmt"
	"net/mail"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mxdesk/mxdesk/auth/dkim"
	"github.com/mxdesk/mxdesk/server/api"
	"github.com/mxdesk/mxdesk/ticketing"
)

// TestRealMainRoad goes the whole road with Postfix on both ends: a customer's
// signed mail becomes a ticket, the answer reaches the mailboxes, and what the
// customer writes back joins the ticket and reaches the other participant.
func TestRealMainRoad(t *testing.T) {
	needs(t, "postfix", "swaks", "knotd", "dkimsign", "python3", "openssl")
	for _, road := range []struct {
		name      string
		transport func(d *desk) string
		relay     string // of ours, with the address of Postfix
		spf       string // by LMTP none: Postfix took the mail on loopback, which is nobody's client
	}{
		{"SMTP", func(d *desk) string { return "smtp:" + bracket(d.SMTP) }, "mx", "pass"},
		{"LMTP", func(d *desk) string { return "lmtp:inet:" + d.LMTP }, "smtp", "none"},
		{"Unix", func(d *desk) string { return "lmtp:unix:" + d.Socket }, "mx", "none"},
	} {
		t.Run(road.name, func(t *testing.T) { mainRoad(t, road.transport, road.relay, road.spf) })
	}
}

// bracket writes host:port as Postfix wants a host that is no mail domain.
func bracket(addr string) string {
	host, port, _ := strings.Cut(addr, ":")
	return "[" + host + "]:" + port
}

func mainRoad(t *testing.T, transport func(*desk) string, relay, spf string) {
	bin := needs(t)
	c := newCorrespondent(t)
	server, replace := nameServer(t, c.zone)
	d := newDesk(t, bin, "")
	c.postfix = newPostfix(t, transport(d))
	_, port, _ := strings.Cut(c.postfix.Addr, ":")
	settings := fmt.Sprintf("dns.servers = [%q]\nqueue.allow_nets = [\"127.0.0.0/8\"]\nqueue.mx_port = %s\nqueue.relay = \"mx\"\n", server, port)
	if relay == "smtp" {
		settings = fmt.Sprintf("dns.servers = [%q]\nqueue.relay = \"smtp://%s\"\n", server, c.postfix.Addr)
	}
	writeText(t, d.config(), readFile(t, d.config())+settings)
	d.start()
	d.project("support", "support@desk.test")
	replace(c.zone + d.keyRecords(t, "desk.test"))

	first := c.letter("Cc: Bob <bob@customer.test>\r\n", "support@desk.test", "Printer on fire", "road.1@customer.test", "It burns.")
	c.postfix.submit("ann@customer.test", "support@desk.test", first)
	checkTicket(t, d, spf)
	thanks := c.postfix.waitMail("ann", "auto-replied")
	if strings.Contains(thanks, "It burns") {
		t.Errorf("automatic mail has the customer's text:\n%s", thanks)
	}
	if got := c.postfix.mailbox("bob"); len(got) != 0 {
		t.Errorf("bob got %d mails before an agent's answer", len(got))
	}

	d.do("ticket", "reply", "support#1", "--body", "Use **plenty of water**.")
	toAnn := c.postfix.waitMail("ann", "plenty of water")
	toBob := c.postfix.waitMail("bob", "plenty of water")
	token := checkAnswer(t, toAnn)
	if bobs := checkAnswer(t, toBob); bobs == token {
		t.Errorf("two people have the reply address %s", token)
	}
	for _, m := range []string{thanks, toAnn, toBob} {
		verifySignature(t, server, m)
	}
	checkDelivered(t, d)

	second := c.letter("In-Reply-To: "+header(t, toAnn, "Message-Id")+"\r\n", token, "Re: Printer on fire", "road.2@customer.test",
		"The water helped.\r\n\r\nOn Mon, 23 Nov 2026 at 10:04, support <support@desk.test> wrote:\r\n> Use plenty of water.")
	c.postfix.submit("ann@customer.test", token, second)
	copied := c.postfix.waitMail("bob", "The water helped")
	if !strings.Contains(header(t, copied, "References"), "<road.1@customer.test>") || strings.Contains(copied, token) {
		t.Errorf("the copy for bob:\n%s", copied)
	}
	checkFollowUp(t, d)
}

// correspondent is ann@customer.test with her mail server and her domain's records.
type correspondent struct {
	t       *testing.T
	key     string // file with the DKIM key
	zone    string
	postfix *postfix
}

func newCorrespondent(t *testing.T) *correspondent {
	t.Helper()
	c := &correspondent{t: t, key: filepath.Join(t.TempDir(), "dkim.pem")}
	if _, stderr, code := execute(t, "/", "openssl", "genrsa", "-traditional", "-out", c.key, "2048"); code != 0 {
		t.Fatal(stderr)
	}
	der := c.key + ".der"
	if _, stderr, code := execute(t, "/", "openssl", "rsa", "-in", c.key, "-pubout", "-outform", "DER", "-out", der); code != 0 {
		t.Fatal(stderr)
	}
	record := "v=DKIM1; k=rsa; p=" + base64.StdEncoding.EncodeToString([]byte(readFile(t, der)))
	c.zone = strings.Replace(customerZone, "p=none", "p=reject", 1) + "\nclient.customer.test. A 127.0.0.1\n" + textRecord("s1._domainkey.customer.test.", record)
	return c
}

// textRecord is a TXT record as zone files have it: pieces of at most 255
// octets.
func textRecord(name, text string) string {
	var line strings.Builder
	line.WriteString(name + " TXT")
	for piece := range slices.Chunk([]byte(text), 200) {
		fmt.Fprintf(&line, " %q", piece)
	}
	return line.String() + "\n"
}

// letter is a message of ann's, signed by another program than ours.
func (c *correspondent) letter(fields, to, subject, id, body string) string {
	c.t.Helper()
	text := fields + letter("Ann <ann@customer.test>", to, subject, id, strings.ReplaceAll(body, "\r\n", "\n"))
	signed, stderr, code := executeWith(c.t, "/", []byte(text), "dkimsign", "--hcanon", "relaxed", "--bcanon", "relaxed", "s1", "customer.test", c.key)
	if code != 0 || !strings.HasPrefix(signed, "DKIM-Signature:") {
		c.t.Fatalf("dkimsign: exit %d: %s", code, stderr)
	}
	return signed
}

// keyRecords are the DNS records of the desk's own keys.
func (d *desk) keyRecords(t *testing.T, domain string) string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(d.Data, "dkim", domain, "*.pem"))
	if err != nil || len(files) != 2 {
		t.Fatalf("keys of %s: %q, %v", domain, files, err)
	}
	var records strings.Builder
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		key, err := dkim.ParsePEM(text)
		if err != nil {
			t.Fatal(err)
		}
		record, err := dkim.DNSRecord(key)
		if err != nil {
			t.Fatal(err)
		}
		records.WriteString(textRecord(strings.TrimSuffix(filepath.Base(f), ".pem")+"._domainkey."+domain+".", record))
	}
	return records.String()
}

func checkTicket(t *testing.T, d *desk, spf string) {
	t.Helper()
	eventually(t, 30*time.Second, "the ticket", func() error {
		if n := len(decode[api.Ticket](d, "ticket", "list")); n != 1 {
			return fmt.Errorf("%d tickets; held: %s", n, d.do("held", "list", "--json"))
		}
		return nil
	})
	th := decode[api.Thread](d, "ticket", "show", "support#1")[0]
	c := th.Comments[0]
	if c.Auth == nil || len(c.Auth.DKIM) != 1 || c.Auth.DKIM[0].Result != "pass" || c.Auth.DKIM[0].Domain != "customer.test" ||
		c.Auth.DMARC.Result != "pass" || !c.Auth.DMARC.AlignedDKIM || c.Auth.SPF.Result != spf || !c.Verified {
		t.Errorf("verified %v, auth = %+v", c.Verified, c.Auth)
	}
	if th.Title != "Printer on fire" || th.MessageID != "road.1@customer.test" || strings.TrimSpace(c.Body) != "It burns." || c.Name != "Ann" {
		t.Errorf("ticket = %+v", th)
	}
	if trace := decode[api.Transaction](d, "trace", "road.1@customer.test"); len(trace) == 0 || trace[len(trace)-1].Ticket != "support#1" || trace[len(trace)-1].Code != 250 {
		t.Errorf("trace = %+v", trace)
	}
}

// checkAnswer checks the threading of an agent's answer and returns the
// address that it asks to reply to.
func checkAnswer(t *testing.T, text string) string {
	t.Helper()
	for name, want := range map[string]string{
		"In-Reply-To": `^<road\.1@customer\.test>$`,
		"References":  `^<road\.1@customer\.test>( |$)`,
		"Subject":     `^Re: Printer on fire`,
		"Message-Id":  `^<[^<>@\s]+@desk\.test>$`,
		"From":        `support@desk\.test>?$`,
		"Date":        `20\d\d`,
	} {
		if got := header(t, text, name); !regexp.MustCompile(want).MatchString(got) {
			t.Errorf("%s: %q is not %s", name, got, want)
		}
	}
	if strings.Contains(text, "admin@") {
		t.Errorf("the agent's address leaves the house:\n%s", text)
	}
	to, err := mail.ParseAddress(header(t, text, "Reply-To"))
	if err != nil || !regexp.MustCompile(`^[a-z]+\+[0-9a-z]{26}@desk\.test$`).MatchString(to.Address) {
		t.Fatalf("Reply-To: %q, %v", header(t, text, "Reply-To"), err)
	}
	return to.Address
}

// header is the value of a field that must be there once.
func header(t *testing.T, text, name string) string {
	t.Helper()
	m, err := mail.ReadMessage(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	if n := len(m.Header[name]); n != 1 {
		t.Errorf("%d fields %s:\n%s", n, name, text)
		return ""
	}
	return m.Header.Get(name)
}

const verifyScript = `
import sys, dkim, dns.resolver
r = dns.resolver.Resolver(configure=False)
r.nameservers, r.port = [sys.argv[1]], int(sys.argv[2])
def txt(name, timeout=5):
    return b"".join(r.resolve(name.decode().rstrip("."), "TXT")[0].strings)
v = dkim.DKIM(sys.stdin.buffer.read().replace(b"\r\n", b"\n").replace(b"\n", b"\r\n"))
n = sum(1 for name, _ in v.headers if name.lower() == b"dkim-signature")
print(n, [v.verify(idx=i, dnsfunc=txt) for i in range(n)])
`

// verifySignature has another program verify both of our signatures. What the
// last server put on top of the mail is not signed.
func verifySignature(t *testing.T, server, text string) {
	t.Helper()
	host, port, _ := strings.Cut(server, ":")
	stdout, stderr, code := executeWith(t, "/", []byte(text), "/usr/bin/python3", "-c", verifyScript, host, port)
	if code != 0 || strings.TrimSpace(stdout) != "2 [True, True]" {
		t.Errorf("signatures: exit %d, %s%s\n%s", code, stdout, stderr, text)
	}
}

func checkDelivered(t *testing.T, d *desk) {
	t.Helper()
	eventually(t, 10*time.Second, "delivery", func() error {
		th := d.thread("support#1")
		last := th.Comments[len(th.Comments)-1]
		if len(last.Deliveries) != 2 {
			return fmt.Errorf("deliveries = %+v", last.Deliveries)
		}
		for _, o := range last.Deliveries {
			if n := len(o.Attempts); o.State != ticketing.DeliveryDelivered || n != 1 || o.Attempts[0].Code != 250 || o.Attempts[0].TLS == "" {
				return fmt.Errorf("delivery = %+v", o)
			}
		}
		return nil
	})
}

func checkFollowUp(t *testing.T, d *desk) {
	t.Helper()
	if n := len(decode[api.Ticket](d, "ticket", "list")); n != 1 {
		t.Errorf("%d tickets", n)
	}
	th := d.thread("support#1")
	last := th.Comments[len(th.Comments)-1]
	if last.Body != "The water helped." || last.FromAgent || !last.Verified || last.Author != "ann@customer.test" || last.MessageID != "road.2@customer.test" {
		t.Errorf("last of %d comments = %+v", len(th.Comments), last)
	}
}
