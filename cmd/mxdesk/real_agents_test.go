package main

import (
	"net/http"
	"net/http/cookiejar"
	"strings"
	"testing"
)

// browser signs in with a link and returns a client that has the cookie.
func (d *desk) browser(link string) *http.Client {
	d.t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		d.t.Fatal(err)
	}
	c := &http.Client{Jar: jar}
	resp, err := c.Post(link, "application/x-www-form-urlencoded", http.NoBody)
	if err != nil {
		d.t.Fatal(err)
	}
	resp.Body.Close()
	return c
}

// signedIn tells whether a client sees the tickets.
func (d *desk) signedIn(c *http.Client) bool {
	d.t.Helper()
	resp, err := c.Get("http://" + d.HTTP + "/tickets")
	if err != nil {
		d.t.Fatal(err)
	}
	resp.Body.Close()
	return resp.StatusCode == http.StatusOK && resp.Request.URL.Path == "/tickets"
}

// A stolen cookie ends with sign-out, and whoever leaves the desk is out at
// once: with every cookie, every link, and by command.
func TestRealAgentsGo(t *testing.T) {
	d := newDesk(t, needs(t), "")
	d.start()
	link := func() string { return strings.TrimSpace(d.do("agent", "link", "noa@corp.test")) }
	d.do("agent", "add", "noa@corp.test", "--name", "Noa")
	laptop, stolen, unused := d.browser(link()), d.browser(link()), link()
	admin := d.browser(strings.TrimSpace(d.do("agent", "link")))
	if !d.signedIn(laptop) || !d.signedIn(stolen) || !d.signedIn(admin) {
		t.Fatal("nobody is signed in")
	}
	if out := d.do("agent", "sign-out", "noa@corp.test"); out != "noa@corp.test is signed out: 2 sessions ended, 1 sign-in link void\n" {
		t.Errorf("sign-out: %q", out)
	}
	if d.signedIn(laptop) || d.signedIn(stolen) || d.signedIn(d.browser(unused)) || !d.signedIn(admin) {
		t.Error("sign-out left somebody in, or put the wrong one out")
	}
	back, unused := d.browser(link()), link()
	if !d.signedIn(back) {
		t.Error("nobody can sign in again")
	}
	if out := d.do("agent", "remove", "noa@corp.test"); out != "agent noa@corp.test removed: 1 session ended, 1 sign-in link void\n" {
		t.Errorf("remove: %q", out)
	}
	d.do("agent", "add", "noa@corp.test") // somebody new, who inherits nothing
	if d.signedIn(back) || d.signedIn(d.browser(unused)) || !d.signedIn(admin) || !d.signedIn(d.browser(link())) {
		t.Error("a session or link outlived the agent, or the new one cannot sign in")
	}
	if _, stderr, code := d.try("agent", "remove", "admin@desk.test"); code != exitRefused || !strings.Contains(stderr, "make another one first") {
		t.Errorf("the only admin is removed: exit %d, %s", code, stderr)
	}
	if stdout, stderr, code := d.try("store", "verify"); code != 0 {
		t.Errorf("store verify: exit %d: %s%s", code, stdout, stderr)
	}
}
