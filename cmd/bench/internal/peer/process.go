// Package peer runs the servers that are measured, each with folders and ports
// of its own on loopback, none of them as a service.
package peer

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
	"time"
)

// process is a server with its children. It dies with this program.
type process struct {
	name  string
	cmd   *exec.Cmd
	log   string // file with what it says
	ended chan struct{}
	ports []func() // give its ports back
}

// start runs a program in a process group of its own. A Ctrl-C at the terminal
// reaches this program only, which then stops it.
func start(name, dir string, env []string, program string, args ...string) (*process, error) {
	p := &process{name: name, log: filepath.Join(dir, name+".log"), ended: make(chan struct{})}
	log, err := os.OpenFile(p.log, os.O_CREATE|os.O_TRUNC|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	p.cmd = exec.Command(program, args...)
	p.cmd.Dir, p.cmd.Env = dir, append(env, "PATH=/usr/sbin:/usr/bin:/sbin:/bin")
	p.cmd.Stdout, p.cmd.Stderr = log, log
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	go func() {
		p.cmd.Wait()
		close(p.ended)
	}()
	return p, nil
}

// stopTime is how long a server may take to end by itself.
const stopTime = 15 * time.Second

// stop ends the server and every process it started.
func (p *process) stop() error {
	if p == nil {
		return nil
	}
	family := descendants(p.cmd.Process.Pid)
	err := p.cmd.Process.Signal(syscall.SIGTERM)
	if errors.Is(err, os.ErrProcessDone) {
		err = nil
	}
	select {
	case <-p.ended:
	case <-time.After(stopTime):
		err = errors.Join(err, fmt.Errorf("%s did not end within %s", p.name, stopTime), p.cmd.Process.Kill())
		<-p.ended
	}
	for _, child := range family {
		if still, known := startOf(child.pid); known && still == child.started {
			syscall.Kill(child.pid, syscall.SIGKILL)
		}
	}
	for _, release := range p.ports {
		release()
	}
	return err
}

// said is the end of what the server wrote.
func (p *process) said() string {
	b, err := os.ReadFile(p.log)
	if err != nil {
		return err.Error()
	}
	return string(b[max(0, len(b)-2000):])
}

// ready waits until ask has no error.
func (p *process) ready(ctx context.Context, ask func() error) error {
	for end := time.Now().Add(30 * time.Second); ; {
		err := ask()
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-p.ended:
			return fmt.Errorf("%s ended: %s", p.name, p.said())
		case <-time.After(20 * time.Millisecond):
		}
		if time.Now().After(end) {
			return fmt.Errorf("%s is not ready: %w: %s", p.name, err, p.said())
		}
	}
}

// greets is nil when the server at addr says its greeting.
func greets(addr string) error {
	c, err := net.DialTimeout("tcp", addr, time.Second)
	if err != nil {
		return err
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(5 * time.Second)); err != nil {
		return err
	}
	var b [3]byte
	if _, err := c.Read(b[:]); err != nil {
		return err
	}
	if string(b[:]) != "220" {
		return fmt.Errorf("the greeting of %s begins with %q", addr, b)
	}
	_, err = c.Write([]byte("QUIT\r\n"))
	return err
}

// folder makes a folder that belongs to a user.
func folder(dir, owner string) error {
	u, err := user.Lookup(owner)
	if err != nil {
		return fmt.Errorf("%w: run .ci/install-bench", err)
	}
	uid, err := strconv.Atoi(u.Uid)
	if err != nil {
		return err
	}
	gid, err := strconv.Atoi(u.Gid)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	return os.Chown(dir, uid, gid)
}

func write(dir, name, text string) (string, error) {
	file := filepath.Join(dir, name)
	return file, os.WriteFile(file, []byte(text), 0o644)
}
