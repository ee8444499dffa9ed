package peer

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/mxdesk/mxdesk/cmd/internal/ports"
)

// Postfix takes mail into its durable queue and holds it there: nothing is
// delivered, which is the best case for it.
type Postfix struct {
	*process
	dir    string
	Plain  string // address without checks
	Milter string // address where rspamd is asked
}

const masterCF = `%[1]s inet n - n - - smtpd
%[2]s inet n - n - - smtpd -o smtpd_milters=unix:%[3]s
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
error unix - - n - - error
retry unix - - n - - error
anvil unix - - n - 1 anvil
tlsmgr unix - - n 1000? 1 tlsmgr
postlog unix-dgram n - n - 1 postlogd
`

// mainCF is Postfix's default with the limits lifted that one client would
// meet, and without the delay that it puts in to slow such a client down.
const mainCF = `compatibility_level = 3.6
queue_directory = %[1]s/queue
data_directory = %[1]s/data
mail_owner = postfix
setgid_group = postdrop
command_directory = /usr/sbin
daemon_directory = /usr/lib/postfix/sbin
maillog_file = %[1]s/log
maillog_file_prefixes = %[1]s
myhostname = mx.` + Domain + `
mydestination =
relay_domains = ` + Domain + `
mynetworks = 127.0.0.0/8
alias_maps =
inet_protocols = ipv4
default_process_limit = 200
smtpd_client_connection_count_limit = 0
smtpd_peername_lookup = no
in_flow_delay = 0
message_size_limit = 52428800
smtpd_data_restrictions = check_client_access static:HOLD
milter_default_action = tempfail
`

// StartPostfix runs Postfix in a folder of its own below dir. It must be
// started by root.
func StartPostfix(ctx context.Context, dir, milterSocket string) (*Postfix, error) {
	dir = filepath.Join(dir, "postfix")
	conf := filepath.Join(dir, "conf")
	for path, owner := range map[string]string{dir: "root", conf: "root", dir + "/queue": "root", dir + "/data": "postfix"} {
		if err := folder(path, owner); err != nil {
			return nil, err
		}
	}
	plain, releasePlain, err := ports.Reserve()
	if err != nil {
		return nil, err
	}
	milter, releaseMilter, err := ports.Reserve()
	if err != nil {
		return nil, err
	}
	_, err1 := write(conf, "main.cf", fmt.Sprintf(mainCF, dir))
	_, err2 := write(conf, "master.cf", fmt.Sprintf(masterCF, plain, milter, milterSocket))
	if err := errors.Join(err1, err2); err != nil {
		return nil, err
	}
	if said, err := exec.CommandContext(ctx, "postfix", "-c", conf, "check").CombinedOutput(); err != nil {
		return nil, fmt.Errorf("postfix check: %w: %s", err, said)
	}
	p, err := start("postfix", dir, []string{"MAIL_CONFIG=" + conf}, "/usr/lib/postfix/sbin/master", "-c", conf, "-d")
	if err != nil {
		return nil, err
	}
	p.ports = append(p.ports, releasePlain, releaseMilter)
	s := &Postfix{process: p, dir: dir, Plain: plain, Milter: milter}
	return s, errors.Join(s.ready(ctx, func() error { return greets(plain) }), s.ready(ctx, func() error { return greets(milter) }))
}

// Kept counts the mails on hold.
func (s *Postfix) Kept(context.Context) (int, error) { return countFiles(s.dir + "/queue/hold") }

// Clear forgets them.
func (s *Postfix) Clear() error { return removeFiles(s.dir + "/queue/hold") }

// Roots is the master process.
func (s *Postfix) Roots() []int { return []int{s.cmd.Process.Pid} }

// Stop ends it.
func (s *Postfix) Stop() error { return s.stop() }

// Version is what the package calls itself.
func (s *Postfix) Version() string { return output("postconf", "-h", "mail_version") }

// output is the first line of what a program says, "" if it says nothing.
func output(program string, args ...string) string {
	b, err := exec.Command(program, args...).CombinedOutput()
	if err != nil {
		return ""
	}
	line, _, _ := strings.Cut(strings.TrimSpace(string(b)), "\n")
	return line
}
