package main

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/mxdesk/mxdesk/server/api"
)

// strace attaches to every thread of the desk. The returned function detaches
// and gives what was seen.
func (d *desk) strace(args ...string) (detach func() string) {
	d.t.Helper()
	file := filepath.Join(d.t.TempDir(), "trace")
	args = append([]string{"-f", "-yy", "-s", "2000000", "-o", file, "-p", d.pid()}, args...)
	log := &syncBuffer{}
	cmd := exec.Command("strace", args...)
	cmd.Stderr = log
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		d.t.Fatal(err)
	}
	detached := false
	detach = func() string {
		if !detached {
			detached = true
			cmd.Process.Signal(os.Interrupt)
			cmd.Wait()
		}
		return readFile(d.t, file)
	}
	d.t.Cleanup(func() { detach() })
	eventually(d.t, 20*time.Second, "strace", func() error {
		if !strings.Contains(log.String(), "attached") {
			return errors.New(log.String())
		}
		return nil
	})
	return detach
}

// call is one system call of a trace: the lines on which it began and ended.
type call struct {
	began, ended int
	name, text   string
	ok           bool
}

var traceLine = regexp.MustCompile(`^(\d+) +(?:<\.\.\. )?(\w+)`)

// readTrace puts the halves of calls together that other threads interrupted.
func readTrace(text string) []*call {
	var calls []*call
	open := map[string]*call{} // thread
	n := 0
	for line := range strings.Lines(text) {
		n++
		m := traceLine.FindStringSubmatch(line)
		if m == nil {
			continue
		}
		c := open[m[1]]
		if !strings.Contains(line, " resumed>") {
			c = &call{began: n, name: m[2]}
			calls = append(calls, c)
		}
		if c == nil {
			continue // began before we looked
		}
		c.text += line
		if strings.Contains(line, "<unfinished ...>") {
			open[m[1]] = c
			continue
		}
		delete(open, m[1])
		c.ended, c.ok = n, !strings.Contains(line, "= -1 ")
	}
	return calls
}

const syncCalls = "msync,fdatasync,fsync"

// TestRealSyncBefore250 watches the system calls: what has been read of a mail
// is synced before the reply is written. That a kill loses nothing does not
// show this, because the page cache survives a kill.
func TestRealSyncBefore250(t *testing.T) {
	needs(t, "strace")
	d := loadedDesk(t, "")
	detach := d.strace("-e", "trace=read,readv,recvfrom,write,writev,sendto,"+syncCalls)
	const mails, large = 20, 4
	for i := range mails {
		addr := []string{d.SMTP, d.LMTP, d.Socket}[i%3]
		body := fmt.Sprintf("words of message %d MARK-%d-END", i, i)
		if i < large { // too large to stand beside the keys: two syncs
			body = strings.Repeat("words of a large message\n", 8000) + body
		}
		c, err := dial(addr, i%3 != 0)
		if err != nil {
			t.Fatal(err)
		}
		got, err := c.deliver("a@d.test", "support@desk.test", letter(fmt.Sprintf("a@d%d.test", i), "support@desk.test", "Order", fmt.Sprintf("%d@d.test", i), body))
		c.close()
		if err != nil || !strings.HasPrefix(got, "250 2.6.0 ") {
			t.Fatalf("%s %v", got, err)
		}
		d.quiet(i + 1) // so that no sync of another transaction is taken for this one's
	}
	calls := readTrace(detach())
	for i := range mails {
		checkOrder(t, calls, fmt.Sprintf("MARK-%d-END", i), d.Data, i < large)
	}
}

// quiet waits until nothing of n mails is left to do: each has been answered
// by an automatic mail, which was captured.
func (d *desk) quiet(n int) {
	d.t.Helper()
	eventually(d.t, 20*time.Second, "the end of work", func() error {
		got := decode[api.Outgoing](d, "queue", "list", "--limit", "0", "--state", "captured")
		if len(got) != n {
			return fmt.Errorf("%d captured, want %d", len(got), n)
		}
		return nil
	})
}

// checkOrder wants a sync that began after the last octet of a mail was read
// and ended before its 250 was written; of a large mail two, its bytes first.
func checkOrder(t *testing.T, calls []*call, mark, data string, large bool) {
	t.Helper()
	read, replied := 0, 0
	for _, c := range calls {
		if strings.Contains(c.text, mark) && (strings.HasPrefix(c.name, "read") || c.name == "recvfrom") {
			read = c.ended
		}
		if read > 0 && c.began > read && c.name == "write" && strings.Contains(c.text, `"250 2.6.0 `) {
			replied = c.began
			break
		}
	}
	var synced, blobs bool
	for _, c := range calls {
		if !strings.Contains(syncCalls, c.name) || !c.ok || c.began < read || c.ended > replied {
			continue
		}
		if c.name != "msync" && strings.Contains(c.text, data+"/store/blobs/") {
			blobs = true
			continue
		}
		synced = synced || blobs || !large
	}
	if read == 0 || replied == 0 || !synced {
		t.Errorf("%s: read on line %d, 250 on line %d of the trace, synced between them: %v, large bytes first: %v", mark, read, replied, synced, blobs)
	}
}

// TestRealSyncFails makes every sync fail from one moment on: nothing is
// promised any more until a restart, and what was promised is there.
func TestRealSyncFails(t *testing.T) {
	needs(t, "strace")
	for _, name := range strings.Split(syncCalls, ",")[:2] {
		t.Run(name, func(t *testing.T) { syncFails(t, name) })
	}
}

func syncFails(t *testing.T, name string) {
	d := loadedDesk(t, "")
	large := strings.Repeat("words of message in a large mail\n", 8000)
	send := func(id string) string {
		c, err := dial(d.SMTP, false)
		if err != nil {
			return err.Error()
		}
		defer c.close()
		got, err := c.deliver("ann@customer.test", "support@desk.test", letter("ann@customer.test", "support@desk.test", "Sync", id, large))
		if err != nil {
			return err.Error()
		}
		return got
	}
	var taken, refused []string
	for i := range 3 {
		id := fmt.Sprintf("before.%d@customer.test", i)
		if got := send(id); !strings.HasPrefix(got, "250 ") {
			t.Fatal(got)
		}
		taken = append(taken, id)
	}
	d.quiet(len(taken))
	if d.readyz() != http.StatusOK {
		t.Error("not ready before")
	}
	detach := d.strace("-e", "trace="+name, "-e", "inject="+name+":error=EIO")
	for i := range 4 {
		if i == 2 {
			if text := detach(); !strings.Contains(text, "(INJECTED)") {
				t.Fatalf("no %s failed:\n%s", name, text)
			}
		}
		id := fmt.Sprintf("during.%d@customer.test", i)
		if got := send(id); got == "" || got[0] != '4' {
			t.Errorf("mail %d after a failed sync: %s", i, got)
		}
		refused = append(refused, id)
		if got := d.readyz(); got != http.StatusServiceUnavailable {
			t.Errorf("/readyz says %d", got)
		}
	}
	d.stop(syscall.SIGTERM)
	d.start()
	for _, id := range refused { // honest senders come again
		if got := send(id); !strings.HasPrefix(got, "250 ") {
			t.Errorf("after the restart: %s", got)
		}
	}
	have := messages(d.threads())
	for _, id := range append(taken, refused...) {
		if len(have[id]) != 1 {
			t.Errorf("%s is there %d times", id, len(have[id]))
		}
	}
}
