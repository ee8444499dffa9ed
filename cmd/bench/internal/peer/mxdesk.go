package peer

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/mxdesk/mxdesk/cmd/internal/ports"
	"github.com/mxdesk/mxdesk/server/api"
)

// Mxdesk is the built server with one project.
type Mxdesk struct {
	*process
	data    string
	SMTP    string
	LMTP    string
	metrics string
	admin   *http.Client
}

const project = "support"

// mxdeskConf is what differs from the defaults: the ports, the name server, and
// the name under which it runs.
const mxdeskConf = `hostname = "desk.test"
data = %q
[smtp]
listen = [%q]
[lmtp]
listen = [%q]
[http]
listen = %q
[metrics]
listen = %q
[dns]
servers = [%q]
`

// StartMxdesk runs a binary in a folder of its own below dir and waits for the
// line "ready".
func StartMxdesk(ctx context.Context, dir, binary, nameServer string) (*Mxdesk, error) {
	dir = filepath.Join(dir, "mxdesk")
	if err := folder(dir, "root"); err != nil {
		return nil, err
	}
	var addrs [4]string
	var releases [4]func()
	for i := range addrs {
		var err error
		if addrs[i], releases[i], err = ports.Reserve(); err != nil {
			return nil, err
		}
	}
	s := &Mxdesk{data: filepath.Join(dir, "data"), SMTP: addrs[0], LMTP: addrs[1], metrics: addrs[3]}
	conf, err := write(dir, "mxdesk.toml", fmt.Sprintf(mxdeskConf, s.data, s.SMTP, s.LMTP, addrs[2], s.metrics, nameServer))
	if err != nil {
		return nil, err
	}
	s.admin = &http.Client{Timeout: time.Minute, Transport: &http.Transport{
		DialContext: func(context.Context, string, string) (net.Conn, error) { return api.Dial(filepath.Join(s.data, "run")) },
	}}
	if s.process, err = start("mxdesk", dir, nil, binary, "serve", "--config", conf); err != nil {
		return nil, err
	}
	s.ports = append(s.ports, releases[:]...)
	return s, s.ready(ctx, func() error {
		said, err := os.ReadFile(s.log)
		if err == nil && !bytes.Contains(said, []byte("\nready\n")) {
			err = fmt.Errorf("it has not said \"ready\"")
		}
		return err
	})
}

// Serve makes the project to which all these addresses lead.
func (s *Mxdesk) Serve(ctx context.Context, addresses []string) error {
	_, err := ask[api.Done](ctx, s, "project.create", api.NameRequest{Name: project, Aliases: addresses})
	return err
}

// newest is how many tickets are looked at for the highest number: more than
// can be written at the same moment.
const newest = 500

// Kept is the highest ticket number. Numbers are given without gaps in the
// transaction that makes the ticket; the metrics must have counted as many.
func (s *Mxdesk) Kept(ctx context.Context) (int, error) {
	tickets, err := ask[api.Ticket](ctx, s, "ticket.list", api.ListRequest{Project: project, Limit: newest})
	if err != nil {
		return 0, err
	}
	highest := uint64(0)
	for _, t := range tickets {
		highest = max(highest, t.IID)
	}
	counted, err := s.Metric(ctx, "mxdesk_tickets_total", "event", "created")
	if err == nil && uint64(counted) != highest {
		err = fmt.Errorf("the newest ticket of mxdesk is %d, its metrics say %.0f were made", highest, counted)
	}
	return int(highest), err
}

// Passed counts the mails that passed SPF, DKIM and DMARC, the fewest of the
// three.
func (s *Mxdesk) Passed(ctx context.Context) (int, error) {
	least := -1.0
	for _, mechanism := range []string{"spf", "dkim", "dmarc"} {
		n, err := s.Metric(ctx, "mxdesk_auth_results_total", "mechanism", mechanism, "result", "pass")
		if err != nil {
			return 0, err
		}
		if least < 0 || n < least {
			least = n
		}
	}
	return int(least), nil
}

// Metric adds up the series of a counter or gauge that have these labels.
func (s *Mxdesk) Metric(ctx context.Context, name string, labels ...string) (float64, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+s.metrics+"/metrics", nil)
	if err != nil {
		return 0, err
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	parser := expfmt.NewTextParser(model.LegacyValidation)
	families, err := parser.TextToMetricFamilies(resp.Body)
	if err != nil {
		return 0, err
	}
	sum := 0.0
	for _, m := range families[name].GetMetric() {
		have := make(map[string]string)
		for _, l := range m.GetLabel() {
			have[l.GetName()] = l.GetValue()
		}
		match := true
		for i := 0; i < len(labels); i += 2 {
			match = match && have[labels[i]] == labels[i+1]
		}
		if match {
			sum += m.GetCounter().GetValue() + m.GetGauge().GetValue()
		}
	}
	return sum, nil
}

// ask calls the admin socket.
func ask[T any](ctx context.Context, s *Mxdesk, name string, req any) ([]T, error) {
	body, err := json.Marshal(req)
	if err != nil {
		return nil, err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://mxdesk/"+name, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	resp, err := s.admin.Do(r)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		said, err := io.ReadAll(io.LimitReader(resp.Body, 1000))
		return nil, errors.Join(fmt.Errorf("mxdesk %s: %s: %s", name, resp.Status, strings.TrimSpace(string(said))), err)
	}
	var out []T
	dec := json.NewDecoder(bufio.NewReader(resp.Body))
	for dec.More() {
		var v T
		if err := dec.Decode(&v); err != nil {
			return nil, err
		}
		out = append(out, v)
	}
	return out, nil
}

// Clear does nothing: tickets stay, so the store grows from row to row.
func (s *Mxdesk) Clear() error { return nil }

// Roots is the process.
func (s *Mxdesk) Roots() []int { return []int{s.cmd.Process.Pid} }

// Stop ends it.
func (s *Mxdesk) Stop() error {
	s.admin.CloseIdleConnections()
	return s.stop()
}

// Version is what the binary calls itself.
func (s *Mxdesk) Version() string {
	return strings.TrimPrefix(output(s.cmd.Path, "version"), "mxdesk ")
}
