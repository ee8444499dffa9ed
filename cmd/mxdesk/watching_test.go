package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/mxdesk/mxdesk/metrics"
)

// families are the labels of every metric family that the server has.
func families(t *testing.T) map[string][]string {
	t.Helper()
	r := &registry{Registerer: prometheus.NewPedanticRegistry(), rows: map[string]string{}}
	metrics.New(r)
	out := map[string][]string{}
	for name, row := range r.rows {
		cells := strings.Split(row, " | ")
		labels := []string{"job", "instance"}
		for l := range strings.SplitSeq(cells[2], ", ") {
			labels = append(labels, strings.TrimSpace(l))
		}
		if cells[1] == "histogram" {
			out[name+"_bucket"] = append(labels, "le")
			out[name+"_sum"], out[name+"_count"] = labels, labels
			continue
		}
		out[name] = labels
	}
	return out
}

var (
	selector = regexp.MustCompile(`\b(mxdesk_[a-z_]+)(?:\{([^}]*)\})?`)
	matched  = regexp.MustCompile(`(\w+)\s*(?:=~|!~|!=|=)\s*"`)
	grouping = regexp.MustCompile(`by \(([^)]*)\) \(`)
	inLegend = regexp.MustCompile(`\{\{\s*(\w+)\s*\}\}`)
)

// checkQuery looks every metric and label of a query up, and returns the
// families that it uses.
func checkQuery(t *testing.T, where, query string, have map[string][]string) (used []string) {
	t.Helper()
	labels := []string{}
	for _, m := range selector.FindAllStringSubmatch(query, -1) {
		known, ok := have[m[1]]
		if !ok {
			t.Errorf("%s: there is no metric %s", where, m[1])
		}
		for _, l := range matched.FindAllStringSubmatch(m[2], -1) {
			if !slices.Contains(known, l[1]) {
				t.Errorf("%s: %s has no label %s", where, m[1], l[1])
			}
		}
		used, labels = append(used, m[1]), append(labels, known...)
	}
	for _, m := range grouping.FindAllStringSubmatch(query, -1) {
		for l := range strings.SplitSeq(m[1], ",") {
			if !slices.Contains(labels, strings.TrimSpace(l)) {
				t.Errorf("%s: nothing there has the label %s", where, l)
			}
		}
	}
	return used
}

type panel struct {
	ID          int
	Type, Title string
	GridPos     struct{ X, Y, W, H int }
	Targets     []struct{ Expr, LegendFormat, RefID string }
}

// TestDashboard checks what can be checked without Grafana: the queries ask
// for what there is, every family of ours is shown, panels do not overlap.
func TestDashboard(t *testing.T) {
	var d struct {
		Title, UID    string
		SchemaVersion int
		Panels        []panel
	}
	if err := json.Unmarshal([]byte(readFile(t, "../../metrics/dashboard.json")), &d); err != nil {
		t.Fatal(err)
	}
	if d.Title == "" || d.UID == "" || d.SchemaVersion < 36 {
		t.Errorf("title %q, uid %q, schema %d", d.Title, d.UID, d.SchemaVersion)
	}
	have := families(t)
	shown := map[string]bool{"mxdesk_tickets_total": false}
	taken, ids := map[[2]int]string{}, map[int]bool{}
	for _, p := range d.Panels {
		if ids[p.ID] || (p.Type != "row" && len(p.Targets) == 0) {
			t.Errorf("panel %d, %s: twice, or without a query", p.ID, p.Title)
		}
		ids[p.ID] = true
		for x := p.GridPos.X; x < p.GridPos.X+p.GridPos.W; x++ {
			for y := p.GridPos.Y; y < p.GridPos.Y+p.GridPos.H; y++ {
				if other := taken[[2]int{x, y}]; other != "" || x >= 24 {
					t.Fatalf("%s lies over %s", p.Title, other)
				}
				taken[[2]int{x, y}] = p.Title
			}
		}
		for _, target := range p.Targets {
			for _, name := range checkQuery(t, p.Title, target.Expr, have) {
				shown[name] = true
			}
			for _, m := range inLegend.FindAllStringSubmatch(target.LegendFormat, -1) {
				if !strings.Contains(target.Expr, m[1]) {
					t.Errorf("%s: the legend wants %s", p.Title, m[1])
				}
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(have)) {
		if strings.HasSuffix(name, "_sum") || strings.HasSuffix(name, "_count") && have[strings.TrimSuffix(name, "_count")+"_bucket"] != nil {
			continue
		}
		if !shown[name] {
			t.Errorf("%s is nowhere on the dashboard", name)
		}
	}
}

var (
	alertName = regexp.MustCompile(`(?m)^ +- alert: (\w+)$`)
	runbook   = regexp.MustCompile(`(?m)^ +runbook: /usr/share/doc/mxdesk/docs/operations\.md, section (\S+)$`)
)

// TestAlerts holds the rules to the metrics there are, each alert to a place
// in docs/operations.md that says what to do, and to two tests.
func TestAlerts(t *testing.T) {
	text := readFile(t, "../../metrics/alerts.yml")
	tests := readFile(t, "../../metrics/alerts_test.yml")
	manual := readFile(t, "../../docs/operations.md")
	have := families(t)
	rules := alertName.FindAllStringSubmatchIndex(text, -1)
	if len(rules) == 0 {
		t.Fatal("no alerts")
	}
	for i, r := range rules {
		name, rule := text[r[2]:r[3]], text[r[0]:]
		if i+1 < len(rules) {
			rule = text[r[0]:rules[i+1][0]]
		}
		checkQuery(t, name, rule[:strings.Index(rule, "annotations:")], have)
		if m := runbook.FindStringSubmatch(rule); m == nil || m[1] != name || !strings.Contains(manual, "\n### "+name+"\n") {
			t.Errorf("%s: docs/operations.md has no heading of that name, or the rule does not lead there", name)
		}
		fires, quiet := 0, 0
		for _, m := range regexp.MustCompile(fmt.Sprintf(`ALERTS\{alertname="%s",alertstate="firing"\}\n.*\n +exp_samples: \[(.*)\]`, name)).FindAllStringSubmatch(tests, -1) {
			if m[1] == "" {
				quiet++
			} else {
				fires++
			}
		}
		if fires == 0 || quiet == 0 {
			t.Errorf("%s: %d tests in which it fires, %d in which it does not", name, fires, quiet)
		}
	}
}

// TestRealAlerts has Prometheus's own tool check the rules and run their tests.
func TestRealAlerts(t *testing.T) {
	needs(t, "promtool")
	for _, args := range [][]string{{"check", "rules", "alerts.yml"}, {"test", "rules", "alerts_test.yml"}} {
		cmd := exec.CommandContext(t.Context(), "promtool", args...)
		cmd.Dir = "../../metrics"
		if text, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("promtool %s: %v\n%s", args, err, text)
		}
	}
}
