package main

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/mxdesk/mxdesk/queue/queuetest"
	"github.com/mxdesk/mxdesk/server/api"
)

// faults is everything that is done to a desk under load.
func faults() []fault {
	const millisecond = time.Millisecond
	noReply := func(string) bool { return false }
	return []fault{
		{name: "kill -9", twice: true, hurt: func(w *trial) {
			w.busy()
			w.kill()
			w.start()
		}},
		{name: "kill -9 under 1 MiB mails", twice: true, bulk: 2, hurt: func(w *trial) {
			w.busy()
			w.kill()
			w.start()
		}},
		{name: "kill -9 while it starts", twice: true, hurt: func(w *trial) {
			w.busy()
			w.kill()
			for range 3 {
				w.d.run(w.d.bin, []string{"serve", "--config", w.d.config()})
				w.killAmid(150*millisecond, w.d.starts)
			}
			w.start()
		}},
		{name: "kill -9 while segments are compacted", twice: true, bulk: 4, hurt: func(w *trial) {
			w.kill()
			w.d.seal()
			w.start()
			w.busy()
			w.killAmid(500*millisecond, func() error { return w.d.admin("store.compact", struct{}{}, &api.Line{}) })
			w.start()
		}},
		{name: "kill -9 while a backup is made", twice: true, hurt: func(w *trial) {
			w.busy()
			folder := filepath.Join(w.d.dir, "backups")
			w.killAmid(200*millisecond, w.d.backsUp(folder))
			w.start()
			if names, _ := filepath.Glob(filepath.Join(folder, "snapshots", "*.mxdesk")); len(names) > 0 {
				w.d.do("restore", folder, "--check")
			}
		}},
		{name: "SIGTERM under 1 MiB mails", twice: false, bulk: 2, hurt: func(w *trial) {
			pause(300*millisecond, 1000*millisecond)
			began := time.Now()
			code := w.d.stop(syscall.SIGTERM)
			if took := time.Since(began); code != 0 || took > drainTime+time.Second {
				w.Errorf("exit %d after %s:\n%s", code, took, tail(w.d.log.String(), 2000))
			}
			w.d.start()
		}},
		{name: "SIGSTOP for 5 to 30 s", slow: 10, hurt: func(w *trial) {
			pause(200*millisecond, 800*millisecond)
			w.signal(syscall.SIGSTOP)
			pause(5*time.Second, time.Duration(5+min(25, rounds()))*time.Second)
			w.signal(syscall.SIGCONT)
		}},
		{name: "full disk", disk: true, settings: "smtp.max_size = 1048576", twice: true, later: true, hurt: fullDisk,
			tempfail: func(r string) bool { return r == "452 4.3.1" || r == "451 4.3.0" || r == "421 4.3.2" }},
		{name: "DNS dead for 6 s", slow: 5, fresh: true, within: 30 * time.Second, hurt: func(w *trial) {
			w.dns.mode.Store(dnsDead)
			time.Sleep(6 * time.Second)
			w.dns.mode.Store(dnsWell)
		}},
		{name: "DNS answers after 4 s", slow: 5, fresh: true, within: 40 * time.Second, hurt: func(w *trial) {
			w.dns.mode.Store(dnsSlow)
			time.Sleep(8 * time.Second)
			w.dns.mode.Store(dnsWell)
		}},
		{name: "next hop is slow", slow: 3, tempfail: noReply, hurt: func(w *trial) {
			w.hop.behave(func(queuetest.Event) queuetest.Action { return queuetest.Action{Delay: 400 * millisecond} })
			time.Sleep(3 * time.Second)
			w.hop.behave(nil)
		}},
		{name: "next hop is dead or hangs up inside DATA", slow: 3, tempfail: noReply, later: true, hurt: func(w *trial) {
			drop := []string{"CONNECT", "DATA", "BODY", "END"}[w.hurts%4]
			w.hop.behave(func(e queuetest.Event) queuetest.Action { return queuetest.Action{Drop: e.Verb == drop} })
			time.Sleep(1500 * millisecond)
			w.hop.behave(nil)
		}},
		{name: "a second server on the same data", tempfail: noReply, hurt: func(w *trial) {
			time.Sleep(300 * millisecond)
			_, stderr, code := w.d.try("serve")
			if code != exitIO || strings.Count(stderr, "\n") != 1 || !strings.Contains(stderr, w.d.pid()) || !strings.Contains(stderr, "--data") {
				w.Errorf("exit %d: %s", code, stderr)
			}
		}},
		startInjected("EIO of fsync while it starts", "fsync:error=EIO"),
		startInjected("EIO of msync while it starts", "msync:error=EIO"),
		inject("EIO of fdatasync", "fdatasync:error=EIO", 4),
		inject("EIO of msync", "msync:error=EIO", 0),
		inject("EIO of writes to segments", "pwrite64:error=EIO", 4),
		inject("ENOSPC of writes to segments", "pwrite64:error=ENOSPC", 4),
		inject("writes to segments cut short", "pwrite64:retval=0", 4),
		startInjected("ENOSPC of ftruncate while it starts", "ftruncate:error=ENOSPC"),
	}
}

// inject makes a kind of system call fail, as strace does it, for some time.
func inject(name, what string, bulk int) fault {
	call, _, _ := strings.Cut(what, ":")
	return fault{name: name, slow: 3, bulk: bulk, twice: true, later: true, hurt: func(w *trial) {
		time.Sleep(300 * time.Millisecond)
		detach := w.d.strace("-e", "trace="+call, "-e", "inject="+what)
		stopped := w.stops(4 * time.Second)
		if stopped {
			time.Sleep(100 * time.Millisecond)
			before := w.load.count()
			time.Sleep(500 * time.Millisecond)
			if n := w.load.count(); n != before && w.d.readyz() != http.StatusOK {
				w.Errorf("%d messages were taken after the store had stopped", n-before)
			}
		}
		if text := detach(); !strings.Contains(text, "(INJECTED)") {
			w.Logf("no %s within this time", call)
		}
		if w.ended() {
			w.d.start()
		} else if w.d.readyz() != http.StatusOK { // only a restart may lift that
			w.d.stop(syscall.SIGTERM)
			w.d.start()
		}
	}}
}

// startInjected kills the server and makes one system call after the other of a
// kind fail while it starts again.
func startInjected(name, what string) fault {
	call, _, _ := strings.Cut(what, ":")
	return fault{name: name, slow: 3, twice: true, later: true, hurt: func(w *trial) {
		pause(300*time.Millisecond, 800*time.Millisecond)
		w.kill()
		trace := filepath.Join(w.d.dir, "trace")
		w.d.run("strace", []string{"-f", "-qq", "-o", trace, "-e", "trace=" + call, "-e",
			fmt.Sprintf("inject=%s:when=%d", what, 1+(w.hurts-1)%8), w.d.bin, "serve", "--config", w.d.config()})
		time.Sleep(2 * time.Second)
		w.d.stop(syscall.SIGTERM)
		if text := readFile(w.T, trace); !strings.Contains(text, "(INJECTED)") {
			w.Logf("fewer than %d calls of %s", 1+(w.hurts-1)%8, call)
		}
		w.d.start()
	}}
}

// stops waits until the desk is not ready any more.
func (w *trial) stops(within time.Duration) bool {
	for end := time.Now().Add(within); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if w.d.readyz() != http.StatusOK {
			return true
		}
	}
	return false
}

func (w *trial) ended() bool {
	select {
	case <-w.d.ended:
		return true
	default:
		return false
	}
}

// busy lets the senders work until the server has taken some messages more, up
// to a number that is less where they are large, and is at any point of its work.
func (w *trial) busy() {
	w.Helper()
	most := 400
	if w.bulk > 0 {
		most = 40
	}
	w.load.more(w.T, rand.IntN(most))
	pause(0, 20*time.Millisecond)
}

// killAmid kills the server within some time after work has begun, which fails
// when it is cut short.
func (w *trial) killAmid(within time.Duration, work func() error) {
	w.Helper()
	end := make(chan error, 1)
	go func() { end <- work() }()
	pause(0, within)
	w.kill()
	if <-end != nil {
		w.amid++
	}
}

// starts waits until the server is ready or gone.
func (d *desk) starts() error {
	for !strings.HasSuffix(d.out.String(), "\nready\n") {
		select {
		case <-d.ended:
			return errors.New("it has ended")
		case <-time.After(time.Millisecond):
		}
	}
	return nil
}

// backsUp begins to save the desk into a folder, and returns what waits for the
// end of that.
func (d *desk) backsUp(folder string) (wait func() error) {
	d.t.Helper()
	cmd := exec.Command(d.bin, "--config", d.config(), "backup", folder)
	if err := cmd.Start(); err != nil {
		d.t.Fatal(err)
	}
	end := make(chan error, 1)
	go func() { end <- cmd.Wait() }()
	defer late(d.t, "the beginning of a backup", time.Now())
	for len(end) == 0 && len(unfinished(d.t, folder)) == 0 {
		time.Sleep(time.Millisecond)
	}
	return func() error { return <-end }
}

// late notes in the log of the test what took long.
func late(t *testing.T, what string, began time.Time) {
	if took := time.Since(began); took > 3*time.Second {
		t.Logf("%s took %s", what, took.Round(time.Millisecond))
	}
}

// seal ends the segment that a stopped server wrote to, as one ends that is
// full, and makes garbage of most of it: the next compaction empties it.
func (d *desk) seal() {
	d.t.Helper()
	names, _ := filepath.Glob(filepath.Join(d.Data, "store", "blobs", "*.seg"))
	last, number := slices.Max(names), 0
	info, err := os.Stat(last)
	if err == nil {
		_, err = fmt.Sscanf(filepath.Base(last), "%d.seg", &number)
	}
	if err == nil {
		err = os.Truncate(last, 3*info.Size())
	}
	if err != nil {
		d.t.Fatal(err)
	}
	writeText(d.t, filepath.Join(filepath.Dir(last), fmt.Sprintf("%010d.seg", number+1)), "")
}

// kill ends the server at once.
func (w *trial) kill() {
	w.Helper()
	w.kills++
	w.gaps = append(w.gaps, gap{from: len(w.hop.Messages()), to: math.MaxInt})
	if code := w.d.stop(syscall.SIGKILL); code != -1 {
		w.Fatalf("exit %d, not killed:\n%s", code, tail(w.d.log.String(), 2000))
	}
}

// start starts the server again after kills.
func (w *trial) start() {
	w.Helper()
	defer late(w.T, "a start", time.Now())
	w.d.start()
	for i := range w.gaps {
		w.gaps[i].to = min(w.gaps[i].to, len(w.hop.Messages()))
	}
}

func (w *trial) signal(sig syscall.Signal) {
	w.Helper()
	if err := w.d.cmd.Process.Signal(sig); err != nil {
		w.Fatal(err)
	}
}

// fullDisk fills a disk in steps, as by a log that grows: below the reserve
// nothing is written any more, and what was under way has an end.
func fullDisk(w *trial) {
	time.Sleep(300 * time.Millisecond)
	fill(w.T, w.d.Data, 40<<20)
	time.Sleep(700 * time.Millisecond)
	filler := fill(w.T, w.d.Data, 0)
	time.Sleep(300 * time.Millisecond)
	if err := os.Remove(filler); err != nil {
		w.Fatal(err)
	}
	if w.ended() {
		w.Errorf("a full disk ended the server: exit %d\n%s", w.d.cmd.ProcessState.ExitCode(), tail(w.d.log.String(), 3000))
		w.d.start()
	}
	before := w.load.count()
	eventually(w.T, 30*time.Second, "mail again", func() error {
		if w.load.count() > before+9 {
			return nil
		}
		if w.d.readyz() != http.StatusOK { // a write failed: only a restart may lift that
			w.d.stop(syscall.SIGTERM)
			w.d.start()
		}
		return fmt.Errorf("%d messages taken", w.load.count())
	})
}

// slowDNS stands before a name server and can lose or delay what it is asked.
type slowDNS struct {
	addr string
	mode atomic.Int32
}

const (
	dnsWell int32 = iota
	dnsDead
	dnsSlow
)

// newSlowDNS passes datagrams on to a name server until the test ends.
func newSlowDNS(t *testing.T, server string) *slowDNS {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	p := &slowDNS{addr: conn.LocalAddr().String()}
	go func() {
		buf := make([]byte, 4096)
		for {
			n, from, err := conn.ReadFrom(buf)
			if errors.Is(err, net.ErrClosed) {
				return
			}
			if err != nil {
				continue
			}
			question := append([]byte(nil), buf[:n]...)
			switch p.mode.Load() {
			case dnsWell:
				go forward(conn, from, server, question)
			case dnsSlow:
				time.AfterFunc(4*time.Second, func() { forward(conn, from, server, question) })
			}
		}
	}()
	return p
}

func forward(conn net.PacketConn, from net.Addr, server string, question []byte) {
	up, err := net.Dial("udp", server)
	if err != nil {
		return
	}
	defer up.Close()
	up.SetDeadline(time.Now().Add(5 * time.Second))
	answer := make([]byte, 4096)
	if _, err := up.Write(question); err != nil {
		return
	}
	if n, err := up.Read(answer); err == nil {
		conn.WriteTo(answer[:n], from)
	}
}
