package mail

import (
	"encoding/json"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestCorpusBounces reads the reports of many systems as whole mails. The
// expectations are another parser's, so agreement in most cases is enough.
func TestCorpusBounces(t *testing.T) {
	dir := corpus(t, "bounce/go-sisimai")
	var expected struct {
		Cases map[string][]struct {
			Status, Reply, Reason string
			Hard                  bool
		}
	}
	if err := json.Unmarshal([]byte(readFile(t, dir, "expected.json")), &expected); err != nil {
		t.Fatal(err)
	}
	records, agree := 0, map[string]int{}
	for name, want := range expected.Cases {
		msg := parseBytes([]byte(readFile(t, dir, name)))
		if len(want) > 0 && want[0].Reason == "vacation" {
			want = nil
		}
		if len(msg.Deliveries) == len(want) {
			agree["count"]++
		} else {
			t.Logf("%s: %d recipients, want %d: %+v", filepath.Base(name), len(msg.Deliveries), len(want), msg.Deliveries)
		}
		for i, w := range want {
			records++
			if i >= len(msg.Deliveries) {
				break
			}
			got := msg.Deliveries[i]
			same := func(what string, ok bool) {
				if ok {
					agree[what]++
				} else {
					t.Logf("%s: %s: got %+v, want %+v", filepath.Base(name), what, got, w)
				}
			}
			same("status", got.Status == w.Status || strings.Contains(w.Status, ".0.9") && (got.Status == "" || got.Status[0] == w.Status[0]))
			same("reply", got.ReplyCode == w.Reply)
			same("reason", got.Reason == w.Reason)
			same("hard", got.Hard == w.Hard)
		}
	}
	named := map[string]string{"count": "number of recipients", "hard": "hard or soft", "reason": "reason", "reply": "reply code", "status": "status code"}
	for _, what := range slices.Sorted(maps.Keys(agree)) {
		total := records
		if what == "count" {
			total = len(expected.Cases)
		}
		t.Attr("conformance", fmt.Sprintf("bounce/go-sisimai | %s in a report | %d/%d", named[what], agree[what], total))
	}
	for what, floor := range map[string]int{"count": 274, "status": 287, "reply": 282, "reason": 274, "hard": 282} {
		if agree[what] < floor {
			t.Errorf("%s: %d agree, was %d", what, agree[what], floor)
		}
	}
}
