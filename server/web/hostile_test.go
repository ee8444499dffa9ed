package web_test

import (
	"encoding/base64"
	"mime"
	"net/http"
	"strings"
	"testing"

	"golang.org/x/net/html"

	"github.com/mxdesk/mxdesk/server/web"
	"github.com/mxdesk/mxdesk/ticketing"
)

// evil is text that would be markup, an attribute, a script or a template if
// anything let it.
const evil = `</title></textarea>"'><script>alert(1)</script><img src=x onerror=alert(1)> {{.Me}} javascript:alert(1)`

func encoded(s string) string { return mime.BEncoding.Encode("utf-8", s) }

// evilMail carries it wherever a mail can carry text.
func evilMail(extra string) string {
	return "From: " + encoded(evil) + " <ann@customer.test>\nTo: support@desk.test\nCc: " + encoded(evil) + " <\"<script>x\"@customer.test>\n" +
		"Subject: " + encoded(evil) + "\nMessage-ID: <" + `"><script>alert(1)</script>` + "@customer.test>\n" + extra +
		"MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: text/plain; charset=utf-8\n\n" + evil +
		"\nhttp://x.test/\"onmouseover=\"alert(1) https://x.test/<script> javascript://x.test/%0aalert(1) data:text/html,x http://a@evil.test/\n" +
		"\nOn Sun, Mika wrote:\n> " + evil + "\n\n--b\nContent-Type: text/html\nContent-Disposition: attachment; filename*=utf-8''" +
		strings.NewReplacer(" ", "%20", "\"", "%22", "'", "%27", "<", "%3C", ">", "%3E", "/", "%2F", "{", "%7B", "}", "%7D", "=", "%3D", "(", "%28", ")", "%29").Replace(evil) +
		"\n\n<script>alert(1)</script>\n--b--\n"
}

func evilVerdict() ticketing.Verdict {
	v := genuine("customer.test")
	v.SPF = ticketing.SPFResult{Result: evil, Domain: evil, Scope: evil, Explanation: evil, Mechanism: evil}
	v.DKIM = []ticketing.DKIMResult{{Result: evil, Domain: evil, Selector: evil, Algorithm: evil, Reason: evil}}
	v.DMARC.Domain, v.ARC = evil, ticketing.ARCResult{Result: evil, Sealers: []string{evil}, Reason: evil}
	return v
}

// assertHarmless fails for every element or attribute that is not ours.
func assertHarmless(t *testing.T, path string, doc node) {
	t.Helper()
	for _, script := range doc.all("script") {
		if !strings.HasPrefix(script.attr("src"), "/assets/app-") || script.text() != "" {
			t.Errorf("%s: script %q %q", path, script.attr("src"), script.text())
		}
	}
	for d := range doc.Descendants() {
		n := node{d}
		if d.Type != html.ElementNode {
			continue
		}
		if strings.Contains(" img iframe object embed style base svg:script textarea ", " "+d.Data+" ") {
			t.Errorf("%s: <%s> in the page", path, d.Data)
		}
		for _, a := range d.Attr {
			if strings.HasPrefix(a.Key, "on") || a.Key == "style" || a.Key == "srcdoc" {
				t.Errorf("%s: <%s %s=%q>", path, d.Data, a.Key, a.Val)
			}
		}
		for _, key := range []string{"href", "src", "action"} {
			v := n.attr(key)
			ours := v == "" || strings.HasPrefix(v, "/") && !strings.HasPrefix(v, "//") || strings.HasPrefix(v, "#")
			mails := d.Data == "a" && n.attr("rel") == "noopener noreferrer nofollow" && (strings.HasPrefix(v, "http://") || strings.HasPrefix(v, "https://"))
			if !ours && !mails {
				t.Errorf("%s: <%s %s=%q>", path, d.Data, key, v)
			}
			if mails && (n.text() != v || strings.Contains(v, "@")) {
				t.Errorf("%s: link shows %q and opens %q", path, n.text(), v)
			}
		}
	}
}

func TestHTMLInjection(t *testing.T) {
	w := newWorld(t, web.Options{})
	w.receive(incoming{from: `"<script>"@customer.test`, raw: evilMail(""), auth: evilVerdict()})
	must(w.desk.Reply(t.Context(), first, "mika@corp.test", evil))
	must(w.desk.Note(t.Context(), first, "mika@corp.test", evil))
	w.deliver(ticketing.DeliveryDeferred, ticketing.Attempt{Host: evil, TLS: evil, Enhanced: evil, Text: evil})
	held := evilVerdict()
	held.Verdict = ticketing.Decision{Action: ticketing.ActionHold, Reason: evil}
	w.receive(incoming{from: "ann@customer.test", raw: evilMail("X-Other: 1\n"), auth: held})
	w.signIn()
	query := "?q=" + "%22%3E%3Cscript%3Ealert(1)%3C/script%3E"
	for _, path := range []string{"/tickets", "/tickets/support/1", "/held", "/journal?q=ann@customer.test", "/journal" + query, "/sign-in"} {
		doc := w.get(path)
		assertHarmless(t, path, doc)
		if strings.HasPrefix(path, "/tickets") || path == "/held" {
			contains(t, doc, "<script>alert(1)</script>", "{{.Me}}")
		}
	}
	for _, path := range []string{"/tickets" + query, "/%3Cscript%3E", "/tickets?state=%3Cscript%3E", "/tickets?project=%3Cscript%3E", "/tickets/%22%3E%3Cscript%3E/1", "/sign-in/%22%3E%3Cscript%3E"} {
		assertHarmless(t, path, parse(t, w.do(http.MethodGet, path)))
	}
}

const png = "\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR"

// withAttachment is a mail with one attachment after its text.
func withAttachment(head, content string) incoming {
	in := plain("Attached", "")
	header, _, _ := strings.Cut(in.raw, "\n\n")
	in.raw = header + "\nMIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=b\n\n--b\n\ntext\n--b\n" + head +
		"\nContent-Transfer-Encoding: base64\n\n" + base64.StdEncoding.EncodeToString([]byte(content)) + "\n--b--\n"
	return in
}

func TestDownloadAttachment(t *testing.T) {
	for _, c := range []struct {
		name, head, content   string
		wantType, disposition string
	}{
		{"image", "Content-Type: image/png; name=photo.png", png, "image/png", "attachment; filename=photo.png"},
		{"lying image", "Content-Type: image/png; name=photo.png", "<script>alert(1)</script>", "application/octet-stream", "attachment; filename=photo.png"},
		{"page", "Content-Type: text/html; name=page.html", "<script>alert(1)</script>", "application/octet-stream", "attachment; filename=page.html"},
		{"drawing", "Content-Type: image/svg+xml; name=x.svg", "<svg/>", "application/octet-stream", "attachment; filename=x.svg"},
		{"other type", "Content-Type: application/x-gzip; name=x.gz", "\x1f\x8b\x08", "application/octet-stream", "attachment; filename=x.gz"},
		{"empty", "Content-Type: application/zip; name=x.zip", "", "application/octet-stream", "attachment; filename=x.zip"},
		{"quotes", `Content-Type: application/pdf; name="a\"; b=c.pdf"`, "%PDF-1.4", "application/pdf", `attachment; filename="a; b=c.pdf"`},
		{"Japanese", "Content-Type: application/pdf; name=\"" + encoded("請求書.pdf") + "\"", "%PDF-1.4", "application/pdf", "attachment; filename*=utf-8''%E8%AB%8B%E6%B1%82%E6%9B%B8.pdf"},
		{"line end", "Content-Type: application/pdf; name*=utf-8''a%0D%0ASet-Cookie%3A%20x.pdf", "%PDF-1.4", "application/pdf", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t, web.Options{})
			w.receive(withAttachment(c.head, c.content))
			w.signIn()
			links := w.get("/tickets/support/1").one(t, "ul.files").all("a")
			if len(links) != 1 {
				t.Fatalf("%d files", len(links))
			}
			res := w.do(http.MethodGet, links[0].attr("href"))
			if res.Code != http.StatusOK || res.Body.String() != c.content {
				t.Fatalf("%d %q", res.Code, res.Body)
			}
			h := res.Header()
			if h.Get("Content-Type") != c.wantType {
				t.Errorf("Content-Type %q, want %q", h.Get("Content-Type"), c.wantType)
			}
			d := h.Get("Content-Disposition")
			if c.disposition != "" && d != c.disposition || !strings.HasPrefix(d, "attachment; filename") || strings.ContainsAny(d, "\r\n") {
				t.Errorf("Content-Disposition %q, want %q", d, c.disposition)
			}
			if !strings.HasPrefix(h.Get("Content-Security-Policy"), "sandbox;") || h.Get("X-Content-Type-Options") != "nosniff" {
				t.Errorf("headers %v", h)
			}
		})
	}
}

func TestDownloadOriginal(t *testing.T) {
	w := newWorld(t, web.Options{})
	in := plain("Printer", "<script>alert(1)</script>")
	w.receive(in)
	must(w.desk.Reply(t.Context(), first, "mika@corp.test", "water"))
	w.signIn()
	res := w.do(http.MethodGet, "/tickets/support/1/comments/1/original")
	if want := strings.ReplaceAll(in.raw, "\n", "\r\n"); res.Code != http.StatusOK || res.Body.String() != want {
		t.Errorf("%d %q, want %q", res.Code, res.Body, want)
	}
	if res.Header().Get("Content-Type") != "text/plain; charset=utf-8" || res.Header().Get("Content-Disposition") != "attachment; filename=support-1-1.eml" {
		t.Errorf("headers %v", res.Header())
	}
	if res := w.do(http.MethodHead, "/tickets/support/1/comments/1/original"); res.Code != http.StatusOK || res.Body.Len() != 0 {
		t.Errorf("HEAD: %d, %d octets", res.Code, res.Body.Len())
	}
	if res := w.do(http.MethodGet, "/tickets/support/1/comments/2/original"); res.Code != http.StatusNotFound {
		t.Errorf("original of a reply: %d, want 404", res.Code)
	}
}
