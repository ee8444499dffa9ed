package web

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mxdesk/mxdesk/ticketing"
)

// TestEveryPageRenders executes every template with its own empty page, which
// finds fields that are not there and templates that no page uses.
func TestEveryPageRenders(t *testing.T) {
	pages := []page{signInPage{}, signInHelpPage{}, errorPage{}, ticketsPage{}, ticketPage{}, heldPage{}, journalPage{}}
	v := parseViews()
	if len(v) != len(pages) {
		t.Errorf("%d templates for %d pages", len(v), len(pages))
	}
	for _, p := range pages {
		var b bytes.Buffer
		if err := v[p.view()].ExecuteTemplate(&b, "layout", p); err != nil {
			t.Errorf("%T: %v", p, err)
		}
	}
	for _, p := range []page{
		ticketsPage{List: fullList()},
		ticketPage{frame: frame{Me: &person{}, Capture: true, Rail: rail{[]railGroup{{Links: []railLink{{}}}}}}, List: fullList(), Earlier: "/", Newest: "/",
			Comments: []comment{{Look: "system"}, {Label: "x", You: true, To: "x", Shield: &shield{Lines: []check{{Technical: "x"}}}, Text: []run{{}, {URL: "http://x.test"}}, Quoted: []run{{}}, Cut: true,
				Forwarded: "x", Machine: "x", Warnings: []string{"x"}, Files: []file{{}}, Original: "/", Journal: "/",
				Deliveries: &deliveries{Summary: []look{{}}, Detail: "x", Copies: []copyView{{Why: "x", Next: &stamp{}, Attempts: []attempt{{}}}}}}},
			Side: side{Participants: []participant{{Note: "x"}}, Assignee: &person{}, Labels: []string{"x"}, Address: "x", Answered: &stamp{}}},
		heldPage{Mails: []heldMail{{Project: "x", Shield: &shield{}}}, More: true},
		journalPage{Rows: []transaction{{URL: "/", Facts: []fact{{}}, Checks: []check{{}}}}, More: true},
		errorPage{What: "x"},
	} {
		if err := v[p.view()].ExecuteTemplate(new(bytes.Buffer), "layout", p); err != nil {
			t.Errorf("full %T: %v", p, err)
		}
	}
}

func fullList() list {
	return list{Title: "x", Project: "x", Newer: "/", Older: "/", Last: true, Rows: []row{{Labels: []string{"x"}, Assignee: &person{}, Current: true}}}
}

// TestEveryIconIsDrawn compares the names that are used with those in the
// sprite.
func TestEveryIconIsDrawn(t *testing.T) {
	var all strings.Builder
	for _, dir := range []string{"templates", "templates/pages", "."} {
		files, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			if strings.HasSuffix(f.Name(), ".html") || strings.HasSuffix(f.Name(), ".go") && !strings.HasSuffix(f.Name(), "_test.go") {
				b, err := os.ReadFile(dir + "/" + f.Name())
				if err != nil {
					t.Fatal(err)
				}
				all.Write(b)
			}
		}
	}
	drawn := map[string]bool{}
	for _, m := range regexp.MustCompile(`id="i-([a-z-]+)"`).FindAllStringSubmatch(all.String(), -1) {
		drawn[m[1]] = true
	}
	used := regexp.MustCompile(`template "icon" "([a-z-]+)"|look\{"[a-z]+", "([a-z-]+)"|railLink\{"[^"]+", "([a-z-]+)"|state\{"([a-z-]+)"`).FindAllStringSubmatch(all.String(), -1)
	for _, m := range used {
		name := strings.Join(m[1:], "")
		if !drawn[name] {
			t.Errorf("icon %s is not in the sprite", name)
		}
	}
	if len(used) < 20 {
		t.Errorf("only %d uses found", len(used))
	}
}

// TestStylesUseTokens keeps sizes and colours in tokens.css.
func TestStylesUseTokens(t *testing.T) {
	css, err := assetFiles.ReadFile("assets/app.css")
	if err != nil {
		t.Fatal(err)
	}
	tokens, err := assetFiles.ReadFile("assets/tokens.css")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range regexp.MustCompile(`var\((--[a-z0-9-]+)\)`).FindAllSubmatch(append(slices.Clone(css), tokens...), -1) {
		if !bytes.Contains(tokens, append(m[1], ':')) {
			t.Errorf("%s is no token", m[1])
		}
	}
	if m := regexp.MustCompile(`#[0-9a-f]{3,8}\b|oklch|rgb|: ?\d+(\.\d+)?rem`).FindAll(css, -1); len(m) > 0 {
		t.Errorf("not from the tokens: %q", m)
	}
}

func TestAssets(t *testing.T) {
	s := &site{assets: loadAssets(), views: parseViews()}
	for file, want := range map[string]string{"app.css": "text/css; charset=utf-8", "tokens.css": "text/css; charset=utf-8", "app.js": "text/javascript; charset=utf-8", "icon.svg": "image/svg+xml"} {
		u := s.assets.url(file)
		if !regexp.MustCompile(`^/assets/[a-z]+-[0-9a-f]{12}\.[a-z]+$`).MatchString(u) {
			t.Errorf("%s is at %q", file, u)
		}
		res := httptest.NewRecorder()
		s.routes().ServeHTTP(res, httptest.NewRequest(http.MethodGet, u, nil))
		content, err := assetFiles.ReadFile("assets/" + file)
		if err != nil {
			t.Fatal(err)
		}
		h := res.Header()
		if res.Code != 200 || h.Get("Content-Type") != want || h.Get("Cache-Control") != "public, max-age=31536000, immutable" || !bytes.Equal(res.Body.Bytes(), content) {
			t.Errorf("%s: %d %v", file, res.Code, h)
		}
	}
}

func TestWindowCountsCopies(t *testing.T) {
	entries := make([]ticketing.Entry, 10)
	for i := range entries {
		entries[i].ID = uint64(i + 1)
		entries[i].Deliveries = slices.Repeat([]*ticketing.Outgoing{{Attempts: make([]ticketing.Attempt, ticketing.MaxAttempts)}}, ticketing.MaxParticipants)
	}
	if w := window(entries, 0); len(w) != 1 || w[0].ID != 10 {
		t.Errorf("%d entries", len(w))
	}
	if w := window(entries, 1); len(w) != 0 {
		t.Errorf("%d entries before the first", len(w))
	}
	if w := window(nil, 0); len(w) != 0 {
		t.Errorf("%d entries of nothing", len(w))
	}
}

// brokenLogin fails as a store does.
type brokenLogin struct{}

func (brokenLogin) Redeem(context.Context, string) (string, ticketing.Agent, error) {
	return "", ticketing.Agent{}, errors.New("secret detail")
}
func (brokenLogin) Session(context.Context, string) (*ticketing.Agent, error) {
	return nil, errors.New("secret detail")
}
func (brokenLogin) End(context.Context, string) error { return errors.New("secret detail") }

func TestErrorsLeakNothing(t *testing.T) {
	h := New(nil, brokenLogin{}, Options{})
	for path, method := range map[string]string{"/tickets": "GET", "/sign-in/x": "POST", "/sign-out": "POST"} {
		res := httptest.NewRecorder()
		h.ServeHTTP(res, httptest.NewRequest(method, path, nil))
		if res.Code != http.StatusInternalServerError || strings.Contains(res.Body.String(), "secret") || !strings.Contains(res.Body.String(), "internal-error") {
			t.Errorf("%s %s: %d %s", method, path, res.Code, res.Body)
		}
	}
}

func TestProblems(t *testing.T) {
	for kind, want := range map[ticketing.Kind]int{
		ticketing.KindInternal: 500, ticketing.KindUnavailable: 503, ticketing.KindInvalid: 422, ticketing.KindNotFound: 404,
		ticketing.KindConflict: 409, ticketing.KindDenied: 403, ticketing.KindTooLarge: 413,
	} {
		if p := problemOf(kind); p.status != want || p.title == "" || p.do == "" {
			t.Errorf("kind %d: %+v", kind, p)
		}
	}
}

func TestJournalNamesTheReleasedMail(t *testing.T) {
	row := incoming(&ticketing.JournalEntry{ID: "t8", Ticket: "support#1", Held: "t7.1"}, time.Unix(0, 0))
	if !slices.Contains(row.Facts, fact{"Released held mail", "t7.1"}) || row.URL == "" {
		t.Errorf("row = %+v", row)
	}
}

func TestRelative(t *testing.T) {
	now := time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)
	for ago, want := range map[time.Duration]string{
		-time.Hour: "now", 0: "now", 59 * time.Second: "now", time.Minute: "1 min", 59 * time.Minute: "59 min", time.Hour: "1 h",
		23 * time.Hour: "23 h", 24 * time.Hour: "1 d", 6 * 24 * time.Hour: "6 d", 7 * 24 * time.Hour: "1 w", 55 * 24 * time.Hour: "7 w", 56 * 24 * time.Hour: "27 Sep 2026",
	} {
		if got := relative(now.Add(-ago), now).Short; got != want {
			t.Errorf("%v ago: %q, want %q", ago, got, want)
		}
	}
	if got := absolute(now.AddDate(-1, 0, 0), now).Short; got != "Sat 22 Nov 2025, 10:00 UTC" {
		t.Errorf("last year: %q", got)
	}
}

func TestWords(t *testing.T) {
	for n, want := range map[int64]string{0: "0 B", 999: "999 B", 1000: "1 KB", 240_300: "240 KB", 2_400_000: "2.4 MB"} {
		if got := size(n); got != want {
			t.Errorf("size(%d) = %q, want %q", n, got, want)
		}
	}
	for name, want := range map[string]string{"Ann Customer": "AC", "ann@customer.test": "A", "Dr. Maximiliane von Hohenstein": "DH", "山田 太郎": "山太", "": "?", "<\"'>": "?", "ann": "A"} {
		if got := initials(name); got != want {
			t.Errorf("initials(%q) = %q, want %q", name, got, want)
		}
	}
	for in, want := range map[ticketing.Person]person{
		{Name: "Ann", Address: "ann@x.test"}: {"Ann", "ann@x.test", "A"}, {Address: "ann@x.test"}: {"ann@x.test", "", "A"},
		{Name: "ANN@x.test", Address: "ann@x.test"}: {"ann@x.test", "", "A"}, {}: {"Unknown sender", "", "US"},
	} {
		if got := personOf(in); got != want {
			t.Errorf("personOf(%+v) = %+v, want %+v", in, got, want)
		}
	}
}

func TestLinkify(t *testing.T) {
	for text, want := range map[string]string{
		"":                                              "",
		"no link":                                       "no link",
		"see http://x.test/a.":                          "see [http://x.test/a].",
		"(http://x.test/a_(b))":                         "([http://x.test/a_(b)])",
		"<https://x.test/?a=b&c=d>":                     "<[https://x.test/?a=b&c=d]>",
		"HTTPS://X.test":                                "[HTTPS://X.test]",
		"a http://x.test, b http://y.test!":             "a [http://x.test], b [http://y.test]!",
		"javascript:alert(1) ftp://x.test":              "javascript:alert(1) ftp://x.test",
		"http://bank.test@evil.test/":                   "http://bank.test@evil.test/",
		"http://x.test/\u202egnp.exe":                   "http://x.test/\u202egnp.exe",
		"http:///x http://... xhttp://a.b":              "http:///x http://... xhttp://a.b",
		"http://x.test/" + strings.Repeat("a", maxLink): "http://x.test/" + strings.Repeat("a", maxLink),
		"http://%zz":                                    "http://%zz",
	} {
		if got := marked(linkify(text)); got != want {
			t.Errorf("linkify(%.60q) = %.60q, want %.60q", text, got, want)
		}
	}
}

// marked writes runs with links in brackets.
func marked(runs []run) string {
	var b strings.Builder
	for _, r := range runs {
		if r.URL == "" {
			b.WriteString(r.Text)
		} else {
			b.WriteString("[" + r.URL + "]")
		}
	}
	return b.String()
}

func FuzzLinkify(f *testing.F) {
	for _, s := range []string{"see http://x.test/a.", "(http://x.test/a_(b))", "http://...", "https://\xff", "http://a@b", strings.Repeat("http://(", 100)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var b strings.Builder
		for _, r := range linkify(text) {
			b.WriteString(r.Text)
			if r.URL != "" && (r.URL != r.Text || !strings.HasPrefix(strings.ToLower(r.URL), "http")) {
				t.Fatalf("shows %q, opens %q", r.Text, r.URL)
			}
		}
		if b.String() != text {
			t.Fatalf("%q became %q", text, b.String())
		}
	})
}

func FuzzDisposition(f *testing.F) {
	for _, s := range []string{"photo.png", "a\r\nb", `"; x=y`, "請求書.pdf", "\xff", "", "../../etc/passwd", "\u202egnp.exe"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, name string) {
		d := disposition(name)
		if !strings.HasPrefix(d, "attachment; filename") || strings.ContainsFunc(d, func(r rune) bool { return r < ' ' || r > '~' }) {
			t.Fatalf("disposition(%q) = %q", name, d)
		}
	})
}
