package arc

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mxdesk/mxdesk/auth/dkim"
	"github.com/mxdesk/mxdesk/auth/dns"
	"github.com/mxdesk/mxdesk/auth/message"
)

// fakeDNS answers TXT lookups from a map and counts them.
type fakeDNS struct {
	dns.Resolver
	txt map[string]string

	mu      sync.Mutex
	lookups int
}

func (f *fakeDNS) TXT(_ context.Context, name string) ([]string, bool, error) {
	f.mu.Lock()
	f.lookups++
	f.mu.Unlock()
	record, ok := f.txt[name]
	switch {
	case !ok:
		return nil, false, dns.ErrNotFound
	case record == "TEMPERROR":
		return nil, false, dns.ErrTemporary
	}
	return []string{record}, false, nil
}

func read(t testing.TB, raw string) *message.Message {
	t.Helper()
	m, err := message.Read(strings.NewReader(raw), int64(len(raw)), message.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// corpora returns a folder of shared test data or skips the test.
func corpora(t testing.TB, path string) string {
	t.Helper()
	root := os.Getenv("CORPORA")
	if root == "" {
		root = filepath.Join("..", "..", "..", "shared", "corpora")
	}
	dir := filepath.Join(root, filepath.FromSlash(path))
	if _, err := os.Stat(dir); err != nil {
		t.Skipf("test data %s is not here (set CORPORA): suite not run", path)
	}
	return dir
}

func load(t *testing.T, name string, v any) {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(corpora(t, "arc/valimail"), name))
	if err == nil {
		err = json.Unmarshal(b, v)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// TestValimailValidation runs the validation suite. A message whose latest
// seal says that the chain failed has no expectation there: it has failed.
func TestValimailValidation(t *testing.T) {
	var scenarios []struct {
		Description string
		Zone        map[string]string `json:"txt-records"`
		Tests       []struct{ Name, Message, CV string }
	}
	load(t, "validation.json", &scenarios)
	run, passed := 0, 0
	for _, s := range scenarios {
		for _, tt := range s.Tests {
			run++
			want := strings.ToLower(tt.CV)
			if want == "" {
				want = Fail
			}
			right := true
			for _, raw := range []string{tt.Message, strings.ReplaceAll(tt.Message, "\n", "\r\n")} {
				got := New(&fakeDNS{txt: s.Zone}, Options{}).Verify(t.Context(), read(t, raw))
				if got.Result != want {
					t.Errorf("%s, %s: %s (%s), want %s", s.Description, tt.Name, got.Result, got.Reason, want)
					right = false
				}
				if (got.Reason == "") == (want == Fail) {
					t.Errorf("%s: reason %q", tt.Name, got.Reason)
				}
			}
			if right {
				passed++
			}
		}
	}
	if run != 175 {
		t.Errorf("%d tests", run)
	}
	t.Attr("conformance", fmt.Sprintf("arc/valimail | ARC validation, with LF and with CRLF | %d/%d", passed, run))
}

// TestValimailSign runs the signing suite: the signatures must be the same to
// the byte. Line breaks within the fields are free.
func TestValimailSign(t *testing.T) {
	var scenarios []struct {
		Description, Domain, Sel, PrivateKey string
		Zone                                 map[string]string `json:"txt-records"`
		Tests                                []struct {
			Name, Message, T, AS, AMS, AAR string
			SigHeaders                     string `json:"sig-headers"`
			SrvID                          string `json:"srv-id"`
		}
	}
	load(t, "sign.json", &scenarios)
	run, passed := 0, 0
	for _, s := range scenarios {
		key, err := dkim.ParsePEM([]byte(s.PrivateKey))
		if err != nil {
			t.Fatal(err)
		}
		for _, tt := range s.Tests {
			run++
			if t.Run(tt.Name, func(t *testing.T) {
				m := read(t, tt.Message)
				results := mergeResults(m, tt.SrvID)
				seconds, err := strconv.ParseInt(tt.T, 10, 64)
				if err != nil {
					t.Fatal(err)
				}
				set, err := Seal(m, Result{Result: arcState(results)}, results, SealOptions{
					Domain: s.Domain, Selector: s.Sel, Key: key,
					Headers: strings.Split(tt.SigHeaders, ":"),
					Now:     func() time.Time { return time.Unix(seconds, 0) },
				})
				if err != nil {
					t.Fatal(err)
				}
				made := read(t, string(set))
				compareField(t, tt.Name, made, sealField, tt.AS)
				compareField(t, tt.Name, made, signatureField, tt.AMS)
				compareField(t, tt.Name, made, resultsField, tt.AAR)
				if arcState(results) != Fail && tt.AS != "" {
					again := New(&fakeDNS{txt: s.Zone}, Options{}).Verify(t.Context(), read(t, string(set)+tt.Message))
					if again.Result != Pass {
						t.Errorf("sealed message is %s (%s)", again.Result, again.Reason)
					}
				}
			}) {
				passed++
			}
		}
	}
	t.Attr("conformance", fmt.Sprintf("arc/valimail | ARC sealing, equal to the byte | %d/%d", passed, run))
	if run != 17 {
		t.Errorf("%d tests", run)
	}
}

func compareField(t *testing.T, test string, made *message.Message, name, want string) {
	t.Helper()
	var got strings.Builder
	for _, f := range made.Get(name) {
		got.WriteString(f.Value())
	}
	if message.RemoveSpace(got.String()) != message.RemoveSpace(want) {
		t.Errorf("%s: %s is\n%s\nwant\n%s", test, name, got.String(), want)
	}
}

// mergeResults joins the results of one authserv-id, as a sealer that writes
// several fields would.
func mergeResults(m *message.Message, id string) string {
	var merged strings.Builder
	merged.WriteString(id)
	for _, f := range m.Get("Authentication-Results") {
		if rest, ok := strings.CutPrefix(f.Value(), id+";"); ok {
			merged.WriteString("; " + strings.TrimSpace(rest))
		}
	}
	return merged.String()
}

// arcState returns what merged results say about the chain.
func arcState(results string) string {
	_, after, ok := strings.Cut(results, "arc=")
	if !ok {
		return None
	}
	state, _, _ := strings.Cut(after, ";")
	return strings.TrimSpace(state)
}
