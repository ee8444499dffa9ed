package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"testing"
	"time"

	"github.com/mxdesk/mxdesk/server/api"
)

// thread is ticket show without the cost of a process.
func (d *desk) thread(ref string) api.Thread {
	d.t.Helper()
	var out api.Thread
	if err := d.admin("ticket.show", api.TicketRequest{Ticket: ref}, &out); err != nil {
		d.t.Fatalf("ticket.show %s: %v", ref, err)
	}
	return out
}

// admin asks the admin socket as the commands do and reads one answer.
func (d *desk) admin(call string, req, answer any) error {
	return d.ask(call, req, func(dec *json.Decoder) error { return dec.Decode(answer) })
}

// adminLines is admin for calls with many answers.
func (d *desk) adminLines(call string, req, list any) error {
	return d.ask(call, req, func(dec *json.Decoder) error {
		lines := []json.RawMessage{}
		for dec.More() {
			var line json.RawMessage
			if err := dec.Decode(&line); err != nil {
				return err
			}
			lines = append(lines, line)
		}
		all, err := json.Marshal(lines)
		return errors.Join(err, json.Unmarshal(all, list))
	})
}

func (d *desk) ask(call string, req any, read func(*json.Decoder) error) error {
	client := &http.Client{Timeout: time.Minute, Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(context.Context, string, string) (net.Conn, error) {
			return api.Dial(filepath.Join(d.Data, "run"))
		},
	}}
	body, err := json.Marshal(req)
	if err != nil {
		return err
	}
	resp, err := client.Post("http://mxdesk/"+call, "application/json", bytes.NewReader(body))
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(resp.Body)
		return fmt.Errorf("%s: %s", resp.Status, text)
	}
	return read(json.NewDecoder(resp.Body))
}

const customerZone = `customer.test. TXT "v=spf1 ip4:127.0.0.1 -all"
*.customer.test. TXT "v=spf1 ip4:127.0.0.1 -all"
customer.test. MX 10 mx.customer.test.
mx.customer.test. A 127.0.0.1
_dmarc.customer.test. TXT "v=DMARC1; p=none"`

// loadedDesk is a running desk with project support that is fit for load.
func loadedDesk(t *testing.T, extra string) *desk {
	t.Helper()
	bin := needs(t)
	server, _ := nameServer(t, customerZone)
	d := newDesk(t, bin, fmt.Sprintf("dns.servers = [%q]\nlog.level = \"warn\"\n%s", server, extra))
	d.start()
	d.project("support", "support@desk.test")
	return d
}
