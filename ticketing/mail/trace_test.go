package mail

import (
	"strings"
	"testing"
)

func TestForged(t *testing.T) {
	tests := []struct {
		field string
		want  bool
	}{
		{"Authentication-Results: desk.example; spf=pass", true},
		{"authentication-results:\r\n\tDESK.example. 1;\r\n spf=pass", true},
		{`Authentication-Results: "desk.example"; none`, true},
		{`Authentication-Results: "desk\.example"; none`, true},
		{"Authentication-Results: (x) desk.example (y); none", true},
		{"Authentication-Results: desk.example/1; none", true},
		{"Authentication-Results: desk.example", true},
		{"Authentication-Results: mx.desk.example; none", false},
		{"Authentication-Results: other.example; x=desk.example", false},
		{"ARC-Authentication-Results: i=1; desk.example; none", false},
		{"X-Mxdesk-Ticket: 1", true},
		{"x-MXDESK-anything : 1", true},
		{"X-Mxdesk: 1", false},
		{"Subject: desk.example", false},
		{"no field", false},
	}
	for _, tt := range tests {
		name, value, _ := strings.Cut(tt.field, ":")
		if got := Forged(strings.TrimSpace(name), value, "desk.example"); got != tt.want {
			t.Errorf("%q: %v", tt.field, got)
		}
	}
}

func TestForgedFieldsAreNotRead(t *testing.T) {
	const text = "From: ann@a.test\r\nX-Mxdesk-Ticket: 7\r\nAuthentication-Results: desk.test;\r\n dmarc=pass\r\n" +
		"Authentication-Results: mx.other.test; dmarc=pass\r\nSubject: x\r\n\r\nHello.\r\n"
	p := walk(strings.NewReader(text), int64(len(text)), Options{Hostname: "desk.test"})
	if p.header.has("X-Mxdesk-Ticket") {
		t.Error("a control field of others is read")
	}
	if got := p.header.all("Authentication-Results"); len(got) != 1 || !strings.HasPrefix(got[0], "mx.other.test") {
		t.Errorf("results = %q", got)
	}
	if p.header.get("Subject") != "x" || p.root.text() != "Hello.\n" {
		t.Errorf("the rest of the mail changed: %q", p.root.text())
	}
}

func FuzzAuthservID(f *testing.F) {
	f.Add(`"desk\.example" 1 (a (b)) ; spf=pass`)
	f.Add("desk.example")
	f.Add("0\u3000 0") // only ASCII white space ends a name
	f.Fuzz(func(t *testing.T, value string) {
		id := AuthservID(value)
		if strings.ContainsAny(id, " \t;/\"\\") {
			t.Errorf("%q: %q", value, id)
		}
		if id != "" && !strings.ContainsAny(id, "()") && !Forged("Authentication-Results", id+"; none", id) {
			t.Errorf("%q is not known as its own name", id)
		}
	})
}
