package login_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mxdesk/mxdesk/auth/login"
	"github.com/mxdesk/mxdesk/ticketing"
	"github.com/mxdesk/mxdesk/ticketing/store"
	"github.com/mxdesk/mxdesk/ticketing/store/memdb"
)

const url = "https://desk.test"

// world is a sign-in with the agents Mika and Ken and a clock to turn.
type world struct {
	*login.Login
	t    *testing.T
	db   *store.DB
	desk *ticketing.Desk
	now  time.Time
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, now: time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)}
	clock := func() time.Time { return w.now }
	w.db = store.Open(memdb.New(memdb.Options{}), store.Options{RunTwice: true})
	t.Cleanup(func() { w.db.Close(context.Background()) })
	w.desk = ticketing.New(w.db, ticketing.Options{Now: clock})
	if _, err := w.desk.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"mika", "ken"} {
		if _, err := w.desk.CreateAgent(t.Context(), ticketing.Agent{Email: name + "@corp.test", Name: name}); err != nil {
			t.Fatal(err)
		}
	}
	w.Login = login.New(w.db, w.desk, login.Options{Now: clock, PublicURL: url + "/"})
	return w
}

// token makes a link and returns what it ends in.
func (w *world) token(email string) string {
	w.t.Helper()
	link, err := w.Link(w.t.Context(), email)
	if err != nil {
		w.t.Fatal(err)
	}
	token, ok := strings.CutPrefix(link, url+"/sign-in/")
	if !ok {
		w.t.Fatalf("Link = %q, want it below %s/sign-in/", link, url)
	}
	return token
}

func (w *world) signIn(email string) string {
	w.t.Helper()
	session, _, err := w.Redeem(w.t.Context(), w.token(email))
	if err != nil {
		w.t.Fatal(err)
	}
	return session
}

// denied fails the test unless err is a refusal for this reason.
func (w *world) denied(err error, reason string) {
	w.t.Helper()
	e, ok := errors.AsType[*ticketing.Error](err)
	if !ok || e.Kind != ticketing.KindDenied || e.Reason != reason {
		w.t.Fatalf("error = %v, want denied for %s", err, reason)
	}
}

func (w *world) alive(session, email string) {
	w.t.Helper()
	a, err := w.Session(w.t.Context(), session)
	if err != nil {
		w.t.Fatal(err)
	}
	if a.Email != email {
		w.t.Fatalf("Session = %s, want %s", a.Email, email)
	}
}

func TestLinkWorksOnce(t *testing.T) {
	w := newWorld(t)
	token := w.token(" Mika@Corp.Test")
	session, agent, err := w.Redeem(t.Context(), token)
	if err != nil || agent.Email != "mika@corp.test" {
		t.Fatalf("Redeem = %+v, %v", agent, err)
	}
	w.alive(session, "mika@corp.test")
	_, _, err = w.Redeem(t.Context(), token)
	w.denied(err, "bad-link")
}

func TestLinkIsSpentOnceByMany(t *testing.T) {
	w := newWorld(t)
	token := w.token("mika@corp.test")
	var good atomic.Int32
	var all sync.WaitGroup
	for range 50 {
		all.Go(func() {
			if _, _, err := w.Redeem(t.Context(), token); err == nil {
				good.Add(1)
			}
		})
	}
	all.Wait()
	if good.Load() != 1 {
		t.Fatalf("the link opened %d sessions, want 1", good.Load())
	}
}

func TestLinkEnds(t *testing.T) {
	for _, c := range []struct {
		after time.Duration
		good  bool
	}{{0, true}, {60*time.Minute - time.Microsecond, true}, {60 * time.Minute, false}, {24 * time.Hour, false}} {
		t.Run(c.after.String(), func(t *testing.T) {
			w := newWorld(t)
			token := w.token("mika@corp.test")
			w.now = w.now.Add(c.after)
			_, _, err := w.Redeem(t.Context(), token)
			if c.good && err != nil {
				t.Fatal(err)
			}
			if !c.good {
				w.denied(err, "bad-link")
			}
		})
	}
}

func TestUnknownSecrets(t *testing.T) {
	w := newWorld(t)
	session := w.signIn("mika@corp.test")
	for _, s := range []string{"", "x", strings.Repeat("A", 26), strings.ToLower(session), session + "=", strings.Repeat("x", 1<<20), "\x00\xff"} {
		_, _, err := w.Redeem(t.Context(), s)
		w.denied(err, "bad-link")
		_, err = w.Session(t.Context(), s)
		w.denied(err, "signed-out")
		if err := w.End(t.Context(), s); err != nil {
			t.Fatal(err)
		}
	}
	_, _, err := w.Redeem(t.Context(), session)
	w.denied(err, "bad-link") // a session is no link
	token := w.token("mika@corp.test")
	_, err = w.Session(t.Context(), token)
	w.denied(err, "signed-out") // nor a link a session
	w.alive(session, "mika@corp.test")
}

func TestLinkForNobody(t *testing.T) {
	w := newWorld(t)
	for _, email := range []string{"", "nobody@corp.test", ticketing.BotAddress} {
		if link, err := w.Link(t.Context(), email); ticketing.KindOf(err) != ticketing.KindNotFound {
			t.Errorf("Link(%q) = %q, %v; want not found", email, link, err)
		}
	}
}

func TestSessionSlides(t *testing.T) {
	w := newWorld(t)
	session := w.signIn("mika@corp.test")
	for range 4 { // used every 20 days, it lasts
		w.now = w.now.Add(20 * 24 * time.Hour)
		w.alive(session, "mika@corp.test")
	}
	w.now = w.now.Add(login.SessionTime)
	_, err := w.Session(t.Context(), session)
	w.denied(err, "signed-out")
}

func TestSessionSlidesOnceAnHour(t *testing.T) {
	w := newWorld(t)
	session := w.signIn("mika@corp.test")
	before := w.rows()
	w.now = w.now.Add(59 * time.Minute)
	w.alive(session, "mika@corp.test")
	if w.rows() != before {
		t.Error("a use within the hour was written")
	}
	w.now = w.now.Add(time.Minute)
	w.alive(session, "mika@corp.test")
	if w.rows() == before {
		t.Error("a use after an hour was not written")
	}
}

func TestEnd(t *testing.T) {
	w := newWorld(t)
	one, two := w.signIn("mika@corp.test"), w.signIn("mika@corp.test")
	if err := w.End(t.Context(), one); err != nil {
		t.Fatal(err)
	}
	_, err := w.Session(t.Context(), one)
	w.denied(err, "signed-out")
	w.alive(two, "mika@corp.test")
}

func TestManySessions(t *testing.T) {
	w := newWorld(t)
	kens := w.signIn("ken@corp.test")
	var mikas []string
	for range 22 {
		mikas = append(mikas, w.signIn("mika@corp.test"))
		w.now = w.now.Add(2 * time.Hour)
		w.alive(mikas[0], "mika@corp.test") // in use, so it is not the oldest
	}
	for i, s := range mikas {
		_, err := w.Session(t.Context(), s)
		if gone := i == 1 || i == 2; gone != (err != nil) {
			t.Errorf("session %d: %v, want gone %v", i, err, gone)
		}
	}
	w.alive(kens, "ken@corp.test")
}

func TestManyLinks(t *testing.T) {
	w := newWorld(t)
	var tokens []string
	for range 6 {
		tokens = append(tokens, w.token("mika@corp.test"))
		w.now = w.now.Add(time.Minute)
	}
	_, _, err := w.Redeem(t.Context(), tokens[0])
	w.denied(err, "bad-link")
	if _, _, err := w.Redeem(t.Context(), tokens[1]); err != nil {
		t.Error(err)
	}
}

func TestSignOut(t *testing.T) {
	w := newWorld(t)
	kens := w.signIn("ken@corp.test")
	mikas := []string{w.signIn("mika@corp.test"), w.signIn("mika@corp.test")}
	w.now = w.now.Add(login.SessionTime - time.Hour)
	w.alive(kens, "ken@corp.test")
	w.alive(mikas[0], "mika@corp.test")
	w.now = w.now.Add(2 * time.Hour) // the second one has ended by itself
	token := w.token("mika@corp.test")
	ended, err := w.SignOut(t.Context(), "MIKA@corp.test")
	if want := (login.Ended{Links: 1, Sessions: 1}); err != nil || ended != want {
		t.Errorf("SignOut = %+v, %v; want %+v", ended, err, want)
	}
	for _, s := range mikas {
		_, err := w.Session(t.Context(), s)
		w.denied(err, "signed-out")
	}
	_, _, err = w.Redeem(t.Context(), token)
	w.denied(err, "bad-link")
	w.alive(kens, "ken@corp.test")
	w.alive(w.signIn("mika@corp.test"), "mika@corp.test") // they may come back
	if what := w.wrong(); len(what) > 0 {
		t.Errorf("%q", what)
	}
	if _, err := w.SignOut(t.Context(), "nobody@corp.test"); ticketing.KindOf(err) != ticketing.KindNotFound {
		t.Errorf("nobody is signed out: %v", err)
	}
}

// An agent who was removed and comes back gets nothing of what there was before.
func TestRemove(t *testing.T) {
	w := newWorld(t)
	session, token, kens := w.signIn("mika@corp.test"), w.token("mika@corp.test"), w.signIn("ken@corp.test")
	ended, err := w.Remove(t.Context(), "mika@corp.test")
	if want := (login.Ended{Links: 1, Sessions: 1}); err != nil || ended != want {
		t.Errorf("Remove = %+v, %v; want %+v", ended, err, want)
	}
	for range 2 {
		_, err := w.Session(t.Context(), session)
		w.denied(err, "signed-out")
		_, _, err = w.Redeem(t.Context(), token)
		w.denied(err, "bad-link")
		if what := w.wrong(); len(what) > 0 {
			t.Errorf("%q", what)
		}
		w.desk.CreateAgent(t.Context(), ticketing.Agent{Email: "mika@corp.test"})
	}
	w.alive(w.signIn("mika@corp.test"), "mika@corp.test")
	w.alive(kens, "ken@corp.test")
	for range 2 {
		_, err = w.Remove(t.Context(), "ken@corp.test")
	}
	if ticketing.KindOf(err) != ticketing.KindNotFound {
		t.Errorf("removed twice: %v", err)
	}
	if link, err := w.Link(t.Context(), "ken@corp.test"); ticketing.KindOf(err) != ticketing.KindNotFound {
		t.Errorf("Link = %q, %v; want not found", link, err)
	}
}

// A removal that is refused signs nobody out.
func TestTheOnlyAdminStays(t *testing.T) {
	w := newWorld(t)
	if _, err := w.desk.CreateAgent(t.Context(), ticketing.Agent{Email: "root@corp.test", Admin: true}); err != nil {
		t.Fatal(err)
	}
	session := w.signIn("root@corp.test")
	if _, err := w.Remove(t.Context(), "root@corp.test"); ticketing.AsError(err).Reason != "last-admin" {
		t.Errorf("Remove = %v", err)
	}
	w.alive(session, "root@corp.test")
	if _, err := w.desk.CreateAgent(t.Context(), ticketing.Agent{Email: "second@corp.test", Admin: true}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Remove(t.Context(), "root@corp.test"); err != nil {
		t.Error(err)
	}
	if a, err := w.desk.Admin(t.Context()); err != nil || a.Email != "second@corp.test" {
		t.Errorf("admin = %+v, %v", a, err)
	}
}

// Links that are asked for while the agent is removed do not outlive them.
func TestRemoveAmongLinks(t *testing.T) {
	w := newWorld(t)
	var all sync.WaitGroup
	for i := range 40 {
		all.Go(func() {
			if i == 20 {
				w.Remove(t.Context(), "mika@corp.test")
			}
			if link, err := w.Link(t.Context(), "mika@corp.test"); err == nil {
				w.Redeem(t.Context(), link[strings.LastIndexByte(link, '/')+1:])
			}
		})
	}
	all.Wait()
	if rows := w.rows(); rows != "" {
		t.Errorf("left of the agent who is gone:\n%s", rows)
	}
}

// TestStoreStaysSmall shows that what has ended does not stay for ever.
func TestStoreStaysSmall(t *testing.T) {
	w := newWorld(t)
	for range 100 {
		w.signIn("mika@corp.test")
		w.token("mika@corp.test")
		w.now = w.now.Add(24 * time.Hour)
	}
	w.now = w.now.Add(2 * login.SessionTime)
	w.signIn("mika@corp.test")
	if n := strings.Count(w.rows(), "\n"); n != 2 {
		t.Errorf("%d rows are left, want the last session's 2:\n%s", n, w.rows())
	}
}

func TestStoreHoldsNoSecret(t *testing.T) {
	w := newWorld(t)
	session, token := w.signIn("mika@corp.test"), w.token("mika@corp.test")
	rows := w.rows()
	for _, secret := range []string{session, token} {
		if len(secret) < 26 {
			t.Errorf("secret of %d characters has less than 130 bits", len(secret))
		}
		if strings.Contains(strings.ToLower(rows), strings.ToLower(secret)) {
			t.Error("the store holds a secret in the clear")
		}
	}
	if strings.Count(rows, "\n") != 4 {
		t.Errorf("rows:\n%s", rows)
	}
}

// rows prints all rows of this package.
func (w *world) rows() string {
	var b strings.Builder
	err := w.db.View(w.t.Context(), func(r store.Reader) error {
		for _, prefix := range []string{"signin", "signin.agent", "session", "session.agent"} {
			for it, err := range r.Scan(store.Prefix(prefix), false) {
				if err != nil {
					return err
				}
				fmt.Fprintf(&b, "%s %q %s\n", it.Key, string(it.Key), it.Value)
			}
		}
		return nil
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return b.String()
}

func TestStoreGone(t *testing.T) {
	w := newWorld(t)
	token, session := w.token("mika@corp.test"), w.signIn("mika@corp.test")
	w.db.Close(t.Context())
	_, linkErr := w.Link(t.Context(), "mika@corp.test")
	_, _, redeemErr := w.Redeem(t.Context(), token)
	_, sessionErr := w.Session(t.Context(), session)
	for i, err := range []error{linkErr, redeemErr, sessionErr, w.End(t.Context(), session)} {
		if ticketing.KindOf(err) != ticketing.KindUnavailable {
			t.Errorf("%d: %v, want unavailable", i, err)
		}
	}
}
