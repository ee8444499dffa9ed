package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/mxdesk/mxdesk/server/api"
)

// TestRealPrometheus has Prometheus scrape the metrics and asks it for counts
// that are known.
func TestRealPrometheus(t *testing.T) {
	needs(t, "prometheus", "promtool")
	d := loadedDesk(t, "")
	addr := freeAddr(t)
	dir := t.TempDir()
	conf := writeText(t, filepath.Join(dir, "prometheus.yml"), fmt.Sprintf(
		"global:\n  scrape_interval: 1s\n  scrape_timeout: 1s\nscrape_configs:\n  - job_name: mxdesk\n    static_configs:\n      - targets: [%q]\n", d.Metrics))
	background(t, "prometheus", "--config.file="+conf, "--storage.tsdb.path="+dir+"/tsdb", "--web.listen-address="+addr, "--log.level=warn")
	const tickets = 7
	for i := range tickets {
		if got := d.probe(fmt.Sprintf("%d@customer.test", i)); !strings.HasPrefix(got, "250 ") {
			t.Fatal(got)
		}
	}
	if got := d.probe("0@customer.test"); !strings.HasPrefix(got, "250 ") { // once more: no ticket
		t.Fatal(got)
	}
	var captured []api.Outgoing // not one for each ticket: thanks to one address have a budget
	eventually(t, 20*time.Second, "the end of work", func() error {
		all := decode[api.Outgoing](d, "queue", "list", "--limit", "0")
		captured = decode[api.Outgoing](d, "queue", "list", "--limit", "0", "--state", "captured")
		if len(captured) == 0 || len(captured) != len(all) {
			return fmt.Errorf("%d of %d captured", len(captured), len(all))
		}
		return nil
	})
	for query, want := range map[string]string{
		`sum(mxdesk_tickets_total{event="created"})`:              "7",
		`sum(mxdesk_intake_messages_total{decision="duplicate"})`: "1",
		`up{job="mxdesk"}`: "1",
		`sum(mxdesk_queue_deliveries_total{result="captured"})`: strconv.Itoa(len(captured)),
	} {
		eventually(t, 60*time.Second, query, func() error {
			if got, err := instant(addr, query); err != nil || got != want {
				return fmt.Errorf("%q, want %q, %v", got, want, err)
			}
			return nil
		})
	}
	lint(t, d)
}

// instant asks Prometheus for one value.
func instant(addr, query string) (string, error) {
	client := &http.Client{Timeout: 5 * time.Second}
	resp, err := client.Get("http://" + addr + "/api/v1/query?query=" + url.QueryEscape(query))
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	var answer struct {
		Data struct {
			Result []struct {
				Value [2]any `json:"value"`
			} `json:"result"`
		} `json:"data"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil {
		return "", err
	}
	if len(answer.Data.Result) != 1 {
		return "", fmt.Errorf("%d results", len(answer.Data.Result))
	}
	return fmt.Sprint(answer.Data.Result[0].Value[1]), nil
}

// lint has Prometheus's own tool read the exposition.
func lint(t *testing.T, d *desk) {
	t.Helper()
	resp, err := http.Get("http://" + d.Metrics + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	cmd := exec.CommandContext(t.Context(), "promtool", "check", "metrics")
	cmd.Stdin = resp.Body
	if text, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("promtool: %v\n%s", err, text)
	}
}
