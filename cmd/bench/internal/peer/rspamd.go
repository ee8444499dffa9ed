package peer

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// Rspamd checks SPF, DKIM, DMARC and ARC as Postfix's milter, and does nothing
// else.
type Rspamd struct {
	*process
	Socket string
}

// rspamdConf has no other modules. What comes from loopback is checked too.
const rspamdConf = `options {
  pidfile = "%[1]s/rspamd.pid"; filters = "dkim"; tempdir = "%[1]s"; hs_cache_dir = "%[1]s"; cache_file = "%[1]s/symbols.cache";
  control_socket = "%[1]s/control.sock mode=0600"; stats_file = "%[1]s/stats.ucl"; url_tld = "%[1]s/suffixes";
  explicit_modules = []; local_addrs = []; task_timeout = 8s; allow_raw_input = true; words_decay = 600;
  dns { nameserver = ["%[2]s"]; timeout = 1s; sockets = 16; retransmits = 5; }
}
logging {
  type = "console"; level = "info";
  log_format = "id: <$mid>, ip: $ip, from: <$smtp_from>, (default: $is_spam ($action): [$scores] [$symbols]), len: $len, time: $time_real, dns req: $dns_req";
}
worker "rspamd_proxy" {
  bind_socket = "%[3]s mode=0666"; count = %[4]d; milter = yes; timeout = 120s; max_retries = 5;
  upstream "local" { default = yes; self_scan = yes; }
}
modules {
  path = "/usr/share/rspamd/plugins/spf.lua";
  path = "/usr/share/rspamd/plugins/dmarc.lua";
  path = "/usr/share/rspamd/plugins/arc.lua";
}
dkim { check_local = true; check_authed = true; }
spf { check_local = true; check_authed = true; }
dmarc { check_local = true; check_authed = true; }
arc { check_local = true; check_authed = true; sign_inbound = false; sign_local = false; sign_authenticated = false; }
`

// StartRspamd runs rspamd with some workers in a folder of its own below dir,
// asking the name server at nameServer.
func StartRspamd(ctx context.Context, dir, nameServer string, workers int) (*Rspamd, error) {
	dir = filepath.Join(dir, "rspamd")
	if err := folder(dir, "_rspamd"); err != nil {
		return nil, err
	}
	s := &Rspamd{Socket: filepath.Join(dir, "milter.sock")}
	// The whole list of public suffixes takes half a minute to compile.
	if _, err := write(dir, "suffixes", "test\n"); err != nil {
		return nil, err
	}
	conf, err := write(dir, "rspamd.conf", fmt.Sprintf(rspamdConf, dir, nameServer, s.Socket, workers))
	if err != nil {
		return nil, err
	}
	if s.process, err = start("rspamd", dir, nil, "rspamd", "-c", conf, "-f", "-u", "_rspamd", "-g", "_rspamd"); err != nil {
		return nil, err
	}
	return s, s.ready(ctx, func() error {
		c, err := net.DialTimeout("unix", s.Socket, time.Second)
		if err == nil {
			c.Close()
		}
		return err
	})
}

// passedAll are rspamd's names for what must hold of a mail.
var passedAll = []string{"R_SPF_ALLOW", "R_DKIM_ALLOW", "DMARC_POLICY_ALLOW"}

// Passed counts the lines of the log that name all of passedAll.
func (s *Rspamd) Passed(context.Context) (int, error) {
	b, err := os.ReadFile(s.log)
	n := 0
	for line := range bytes.Lines(b) {
		all := true
		for _, symbol := range passedAll {
			all = all && bytes.Contains(line, []byte(symbol))
		}
		if all {
			n++
		}
	}
	return n, err
}

// Stop ends it.
func (s *Rspamd) Stop() error { return s.stop() }

// Version is what the package calls itself.
func (s *Rspamd) Version() string {
	f := strings.Fields(output("rspamd", "--version"))
	return f[len(f)-1]
}

// Filtered is Postfix with rspamd behind it.
type Filtered struct {
	*Postfix
	Rspamd *Rspamd
}

// Roots are the master processes of both.
func (s Filtered) Roots() []int { return append(s.Postfix.Roots(), s.Rspamd.cmd.Process.Pid) }

// Passed counts the mails that rspamd let pass.
func (s Filtered) Passed(ctx context.Context) (int, error) { return s.Rspamd.Passed(ctx) }
