package main

import (
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

const postfixSbin = "/usr/lib/postfix/sbin"

// postfix is one Postfix with folders of its own: the mail server of
// customer.test, with the mailboxes of ann and bob.
type postfix struct {
	t    *testing.T
	dir  string
	Addr string // SMTP
}

// services is a master.cf that needs no chroot.
const services = `%s inet n - n - - smtpd
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
smtp unix - - n - - smtp
lmtp unix - - n - - lmtp
error unix - - n - - error
retry unix - - n - - error
virtual unix - n n - - virtual
anvil unix - - n - 1 anvil
tlsmgr unix - - n 1000? 1 tlsmgr
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
`

const postfixMain = `compatibility_level = 3.6
queue_directory = %[1]s/queue
data_directory = %[1]s/data
mail_owner = postfix
setgid_group = postdrop
command_directory = /usr/sbin
daemon_directory = /usr/lib/postfix/sbin
maillog_file = %[1]s/log
maillog_file_prefixes = %[1]s
myhostname = mx.customer.test
mydestination =
mynetworks = 127.0.0.0/8
alias_maps =
smtp_host_lookup = native
smtp_dns_support_level = disabled
smtp_tls_security_level = may
smtpd_tls_security_level = may
smtpd_tls_chain_files = %[1]s/tls.pem
virtual_mailbox_domains = customer.test
virtual_mailbox_base = %[1]s/mail
virtual_mailbox_maps = inline:{ ann@customer.test=ann/, bob@customer.test=bob/ }
virtual_uid_maps = static:65534
virtual_gid_maps = static:65534
minimal_backoff_time = 2s
queue_run_delay = 2s
transport_maps = inline:{ desk.test=%[2]s }
`

// newPostfix starts a Postfix that delivers mail for desk.test by transport,
// for example lmtp:inet:127.0.0.1:2424.
func newPostfix(t *testing.T, transport string) *postfix {
	t.Helper()
	needs(t, "postfix", "openssl")
	if os.Getuid() != 0 {
		t.Fatal("postfix must be started by root: run the tests as root")
	}
	p := &postfix{t: t, dir: t.TempDir(), Addr: freeAddr(t)}
	conf := filepath.Join(p.dir, "conf")
	for dir, owner := range map[string]string{filepath.Dir(p.dir): "root", p.dir: "root", conf: "root", p.dir + "/queue": "root", p.dir + "/data": "postfix", p.dir + "/mail": "nobody"} {
		makeDir(t, dir, owner)
	}
	writeText(t, filepath.Join(conf, "main.cf"), fmt.Sprintf(postfixMain, p.dir, transport))
	writeText(t, filepath.Join(conf, "master.cf"), fmt.Sprintf(services, p.Addr))
	key := filepath.Join(p.dir, "tls.pem")
	if _, stderr, code := execute(t, p.dir, "openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=mx.customer.test", "-keyout", key, "-out", key+".crt"); code != 0 {
		t.Fatal(stderr)
	}
	writeText(t, key, readFile(t, key)+readFile(t, key+".crt"))
	if stdout, stderr, code := execute(t, p.dir, "postfix", "-c", conf, "check"); code != 0 {
		t.Fatalf("postfix check: %s%s", stdout, stderr)
	}
	p.run(conf)
	return p
}

func makeDir(t *testing.T, dir, owner string) {
	t.Helper()
	u, err := user.Lookup(owner)
	if err != nil {
		t.Fatalf("%v: run .ci/install", err)
	}
	uid, _ := strconv.Atoi(u.Uid)
	gid, _ := strconv.Atoi(u.Gid)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(dir, uid, gid); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
}

// run starts the master process in a process group of its own, which it ends
// together with its children on SIGTERM.
func (p *postfix) run(conf string) {
	p.t.Helper()
	cmd := exec.Command(filepath.Join(postfixSbin, "master"), "-c", conf, "-d")
	cmd.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "MAIL_CONFIG=" + conf}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
	if err := cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() {
		syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM)
		cmd.Wait()
		if p.t.Failed() {
			p.t.Logf("postfix:\n%s", tail(readFile(p.t, filepath.Join(p.dir, "log")), 4000))
		}
	})
	eventually(p.t, 20*time.Second, "postfix", func() error {
		c, err := dial(p.Addr, false)
		if err != nil {
			return err
		}
		c.close()
		return nil
	})
}

// submit gives a message to Postfix as a person's mail program would.
func (p *postfix) submit(from, to, message string) {
	p.t.Helper()
	host, port, _ := net.SplitHostPort(p.Addr)
	file := writeText(p.t, filepath.Join(p.t.TempDir(), "mail.eml"), message)
	stdout, stderr, code := execute(p.t, p.dir, "swaks", "--server", host, "--port", port, "--helo", "client.customer.test",
		"--from", from, "--to", to, "--data", "@"+file, "--suppress-data")
	if code != 0 {
		p.t.Fatalf("swaks: exit %d\n%s%s", code, stdout, stderr)
	}
}

// mailbox returns the mails in somebody's mailbox, oldest first.
func (p *postfix) mailbox(name string) []string {
	p.t.Helper()
	var mails []string
	dir := filepath.Join(p.dir, "mail", name, "new")
	files, err := os.ReadDir(dir) // sorted by name, which begins with the time
	if err != nil && !os.IsNotExist(err) {
		p.t.Fatal(err)
	}
	for _, f := range files {
		if f.Type()&fs.ModeType == 0 {
			mails = append(mails, readFile(p.t, filepath.Join(dir, f.Name())))
		}
	}
	return mails
}

// waitMail waits for the nth mail in somebody's mailbox that has a text.
func (p *postfix) waitMail(name, text string) string {
	p.t.Helper()
	found := ""
	eventually(p.t, 40*time.Second, "a mail to "+name+" with "+strconv.Quote(text), func() error {
		mails := p.mailbox(name)
		for _, m := range mails {
			if strings.Contains(m, text) {
				found = m
				return nil
			}
		}
		return fmt.Errorf("%d mails: %s", len(mails), tail(strings.Join(mails, "\n----\n"), 1500))
	})
	return found
}
