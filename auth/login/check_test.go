package login_test

import (
	"strings"
	"testing"
	"time"

	"github.com/mxdesk/mxdesk/auth/login"
	"github.com/mxdesk/mxdesk/ticketing"
	"github.com/mxdesk/mxdesk/ticketing/store"
)

func (w *world) wrong() (what []string) {
	w.t.Helper()
	if err := w.db.View(w.t.Context(), func(r store.Reader) error {
		_, err := ticketing.Check(w.t.Context(), w.db, r, ticketing.CheckOptions{Rules: login.Rules(), Found: func(f store.Finding) {
			what = append(what, f.Key.String()+" "+f.What)
		}})
		return err
	}); err != nil {
		w.t.Fatal(err)
	}
	return what
}

// Whatever people do leaves nothing wrong, and what is wrong is found.
func TestRules(t *testing.T) {
	w := newWorld(t)
	for i := range 30 {
		w.now = w.now.Add(time.Duration(i) * time.Hour)
		session := w.signIn([]string{"mika@corp.test", "ken@corp.test"}[i%2])
		w.token("mika@corp.test")
		if i%4 == 0 {
			if err := w.End(t.Context(), session); err != nil {
				t.Fatal(err)
			}
		}
	}
	if what := w.wrong(); len(what) > 0 {
		t.Fatalf("%q", what)
	}
	for _, k := range []store.Key{store.K("signin", 1), store.K("session", store.Hash{}), store.K("session.agent", "x", store.Hash{}), store.K("signin.agent")} {
		change := func(f func(tx store.Tx) error) {
			t.Helper()
			if err := w.db.Update(t.Context(), f); err != nil {
				t.Fatal(err)
			}
		}
		change(func(tx store.Tx) error { return tx.Put(k, []byte(`{"v":1,"agent":"x"}`)) })
		if len(w.wrong()) == 0 {
			t.Errorf("nobody minds %v", k)
		}
		change(func(tx store.Tx) error { return tx.Delete(k) })
	}
	if err := w.db.Update(t.Context(), func(tx store.Tx) error { // and leaves the sessions
		_, err := ticketing.RemoveAgent(tx, "ken@corp.test")
		return err
	}); err != nil {
		t.Fatal(err)
	}
	if what := w.wrong(); len(what) == 0 || !strings.Contains(what[0], "belongs to ken@corp.test, who is no agent") {
		t.Errorf("sessions of nobody: %q", what)
	}
}
