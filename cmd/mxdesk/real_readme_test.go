package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/pelletier/go-toml/v2"

	"github.com/mxdesk/mxdesk/server/api"
	"github.com/mxdesk/mxdesk/ticketing"
)

var fenced = regexp.MustCompile("(?ms)^```(\\w+)\n(.*?)^```$")

// blocks are the fenced blocks of README.md in one language.
func blocks(t *testing.T, language string) []string {
	t.Helper()
	var out []string
	for _, m := range fenced.FindAllStringSubmatch(readFile(t, "../../README.md"), -1) {
		if m[1] == language {
			out = append(out, m[2])
		}
	}
	if len(out) == 0 {
		t.Fatalf("README.md has no block in %s", language)
	}
	return out
}

// elsewhere replaces what README.md says of places by those of a test.
func (d *desk) elsewhere(text string) string {
	_, https, _ := strings.Cut(d.HTTP, ":")
	return strings.NewReplacer(
		"127.0.0.1:2525", d.SMTP, "0.0.0.0:25", d.SMTP, "127.0.0.1:8080", "127.0.0.1:"+https,
		"/var/lib/mxdesk", d.Data, "/etc/mxdesk.toml", d.config(),
	).Replace(text)
}

// TestRealReadmeFirstTicket types what README.md says under "A first ticket in
// five minutes", in the folder and with the program as it says, on other ports.
func TestRealReadmeFirstTicket(t *testing.T) {
	d := bareDesk(t, needs(t, "sh", "curl"))
	d.serveBare()
	if err := os.Symlink(d.bin, filepath.Join(d.dir, "mxdesk")); err != nil {
		t.Fatal(err)
	}
	script := strings.Replace(d.elsewhere(blocks(t, "sh")[0]), "go build -o mxdesk ./cmd/mxdesk\n", "", 1)
	if !strings.Contains(script, d.SMTP) || strings.Contains(script, "go build") {
		t.Fatalf("the block is not what it was:\n%s", script)
	}
	// The automatic mail is captured a moment after the mail was taken.
	script = strings.Replace(script, "./mxdesk ticket list", "sleep 1; ./mxdesk ticket list", 1)
	script = strings.Replace(script, "./mxdesk ticket show", "sleep 1; ./mxdesk ticket show", 1)
	stdout, stderr, code := execute(t, d.dir, "sh", "-e", "-c", script)
	if code != 0 || stderr != "" {
		t.Fatalf("exit %d: %s\n%s", code, stderr, stdout)
	}
	for _, want := range []string{"support#1", "Printer on fire", "It burns.", "Please use water.", "captured", "ACCEPTED", "ann@customer.example"} {
		if !strings.Contains(stdout, want) {
			t.Errorf("%q is not in what the commands print:\n%s", want, stdout)
		}
	}
	for _, o := range ndjson[api.Outgoing](t, d, "queue", "list", "--json") {
		text, stderr, code := execute(t, d.dir, d.bin, "queue", "show", o.ID)
		if code != 0 || strings.Count(text, "DKIM-Signature:") != 2 || !strings.Contains(text, "Reply-To: ") {
			t.Errorf("queue show %s: exit %d: %s%s", o.ID, code, stderr, text)
		}
	}
}

// ndjson runs a command in the folder of the desk, without settings.
func ndjson[T any](t *testing.T, d *desk, args ...string) []T {
	t.Helper()
	stdout, stderr, code := execute(t, d.dir, d.bin, args...)
	if code != 0 {
		t.Fatalf("exit %d: %s", code, stderr)
	}
	return decodeLines[T](t, stdout)
}

// TestRealReadmeConfig goes the main road on the settings that README.md
// shows, with other ports and folders, and a name server of the test.
func TestRealReadmeConfig(t *testing.T) {
	bin := needs(t, "sh")
	c := newCorrespondent(t)
	server, _ := nameServer(t, c.zone)
	d := newDesk(t, bin, "")
	text := d.elsewhere(strings.Join(blocks(t, "toml"), "\n"))
	var settings map[string]any
	if err := toml.Unmarshal([]byte(text), &settings); err != nil {
		t.Fatal(err)
	}
	c.postfix = newPostfix(t, "smtp:"+bracket(d.SMTP))
	_, port, _ := strings.Cut(c.postfix.Addr, ":")
	writeText(t, d.config(), text)
	d.Flags = []string{
		"--set", "lmtp.listen=" + d.LMTP, "--set", "metrics.listen=" + d.Metrics, "--set", "dns.servers=" + server,
		"--set", "queue.mx_port=" + port, "--set", "queue.allow_nets=127.0.0.0/8",
	}
	d.start()
	if err := os.Symlink(d.bin, filepath.Join(d.dir, "mxdesk")); err != nil {
		t.Fatal(err)
	}
	create := regexp.MustCompile(`(?m)^mxdesk .*project create.*$`).FindString(d.elsewhere(strings.Join(blocks(t, "sh"), "\n")))
	if create == "" {
		t.Fatal("README.md does not say how to make a project")
	}
	if _, stderr, code := execute(t, d.dir, "sh", "-c", "./"+create); code != 0 {
		t.Fatalf("%s: exit %d: %s", create, code, stderr)
	}
	to := regexp.MustCompile(`\S+@\S+`).FindString(create)
	got := d.deliverTo(t, to, c.letter("", to, "Printer on fire", "readme.1@customer.test", "It burns."))
	if !strings.HasPrefix(got, "250 ") {
		t.Fatal(got)
	}
	d.do("ticket", "reply", "support#1", "--body", "Use water.")
	answer := c.postfix.waitMail("ann", "Use water.")
	if got := header(t, answer, "In-Reply-To"); got != "<readme.1@customer.test>" {
		t.Errorf("In-Reply-To: %s", got)
	}
	eventually(t, 10*time.Second, "delivery", func() error {
		th := d.thread("support#1")
		ds := th.Comments[len(th.Comments)-1].Deliveries
		if len(ds) != 1 || ds[0].State != ticketing.DeliveryDelivered {
			return fmt.Errorf("deliveries = %+v", ds)
		}
		return nil
	})
}

func (d *desk) deliverTo(t *testing.T, to, text string) string {
	t.Helper()
	c := d.open(t, "smtp")
	got, err := c.deliver("ann@customer.test", to, text)
	if err != nil {
		t.Fatal(err)
	}
	return got
}
