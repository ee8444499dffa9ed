package web_test

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mxdesk/mxdesk/server/web"
)

// link makes a sign-in link and returns its path.
func (w *world) link() string {
	w.t.Helper()
	link, err := w.login.Link(w.t.Context(), "mika@corp.test")
	if err != nil {
		w.t.Fatal(err)
	}
	return strings.TrimPrefix(link, "https://desk.test")
}

func TestSignInLink(t *testing.T) {
	w := newWorld(t, web.Options{Secure: true})
	path := w.link()
	for range 3 { // looking at it spends nothing
		form := w.get(path).one(t, "form")
		if form.attr("method") != "post" || form.attr("action") != "" {
			t.Fatalf("form posts to %q by %q", form.attr("action"), form.attr("method"))
		}
		w.do(http.MethodHead, path)
	}
	res := w.do(http.MethodPost, path)
	if res.Code != http.StatusSeeOther || res.Header().Get("Location") != "/tickets" {
		t.Fatalf("POST: %d to %q", res.Code, res.Header().Get("Location"))
	}
	contains(t, w.get("/tickets").one(t, "form.me"), "Mika Saari")
	if res := w.do(http.MethodPost, path); res.Code != http.StatusForbidden {
		t.Errorf("second POST: %d, want 403", res.Code)
	}
}

func TestSignInLinkEnds(t *testing.T) {
	w := newWorld(t, web.Options{})
	path := w.link()
	w.now = w.now.Add(time.Hour)
	res := w.do(http.MethodPost, path)
	if res.Code != http.StatusForbidden || len(w.cookies) != 0 {
		t.Fatalf("POST after an hour: %d, cookies %v", res.Code, w.cookies)
	}
	contains(t, parse(t, res), "older than an hour", "Sign in")
}

func TestCookie(t *testing.T) {
	for _, secure := range []bool{true, false} {
		w := newWorld(t, web.Options{Secure: secure})
		w.signIn()
		if len(w.cookies) != 1 {
			t.Fatalf("cookies: %v", w.cookies)
		}
		c := w.cookies[0]
		if !c.HttpOnly || c.SameSite != http.SameSiteLaxMode || c.Secure != secure || c.Path != "/" || c.MaxAge != 30*24*60*60 {
			t.Errorf("secure %v: cookie %+v", secure, c)
		}
		if strings.HasPrefix(c.Name, "__Host-") != secure {
			t.Errorf("secure %v: cookie is called %s", secure, c.Name)
		}
	}
}

var private = []string{
	"/tickets", "/tickets?state=open", "/tickets/support/1", "/tickets/support/1/comments/1/original",
	"/tickets/support/1/comments/1/attachments/1", "/held", "/journal", "/journal?q=ann@customer.test",
}

func TestStrangersSeeNothing(t *testing.T) {
	w := newWorld(t, web.Options{})
	w.receive(plain("Printer on fire", "secret words"))
	stale := &http.Cookie{Name: "mxdesk", Value: "AAAAAAAAAAAAAAAAAAAAAAAAAA"}
	for _, cookies := range [][]*http.Cookie{nil, {stale}} {
		w.cookies = cookies
		for _, path := range private {
			res := w.do(http.MethodGet, path)
			if res.Code != http.StatusSeeOther || res.Header().Get("Location") != "/sign-in" {
				t.Errorf("GET %s: %d to %q, want 303 to /sign-in", path, res.Code, res.Header().Get("Location"))
			}
			if strings.Contains(res.Body.String(), "secret") || strings.Contains(res.Body.String(), "Printer") {
				t.Errorf("GET %s shows the ticket", path)
			}
		}
	}
}

// The page of an error leads to where somebody can go from there.
func TestErrorsLeadOn(t *testing.T) {
	w := newWorld(t, web.Options{})
	leads := func(path, to, not string) {
		t.Helper()
		res := w.do(http.MethodGet, path)
		if b := res.Body.String(); res.Code != http.StatusNotFound || !strings.Contains(b, `href="`+to+`"`) || strings.Contains(b, `href="`+not+`"`) {
			t.Errorf("GET %s: %d %s", path, res.Code, b)
		}
	}
	leads("/nothing", "/sign-in", "/tickets")
	w.signIn()
	leads("/nothing", "/tickets", "/sign-in")
	leads("/tickets/support/99", "/tickets", "/sign-in")
	w.cookies = []*http.Cookie{{Name: "mxdesk", Value: "AAAAAAAAAAAAAAAAAAAAAAAAAA"}}
	leads("/nothing", "/sign-in", "/tickets")
}

func TestSignOut(t *testing.T) {
	w := newWorld(t, web.Options{})
	w.signIn()
	kept := slices.Clone(w.cookies)
	if res := w.do(http.MethodGet, "/sign-out"); res.Code != http.StatusNotFound {
		t.Errorf("GET /sign-out: %d, want 404", res.Code)
	}
	w.get("/tickets")
	if res := w.do(http.MethodPost, "/sign-out"); res.Code != http.StatusSeeOther || len(w.cookies) != 0 {
		t.Errorf("POST /sign-out: %d, cookies %v", res.Code, w.cookies)
	}
	w.cookies = kept // the session is gone, not only the cookie
	if res := w.do(http.MethodGet, "/tickets"); res.Code != http.StatusSeeOther {
		t.Errorf("after signing out: %d", res.Code)
	}
}

func TestSessionEnds(t *testing.T) {
	w := newWorld(t, web.Options{})
	w.signIn()
	w.now = w.now.Add(30*24*time.Hour - time.Second)
	w.get("/tickets")
	w.now = w.now.Add(30 * 24 * time.Hour)
	if res := w.do(http.MethodGet, "/tickets"); res.Code != http.StatusSeeOther {
		t.Errorf("after 30 days: %d", res.Code)
	}
}

func TestOtherSitesCannotPost(t *testing.T) {
	w := newWorld(t, web.Options{})
	w.signIn()
	for _, path := range []string{"/sign-out", w.link()} {
		for name, value := range map[string]string{"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.test"} {
			r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, path, nil)
			r.Header.Set(name, value)
			r.AddCookie(w.cookies[0])
			res := httptest.NewRecorder()
			w.pages.ServeHTTP(res, r)
			if res.Code != http.StatusForbidden {
				t.Errorf("POST %s with %s %s: %d, want 403", path, name, value, res.Code)
			}
		}
	}
	w.get("/tickets")
}

func TestOnlyGetAndPost(t *testing.T) {
	w := newWorld(t, web.Options{})
	w.signIn()
	for _, method := range []string{http.MethodPost, http.MethodPut, http.MethodDelete} {
		for _, path := range private {
			if res := w.do(method, path); res.Code < 400 {
				t.Errorf("%s %s: %d", method, path, res.Code)
			}
		}
	}
}

func TestSecurityHeaders(t *testing.T) {
	w := newWorld(t, web.Options{})
	w.receive(plain("Printer on fire", "text"))
	w.signIn()
	for _, path := range append([]string{"/sign-in", w.link(), "/nowhere"}, private...) {
		h := w.do(http.MethodGet, path).Header()
		csp := h.Get("Content-Security-Policy")
		if !strings.Contains(csp, "default-src 'none'") || !strings.Contains(csp, "frame-ancestors 'none'") || strings.Contains(csp, "unsafe") {
			t.Errorf("%s: Content-Security-Policy %q", path, csp)
		}
		for name, want := range map[string]string{"X-Content-Type-Options": "nosniff", "Referrer-Policy": "same-origin", "Cache-Control": "no-store"} {
			if h.Get(name) != want {
				t.Errorf("%s: %s is %q, want %q", path, name, h.Get(name), want)
			}
		}
	}
}
