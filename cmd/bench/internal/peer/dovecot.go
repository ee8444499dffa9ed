package peer

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"

	"github.com/mxdesk/mxdesk/cmd/internal/ports"
)

// Dovecot takes mail by LMTP into Maildirs, one for each recipient.
type Dovecot struct {
	*process
	dir  string
	Addr string
}

const dovecotConf = `protocols = lmtp
base_dir = %[1]s/run
state_dir = %[1]s/state
log_path = %[1]s/log
listen = 127.0.0.1
ssl = no
mail_location = maildir:%%h
mail_fsync = optimized
userdb {
  driver = static
  args = uid=nobody gid=nogroup home=%[1]s/mail/%%n allow_all_users=yes
}
passdb {
  driver = static
  args = nopassword=y
}
service lmtp {
  process_limit = 200
  inet_listener lmtp {
    address = 127.0.0.1
    port = %[2]s
  }
}
`

// StartDovecot runs Dovecot in a folder of its own below dir. It must be
// started by root.
func StartDovecot(ctx context.Context, dir string) (*Dovecot, error) {
	dir = filepath.Join(dir, "dovecot")
	for path, owner := range map[string]string{dir: "root", dir + "/run": "root", dir + "/state": "root", dir + "/mail": "nobody"} {
		if err := folder(path, owner); err != nil {
			return nil, err
		}
	}
	addr, release, err := ports.Reserve()
	if err != nil {
		return nil, err
	}
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, err
	}
	conf, err := write(dir, "dovecot.conf", fmt.Sprintf(dovecotConf, dir, port))
	if err != nil {
		return nil, err
	}
	p, err := start("dovecot", dir, nil, "dovecot", "-F", "-c", conf)
	if err != nil {
		return nil, err
	}
	p.ports = append(p.ports, release)
	s := &Dovecot{process: p, dir: dir, Addr: addr}
	return s, s.ready(ctx, func() error { return greets(addr) })
}

// mailboxes are the folders new/ of all recipients.
func (s *Dovecot) mailboxes() ([]string, error) { return filepath.Glob(s.dir + "/mail/*/new") }

// Kept counts the mails in all mailboxes.
func (s *Dovecot) Kept(context.Context) (int, error) {
	boxes, err := s.mailboxes()
	n := 0
	for _, box := range boxes {
		files, err := os.ReadDir(box)
		if err != nil {
			return 0, err
		}
		n += len(files)
	}
	return n, err
}

// Clear removes the mailboxes.
func (s *Dovecot) Clear() error {
	boxes, err := s.mailboxes()
	errs := []error{err}
	for _, box := range boxes {
		errs = append(errs, os.RemoveAll(filepath.Dir(box)))
	}
	return errors.Join(errs...)
}

// Roots is the master process.
func (s *Dovecot) Roots() []int { return []int{s.cmd.Process.Pid} }

// Stop ends it.
func (s *Dovecot) Stop() error { return s.stop() }

// Version is what the package calls itself.
func (s *Dovecot) Version() string {
	v, _, _ := strings.Cut(output("dovecot", "--version"), " ")
	return v
}
