package queue

import (
	"context"
	"errors"
	"net/mail"
	"strings"
	"testing"
	"time"

	"github.com/mxdesk/mxdesk/ticketing"
)

type signFunc func(domain string, raw []byte) ([]byte, error)

func (f signFunc) Sign(_ context.Context, domain string, raw []byte) ([]byte, error) {
	return f(domain, raw)
}

func sample() ticketing.Outgoing {
	return ticketing.Outgoing{
		ID: "1", Kind: ticketing.OutgoingNote,
		From:      ticketing.Person{Name: "Ann Agent", Address: "printers@desk.test"},
		Recipient: ticketing.Person{Name: "Jörg", Address: "joerg@customer.test"},
		ReplyTo:   ticketing.Person{Address: "desk+token@desk.test"},
		Envelope:  "b+token@desk.test", Unsubscribe: "u+token@desk.test",
		Subject: "Re: Drücker", MessageID: "2@desk.test", InReplyTo: "1@customer.test",
		References: []string{"1@customer.test"},
		Text:       "Hello **Jörg**,\n\n.a line with a dot\n",
		CreatedAt:  time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC),
	}
}

func TestRender(t *testing.T) {
	r := NewRenderer(signFunc(func(domain string, raw []byte) ([]byte, error) {
		return append([]byte("DKIM-Signature: d="+domain+"\r\n"), raw...), nil
	}))
	raw, err := r.Render(t.Context(), sample())
	if err != nil {
		t.Fatal(err)
	}
	if f := checkBody(raw); f != nil {
		t.Errorf("may not leave: %s", f.text)
	}
	if _, any8 := is8bit(raw); any8 {
		t.Error("holds octets beyond ASCII")
	}
	m, err := mail.ReadMessage(strings.NewReader(string(raw)))
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"DKIM-Signature": "d=desk.test", "Message-Id": "<2@desk.test>", "In-Reply-To": "<1@customer.test>",
		"References": "<1@customer.test>", "List-Unsubscribe": "<mailto:u+token@desk.test>",
		"Auto-Submitted": "", "Bcc": "", "Return-Path": "",
	} {
		if got := m.Header.Get(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	if d, err := m.Header.Date(); err != nil || !d.Equal(sample().CreatedAt) {
		t.Errorf("date %v, %v", d, err)
	}
	if again, _ := r.Render(t.Context(), sample()); string(again) != string(raw) {
		t.Error("rendering again gives other bytes")
	}
	if strings.Contains(string(raw), "b+token") {
		t.Error("the envelope sender shows in the mail")
	}
}

func TestRenderAutomatic(t *testing.T) {
	for kind, want := range map[ticketing.OutgoingKind]string{
		ticketing.OutgoingThankYou: "auto-replied", ticketing.OutgoingNewParticipant: "auto-generated",
		ticketing.OutgoingNote: "", ticketing.OutgoingRelay: "",
	} {
		o := sample()
		o.Kind = kind
		raw, err := NewRenderer(nil).Render(t.Context(), o)
		if err != nil {
			t.Fatal(err)
		}
		m, err := mail.ReadMessage(strings.NewReader(string(raw)))
		if err != nil || m.Header.Get("Auto-Submitted") != want {
			t.Errorf("%s: %q, %v, want %q", kind, m.Header.Get("Auto-Submitted"), err, want)
		}
	}
}

func TestRenderRefuses(t *testing.T) {
	for name, change := range map[string]func(*ticketing.Outgoing){
		"no sender":          func(o *ticketing.Outgoing) { o.From.Address = "" },
		"bad sender":         func(o *ticketing.Outgoing) { o.From.Address = "a\r\nb@desk.test" },
		"subject with break": func(o *ticketing.Outgoing) { o.Subject = "a\r\nBcc: x@y" },
		"name with break":    func(o *ticketing.Outgoing) { o.Recipient.Name = "a\nBcc: x@y" },
		"no message id":      func(o *ticketing.Outgoing) { o.MessageID = "" },
	} {
		o := sample()
		change(&o)
		if raw, err := NewRenderer(nil).Render(t.Context(), o); ticketing.KindOf(err) != ticketing.KindInvalid {
			t.Errorf("%s: %q, %v", name, raw, err)
		}
	}
	broken := signFunc(func(string, []byte) ([]byte, error) { return nil, errors.New("no key") })
	if _, err := NewRenderer(broken).Render(t.Context(), sample()); err == nil || ticketing.KindOf(err) == ticketing.KindInvalid {
		t.Errorf("a mail that cannot be signed now: %v, want an error that passes", err)
	}
}

func TestParticipantsWordsAreNoMarkdown(t *testing.T) {
	o := sample()
	o.Kind, o.Text = ticketing.OutgoingRelay, "<b>2 * 3 * 4</b> ![x](https://tracker.test/p.gif)"
	raw, err := NewRenderer(nil).Render(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	m, err := mail.ReadMessage(strings.NewReader(string(raw)))
	if err != nil {
		t.Fatal(err)
	}
	if ct := m.Header.Get("Content-Type"); !strings.HasPrefix(ct, "text/plain") {
		t.Errorf("content type %q, want plain text only", ct)
	}
}
