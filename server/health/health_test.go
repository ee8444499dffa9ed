package health

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/mxdesk/mxdesk/ticketing"
)

func TestHandler(t *testing.T) {
	reg := prometheus.NewRegistry()
	c := prometheus.NewCounter(prometheus.CounterOpts{Name: "things_total"})
	reg.MustRegister(c)
	c.Inc()
	var ready error
	h := Handler(reg, func(ctx context.Context) error {
		if _, ok := ctx.Deadline(); !ok {
			t.Error("readiness has no deadline")
		}
		return ready
	})
	full := &ticketing.Error{Kind: ticketing.KindUnavailable, Reason: "disk-full", Message: "m", Cause: errors.New("/secret")}
	for _, tc := range []struct {
		method, path string
		ready        error
		status       int
		body         string
	}{
		{"GET", "/livez", full, 200, "ok\n"},
		{"GET", "/readyz", nil, 200, "ok\n"},
		{"GET", "/readyz", full, 503, "disk-full\n"},
		{"GET", "/readyz", errors.New("/secret"), 503, "internal-error\n"},
		{"GET", "/metrics", nil, 200, "things_total 1"},
		{"POST", "/livez", nil, 405, ""},
		{"GET", "/", nil, 404, ""},
	} {
		ready = tc.ready
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(tc.method, tc.path, http.NoBody))
		if w.Code != tc.status || !strings.Contains(w.Body.String(), tc.body) || strings.Contains(w.Body.String(), "secret") {
			t.Errorf("%s %s = %d %q", tc.method, tc.path, w.Code, w.Body)
		}
	}
}
