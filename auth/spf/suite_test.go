package spf_test

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mxdesk/mxdesk/auth/dns"
	"github.com/mxdesk/mxdesk/auth/spf"
)

// scenario is one zone and the checks against it.
type scenario struct {
	Description string
	Zone        json.RawMessage
	Tests       []struct {
		Name, Helo, Host, MailFrom string
		Result                     []string
		Explanation                string
	}
}

// corpus returns the path of a file of the test data, or skips the test where
// there is none.
func corpus(t testing.TB, name string) string {
	t.Helper()
	root := cmp.Or(os.Getenv("CORPORA"), filepath.Join("..", "..", "..", "shared", "corpora"))
	if _, err := os.Stat(root); err != nil {
		t.Skipf("test data not present: %s (set CORPORA to its folder)", root)
	}
	return filepath.Join(root, "spf", name)
}

func scenarios(t *testing.T, name string) []scenario {
	t.Helper()
	data, err := os.ReadFile(corpus(t, name))
	if err != nil {
		t.Fatal(err)
	}
	var list []scenario
	if err := json.Unmarshal(data, &list); err != nil {
		t.Fatal(err)
	}
	return list
}

// run checks one scenario and counts.
func (s scenario) run(t *testing.T, passed, total, texts *int) {
	zone, err := dns.ParseZone(s.Zone)
	if err != nil {
		t.Fatalf("%s: %v", s.Description, err)
	}
	checker := spf.New(zone, spf.Options{Now: func() time.Time { return time.Unix(1e9, 0) }})
	for _, c := range s.Tests {
		*total++
		got := checker.Check(t.Context(), spf.Query{IP: netip.MustParseAddr(c.Host), Helo: c.Helo, MailFrom: c.MailFrom})
		if !slices.Contains(c.Result, got.Result) {
			t.Errorf("%s: %s: got %s (%s), want one of %v", s.Description, c.Name, got.Result, got.Reason, c.Result)
			continue
		}
		// The suite writes DEFAULT for a domain without usable explanation.
		want := strings.TrimPrefix(c.Explanation, "DEFAULT")
		if c.Explanation != "" && got.Explanation != want {
			t.Errorf("%s: %s: got explanation %q, want %q", s.Description, c.Name, got.Explanation, want)
			continue
		}
		*passed++
		if c.Explanation != "" {
			*texts++
		}
	}
}

func TestSuiteOpenSPF(t *testing.T) {
	var passed, total, texts int
	for _, s := range scenarios(t, "openspf/rfc7208-tests.json") {
		s.run(t, &passed, &total, &texts)
	}
	t.Attr("conformance", fmt.Sprintf("spf/openspf | SPF of RFC 7208: results, %d explanation texts | %d/%d", texts, passed, total))
	if total < 203 || texts < 22 {
		t.Errorf("the suite has %d tests and %d texts, want 203 and 22", total, texts)
	}
}

// singleLabel are names of the second suite that are no fully qualified
// domains. RFC 7208 refuses them, so they are qualified before the run.
var singleLabel = regexp.MustCompile(`(["@:])(d[0-9][0-9]|mx1[01]|domain|blah[0-9]|doesnotexist|sender)\b([" ])`)

func TestSuiteBlitiri(t *testing.T) {
	var passed, total, texts int
	for _, s := range scenarios(t, "blitiri/blitirispf-tests.json") {
		s.Zone = singleLabel.ReplaceAll(s.Zone, []byte("${1}${2}.example${3}"))
		s.Zone = singleLabel.ReplaceAll(s.Zone, []byte("${1}${2}.example${3}"))
		for i := range s.Tests {
			c := &s.Tests[i]
			if _, domain, _ := strings.Cut(c.MailFrom, "@"); !strings.Contains(domain, ".") {
				c.MailFrom += ".example"
			}
		}
		s.run(t, &passed, &total, &texts)
	}
	t.Attr("conformance", fmt.Sprintf("spf/blitiri | SPF results | %d/%d", passed, total))
	if total < 21 {
		t.Errorf("the suite has %d tests, want 21", total)
	}
}
