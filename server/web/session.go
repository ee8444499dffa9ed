package web

import (
	"context"
	"net/http"

	"github.com/mxdesk/mxdesk/auth/login"
	"github.com/mxdesk/mxdesk/ticketing"
)

// signInPage has the one button that spends a link: whatever follows links in
// mails and chats must not spend it by looking.
type signInPage struct{ frame }

func (signInPage) view() string { return "sign-in.html" }

// signInHelpPage tells how to get a link.
type signInHelpPage struct{ frame }

func (signInHelpPage) view() string { return "sign-in-help.html" }

func (s *site) showSignInHelp(w http.ResponseWriter, r *http.Request) {
	s.render(w, r, http.StatusOK, signInHelpPage{s.frame("Sign in")})
}

func (s *site) showSignIn(w http.ResponseWriter, r *http.Request) {
	s.render(w, r, http.StatusOK, signInPage{s.frame("Sign in")})
}

func (s *site) signIn(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), pageTime)
	defer cancel()
	session, _, err := s.login.Redeem(ctx, r.PathValue("token"))
	if err != nil {
		s.fail(w, r, err)
		return
	}
	s.setSession(w, session, int(login.SessionTime.Seconds()))
	http.Redirect(w, r, "/tickets", http.StatusSeeOther)
}

func (s *site) signOut(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), pageTime)
	defer cancel()
	if err := s.login.End(ctx, s.session(r)); err != nil {
		s.fail(w, r, err)
		return
	}
	s.setSession(w, "", -1)
	http.Redirect(w, r, "/sign-in", http.StatusSeeOther)
}

// signedIn runs a handler for agents. Others are sent to sign in.
func (s *site) signedIn(h func(http.ResponseWriter, *http.Request, *ticketing.Agent) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), pageTime)
		defer cancel()
		session := s.session(r)
		me, err := s.login.Session(ctx, session)
		switch {
		case err == nil:
		case isStranger(err):
			http.Redirect(w, r, "/sign-in", http.StatusSeeOther)
			return
		default:
			s.fail(w, r, err)
			return
		}
		s.setSession(w, session, int(login.SessionTime.Seconds()))
		if err := h(w, r.WithContext(ctx), me); err != nil {
			s.fail(w, r, err)
		}
	}
}

// isStranger tells whether the error of a session means that nobody is signed in.
func isStranger(err error) bool {
	kind := ticketing.KindOf(err)
	return err != nil && (kind == ticketing.KindDenied || kind == ticketing.KindNotFound)
}

// stranger tells whether a request is surely nobody's who is signed in.
func (s *site) stranger(r *http.Request) bool {
	ctx, cancel := context.WithTimeout(r.Context(), pageTime)
	defer cancel()
	_, err := s.login.Session(ctx, s.session(r))
	return isStranger(err)
}

// cookieName binds the cookie to this host where browsers can be told to.
//
// https://www.rfc-editor.org/rfc/rfc6265#section-4.1.2
func (s *site) cookieName() string {
	if s.o.Secure {
		return "__Host-mxdesk"
	}
	return "mxdesk"
}

// session is what the cookie says, "" without one.
func (s *site) session(r *http.Request) string {
	c, err := r.Cookie(s.cookieName())
	if err != nil {
		return ""
	}
	return c.Value
}

func (s *site) setSession(w http.ResponseWriter, session string, maxAge int) {
	http.SetCookie(w, &http.Cookie{
		Name: s.cookieName(), Value: session, Path: "/", MaxAge: maxAge,
		HttpOnly: true, Secure: s.o.Secure, SameSite: http.SameSiteLaxMode,
	})
}
