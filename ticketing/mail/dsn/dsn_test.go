package dsn_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net/mail"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"golang.org/x/text/encoding/ianaindex"

	"github.com/mxdesk/mxdesk/ticketing"
	"github.com/mxdesk/mxdesk/ticketing/mail/dsn"
)

// corpus returns a folder of the test data of other projects; without that
// data the test is not run.
func corpus(t testing.TB, folder string) string {
	t.Helper()
	root := os.Getenv("CORPORA")
	if root == "" {
		root = filepath.Join("..", "..", "..", "..", "shared", "corpora")
	}
	if _, err := os.Stat(root); err != nil {
		t.Skipf("no test data at %s: set CORPORA to run this suite", root)
	}
	return filepath.Join(root, folder)
}

// parse takes a raw mail apart as far as a report needs it, and parses it.
func parse(raw []byte) []ticketing.DeliveryReport {
	if bytes.HasPrefix(raw, []byte("From ")) {
		_, raw, _ = bytes.Cut(raw, []byte("\n"))
	}
	if !bytes.Contains(raw, []byte("\n")) {
		raw = bytes.ReplaceAll(raw, []byte("\r"), []byte("\n"))
	}
	msg, err := mail.ReadMessage(bytes.NewReader(raw))
	if err != nil {
		return dsn.Parse(func(string) string { return "" }, nil, string(raw))
	}
	h := func(name string) string { return decodeHeader(msg.Header.Get(name)) }
	body, _ := io.ReadAll(msg.Body)
	parts := leaves(msg.Header.Get("Content-Type"), msg.Header.Get("Content-Transfer-Encoding"), body, 0)
	var text strings.Builder
	for _, p := range parts {
		if p.MediaType == "text/plain" {
			text.WriteString(p.Text + "\n")
		}
	}
	return dsn.Parse(h, parts, text.String())
}

func decodeHeader(value string) string {
	d := mime.WordDecoder{CharsetReader: func(charset string, in io.Reader) (io.Reader, error) {
		e, err := ianaindex.MIME.Encoding(charset)
		if err != nil || e == nil {
			return in, nil
		}
		return e.NewDecoder().Reader(in), nil
	}}
	if s, err := d.DecodeHeader(value); err == nil {
		return s
	}
	return value
}

func leaves(contentType, encoding string, body []byte, depth int) []dsn.Part {
	media, params, err := mime.ParseMediaType(contentType)
	if err != nil && media == "" {
		media = "text/plain"
		if base, _, ok := strings.Cut(strings.ToLower(contentType), ";"); ok && strings.Contains(base, "/") {
			media = strings.TrimSpace(base)
		}
	}
	if strings.HasPrefix(media, "multipart/") && params["boundary"] != "" && depth < 5 {
		var parts []dsn.Part
		r := multipart.NewReader(bytes.NewReader(body), params["boundary"])
		for {
			p, err := r.NextRawPart()
			if err != nil {
				break
			}
			data, _ := io.ReadAll(p)
			parts = append(parts, leaves(p.Header.Get("Content-Type"), p.Header.Get("Content-Transfer-Encoding"), data, depth+1)...)
		}
		if len(parts) > 0 {
			return parts
		}
		media = "text/plain"
	}
	switch strings.ToLower(strings.TrimSpace(encoding)) {
	case "base64":
		body, _ = io.ReadAll(base64.NewDecoder(base64.StdEncoding, bytes.NewReader(body)))
	case "quoted-printable":
		body, _ = io.ReadAll(quotedprintable.NewReader(bytes.NewReader(body)))
	}
	if e, err := ianaindex.MIME.Encoding(params["charset"]); err == nil && e != nil {
		if decoded, err := e.NewDecoder().Bytes(body); err == nil {
			body = decoded
		}
	}
	return []dsn.Part{{MediaType: media, Text: string(body)}}
}

type expectation struct {
	Index                 int
	Status, Reply, Reason string
	Hard                  bool
}

// TestSisimai compares with the expectations of another parser of bounces. They
// are a second opinion, so the test asks for agreement in most cases.
func TestSisimai(t *testing.T) {
	dir := corpus(t, "bounce/go-sisimai")
	data, err := os.ReadFile(filepath.Join(dir, "expected.json"))
	if err != nil {
		t.Fatal(err)
	}
	var expected struct{ Cases map[string][]expectation }
	if err := json.Unmarshal(data, &expected); err != nil {
		t.Fatal(err)
	}
	score := map[string]int{}
	files, records := 0, 0
	for name, want := range expected.Cases {
		raw, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		files++
		got := parse(raw)
		if len(want) > 0 && want[0].Reason == "vacation" {
			want = nil
		}
		if len(got) == len(want) {
			score["count"]++
		} else {
			t.Logf("%s: %d recipients, want %d: %+v", filepath.Base(name), len(got), len(want), got)
		}
		for i, w := range want {
			records++
			if i < len(got) {
				compare(t, filepath.Base(name), got[i], w, score)
			}
		}
	}
	t.Logf("recipient count %d of %d files; of %d records: status class %d, reason %d, hard %d", score["count"], files, records, score["status"], score["reason"], score["hard"])
	for key, floor := range map[string]int{"count": 274, "status": 287, "reason": 274, "hard": 282} {
		if score[key] < floor {
			t.Errorf("agreement on %s: %d, want at least %d", key, score[key], floor)
		}
	}
}

func compare(t *testing.T, name string, got ticketing.DeliveryReport, w expectation, score map[string]int) {
	pseudo := strings.Contains(w.Status, ".0.9") || w.Status == ""
	switch {
	case got.Status != "" && w.Status != "" && got.Status[0] == w.Status[0], got.Status == "" && pseudo:
		score["status"]++
	default:
		t.Logf("%s: status %q, want %q", name, got.Status, w.Status)
	}
	if got.Hard == w.Hard {
		score["hard"]++
	}
	if got.Reason == w.Reason {
		score["reason"]++
		return
	}
	t.Logf("%s: reason %s, want %s (hard %v, %v; %s %s, want %s %s): %s", name, got.Reason, w.Reason, got.Hard, w.Hard, got.Status, got.ReplyCode, w.Status, w.Reply, got.Diagnostic)
}

func TestEnmime(t *testing.T) {
	dir := corpus(t, "bounce/enmime-dsn")
	passed := 0
	reports := map[string][]string{
		"simple_dsn.raw":                     {"louisl@larry.slip.umd.edu failed 4.0.0 426 expired soft"},
		"simple_dsn_with_html.raw":           {"louisl@larry.slip.umd.edu failed 4.0.0 426 expired soft"},
		"delayed_dsn.raw":                    {"thomas@de-montfort.ac.uk delayed 4.0.0  expired soft"},
		"dsn_with_multipart_alternative.raw": {"non-existing@example.com failed 5.1.10 550 userunknown hard"},
		"multi_recipient_dsn.raw": {
			"arathib@vnet.ibm.com failed 5.0.0 550 onhold soft",
			"johnh@hpnjld.njd.hp.com delayed 4.0.0  networkerror soft",
			"wsnell@sdcc13.ucsd.edu failed 5.0.0 550 filtered soft",
		},
	}
	for name, want := range reports {
		raw, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if got := summaries(parse(raw)); !slices.Equal(got, want) {
			t.Errorf("%s:\n got %q\nwant %q", name, got, want)
			continue
		}
		passed++
	}
	t.Attr("conformance", fmt.Sprintf("bounce/enmime-dsn | delivery reports | %d/%d", passed, len(reports)))
}

func summaries(reports []ticketing.DeliveryReport) []string {
	var lines []string
	for _, r := range reports {
		kind := "soft"
		if r.Hard {
			kind = "hard"
		}
		lines = append(lines, strings.Join([]string{r.Recipient, r.Action, r.Status, r.ReplyCode, r.Reason, kind}, " "))
	}
	return lines
}

// mailFrom makes a mail of a bounce's text.
func mailFrom(from, subject, text string) []byte {
	return []byte("From: " + from + "\nSubject: " + subject + "\n\n" + text)
}

const daemon = "Mail Delivery System <MAILER-DAEMON@example.net>"

func TestPrivateFormats(t *testing.T) {
	tests := []struct {
		name string
		raw  []byte
		want []string
		id   string
	}{
		{"qmail", mailFrom(daemon, "failure notice", "Hi. This is the qmail-send program at example.net.\nI'm afraid I wasn't able to deliver your message to the following addresses.\n\n<ann@example.org>:\n192.0.2.1 does not like recipient.\nRemote host said: 550 5.1.1 no such user\nGiving up on 192.0.2.1.\n\n--- Below this line is a copy of the message.\n\nReturn-Path: <desk@example.net>\nMessage-ID: <m1@example.net>\nFrom: desk@example.net\n\nx"),
			[]string{"ann@example.org failed 5.1.1 550 userunknown hard"}, "m1@example.net"},
		{"exim, two", mailFrom(daemon, "Mail delivery failed: returning message to sender", "A message that you sent could not be delivered to one or more of its\nrecipients. This is a permanent error.\n\n  ann@example.org\n    host mx.example.org [192.0.2.1] SMTP error from remote mail server after RCPT TO:<ann@example.org>:\n    550 5.1.1 unknown\n  bob@example.com\n    retry time not reached for any host after a long failure period\n"),
			[]string{"ann@example.org failed 5.1.1 550 userunknown hard", "bob@example.com failed   expired soft"}, ""},
		{"postfix, plain", mailFrom(daemon, "Undelivered Mail Returned to Sender", "This is the mail system at host example.net.\n\n<ann@example.org>: host mx.example.org[192.0.2.1] said: 552 5.2.2 mailbox\n    full (in reply to end of DATA command)\n"),
			[]string{"ann@example.org failed 5.2.2 552 mailboxfull soft"}, ""},
		{"x-failed-recipients", []byte("From: someone@example.net\nX-Failed-Recipients: ann@example.org, bob@example.org\nSubject: x\n\nsorry\n"),
			[]string{"ann@example.org failed   undefined soft", "bob@example.org failed   undefined soft"}, ""},
		{"status fields in the text", mailFrom(daemon, "Returned mail", "Sorry.\n\nReporting-MTA: dns; example.net\n\nFinal-Recipient: rfc822; ann@example.org\nAction: failed\nStatus: 5.1.2\n"),
			[]string{"ann@example.org failed 5.1.2  hostunknown hard"}, ""},
		{"delay", mailFrom(daemon, "Warning: message delayed 24 hours", "The message has not been delivered yet. Delivery attempts will continue to be made.\n\n  ann@example.org\n    Delay reason: connection timed out\n"),
			[]string{"ann@example.org delayed   expired soft"}, ""},
		{"amazon", mailFrom("no-reply@sns.amazonaws.com", "Notification", `{"notificationType":"Bounce","bounce":{"bouncedRecipients":[{"emailAddress":"ann@example.org","action":"failed","status":"5.1.1","diagnosticCode":"smtp; 550 5.1.1 user unknown"}]}}`),
			[]string{"ann@example.org failed 5.1.1 550 userunknown hard"}, ""},
		{"absent person", mailFrom("Ann <ann@example.org>", "Automatic reply: Lamp", "I am away. Write to bob@example.org: he can help.\n"), nil, ""},
		{"person asks about a bounce", mailFrom("Ann <ann@example.org>", "Fwd: Undelivered Mail Returned to Sender", "<bob@example.org>: 550 5.1.1 user unknown\n"), nil, ""},
		{"person", mailFrom("Ann <ann@example.org>", "Lamp", "bob@example.org: he said 550"), nil, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := parse(tt.raw)
			if !slices.Equal(summaries(got), tt.want) {
				t.Errorf("got %q\nwant %q", summaries(got), tt.want)
			}
			if len(got) > 0 && got[0].MessageID != tt.id {
				t.Errorf("message id %q, want %q", got[0].MessageID, tt.id)
			}
		})
	}
}

func TestStandardReports(t *testing.T) {
	none := func(string) string { return "" }
	original := dsn.Part{MediaType: "message/rfc822", Text: "Message-ID:\r\n <m1@example.net>\r\nTo: ann@example.org\r\n\r\nbody"}
	tests := []struct {
		name  string
		parts []dsn.Part
		want  []string
	}{
		{"rfc 3464", []dsn.Part{{MediaType: "message/delivery-status", Text: "Reporting-MTA: dns; a\r\n\r\nOriginal-Recipient: rfc822;ann@example.org\r\nFinal-Recipient: rfc822;x@y.example\r\nAction: failed\r\nStatus: 5.2.2\r\nDiagnostic-Code: smtp; 552 5.2.2\r\n mailbox full\r\n"}},
			[]string{"ann@example.org failed 5.2.2 552 mailboxfull soft"}},
		{"rfc 6533", []dsn.Part{{MediaType: "message/global-delivery-status", Text: "Reporting-MTA: dns; a\n\nFinal-Recipient: utf-8; an\\x{4E}\\x{E4}@example.org\nAction: failed\nStatus: 5.1.1\n"}},
			[]string{"anNä@example.org failed 5.1.1  userunknown hard"}},
		{"success", []dsn.Part{{MediaType: "message/delivery-status", Text: "\nFinal-Recipient: rfc822;ann@example.org\nAction: relayed\nStatus: 2.0.0\n"}},
			[]string{"ann@example.org relayed 2.0.0  delivered soft"}},
		{"no blank line between recipients", []dsn.Part{{MediaType: "message/delivery-status", Text: "Final-Recipient: rfc822;a@example.org\nAction: failed\nStatus: 5.1.1\nFinal-Recipient: rfc822;b@example.org\nAction: delayed\nStatus: 4.4.1\n"}},
			[]string{"a@example.org failed 5.1.1  userunknown hard", "b@example.org delayed 4.4.1  expired soft"}},
		{"rfc 5965", []dsn.Part{{MediaType: "message/feedback-report", Text: "Feedback-Type: abuse\nVersion: 1\nOriginal-Mail-From: <desk@example.net>\n"}},
			[]string{"ann@example.org complaint   feedback soft"}},
		{"no recipient", []dsn.Part{{MediaType: "message/delivery-status", Text: "Reporting-MTA: dns; a\n\nAction: failed\n"}}, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := dsn.Parse(none, append(tt.parts, original), "")
			if !slices.Equal(summaries(got), tt.want) {
				t.Errorf("got %q\nwant %q", summaries(got), tt.want)
			}
			for _, r := range got {
				if r.MessageID != "m1@example.net" {
					t.Errorf("message id %q", r.MessageID)
				}
			}
		})
	}
}

func TestReason(t *testing.T) {
	for _, tt := range []struct {
		status, code, text, reason string
		hard                       bool
	}{
		{"5.1.1", "550", "User unknown", "userunknown", true},
		{"", "550", "No such user here", "userunknown", true},
		{"4.1.1", "450", "User unknown", "userunknown", false},
		{"5.2.2", "552", "", "mailboxfull", false},
		{"5.7.1", "554", "Service unavailable; Client host [192.0.2.1] blocked using zen.spamhaus.org", "blocked", false},
		{"5.7.26", "550", "This mail is unauthenticated", "authfailure", false},
		{"", "556", "", "notaccept", true},
		{"5.4.1", "550", "Recipient address rejected: Access denied", "userunknown", true},
		{"5.1.6", "551", "gone", "hasmoved", true},
		{"4.4.4", "", "no route", "networkerror", false},
		{"", "", "", "undefined", false},
		{"", "", "something else", "onhold", false},
		{"2.0.0", "250", "ok", "delivered", false},
	} {
		if reason, hard := dsn.Reason(tt.status, tt.code, tt.text); reason != tt.reason || hard != tt.hard {
			t.Errorf("Reason(%q, %q, %q) = %s, %v, want %s, %v", tt.status, tt.code, tt.text, reason, hard, tt.reason, tt.hard)
		}
	}
}

// TestManyRecipients shows that a hostile report is cut.
func TestManyRecipients(t *testing.T) {
	var text strings.Builder
	for i := range 20_000 {
		text.WriteString("Final-Recipient: rfc822;u" + strconv.Itoa(i) + "@example.org\nAction: failed\n\n")
	}
	got := dsn.Parse(func(string) string { return "" }, []dsn.Part{{MediaType: "message/delivery-status", Text: text.String()}}, "")
	if len(got) == 0 || len(got) > 500 {
		t.Errorf("%d reports, want some and at most 500", len(got))
	}
}

// TestRepeatedAddresses keeps the cost of hostile text in bounds.
func TestRepeatedAddresses(t *testing.T) {
	text := strings.Repeat("a@example.org b@example.org c@example.org\n", 30) + strings.Repeat("x@example.org\n", 5000)
	for i := range 400 {
		text = "u" + strconv.Itoa(i) + "@example.org: x@example.org\n" + text
	}
	if got := parse(mailFrom(daemon, "failure notice", text)); len(got) == 0 {
		t.Error("no reports")
	}
}

func FuzzParse(f *testing.F) {
	f.Add("message/delivery-status", "Final-Recipient: rfc822;a@b.example\nAction: failed\nStatus: 5.1.1\n", daemon, "Undelivered")
	f.Add("message/feedback-report", "Feedback-Type: abuse\n", daemon, "x")
	f.Add("text/plain", "<a@b.example>: 550 user unknown\n\n--- Original message follows.\n\nTo: x\n", daemon, "failure notice")
	f.Add("text/plain", `{"notificationType":"Bounce"}`, daemon, "")
	f.Fuzz(func(t *testing.T, media, text, from, subject string) {
		h := func(name string) string {
			return map[string]string{"From": from, "Subject": subject, "X-Failed-Recipients": subject}[name]
		}
		for _, r := range dsn.Parse(h, []dsn.Part{{MediaType: media, Text: text}, {MediaType: "text/rfc822-headers", Text: text}}, text) {
			if !utf8.ValidString(r.Diagnostic+r.Recipient) || strings.ContainsAny(r.Diagnostic+r.Recipient+r.MessageID, "\r\n\x00") {
				t.Errorf("unclean report %+v", r)
			}
			if r.Action == "" || r.Reason == "" {
				t.Errorf("incomplete report %+v", r)
			}
			if r.Hard && !slices.Contains([]string{"userunknown", "hostunknown", "hasmoved", "notaccept"}, r.Reason) {
				t.Errorf("hard for %s", r.Reason)
			}
		}
	})
}
