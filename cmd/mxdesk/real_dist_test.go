package main

import (
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// TestRealDist builds the Debian package as "make dist" does, unpacks it, and
// runs the program from there as the service would: as nobody in particular,
// with the one capability that the unit grants.
func TestRealDist(t *testing.T) {
	needs(t, "dpkg-deb", "systemd-analyze", "setpriv", "strace")
	if os.Getuid() != 0 {
		t.Fatal("an unprivileged user with a capability is made by root: run the tests as root")
	}
	out, root := t.TempDir(), t.TempDir()
	build := exec.CommandContext(t.Context(), "package/build", out)
	build.Env = append(os.Environ(), "ARCHES="+strings.TrimSpace(run1(t, "dpkg", "--print-architecture")), "SOURCE_DATE_EPOCH=1800000000")
	if text, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	debs, err := filepath.Glob(out + "/*.deb")
	if err != nil || len(debs) != 1 {
		t.Fatalf("packages %v, %v", debs, err)
	}
	checkContents(t, debs[0])
	for _, folder := range []string{filepath.Dir(root), root} {
		if err := os.Chmod(folder, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	run1(t, "dpkg-deb", "-x", debs[0], root)
	t.Run("Unit", func(t *testing.T) { checkUnit(t, root) })
	t.Run("Accounts", func(t *testing.T) { checkAccounts(t, root) })
	t.Run("Serve", func(t *testing.T) { serveInstalled(t, root) })
}

// A worktree of git gives the bytes, and the version, that a clone gives.
func TestRealDistWorktree(t *testing.T) {
	needs(t, "dpkg-deb", "git")
	dir := t.TempDir()
	clone, tree := filepath.Join(dir, "clone"), filepath.Join(dir, "tree")
	run1(t, "cp", "-r", "../..", clone)
	if err := os.RemoveAll(filepath.Join(clone, ".git")); err != nil {
		t.Fatal(err)
	}
	git := func(args ...string) {
		run1(t, "git", append([]string{"-C", clone, "-c", "user.name=test", "-c", "user.email=test@desk.test"}, args...)...)
	}
	git("init", "-q")
	git("add", "-A")
	git("commit", "-q", "-m", "all")
	git("tag", "v1.2.3")
	git("worktree", "add", "-q", "--detach", tree)
	sums := map[string]string{}
	for _, from := range []string{clone, tree} {
		out := t.TempDir()
		build := exec.CommandContext(t.Context(), filepath.Join(from, "cmd/mxdesk/package/build"), out)
		build.Env = append(os.Environ(), "ARCHES="+strings.TrimSpace(run1(t, "dpkg", "--print-architecture")))
		if text, err := build.CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", from, err, text)
		}
		sums[from] = readFile(t, filepath.Join(out, "SHA256SUMS"))
	}
	if sums[clone] != sums[tree] || !strings.Contains(sums[clone], " mxdesk_1.2.3_") {
		t.Errorf("a clone gives\n%sa worktree\n%s", sums[clone], sums[tree])
	}
}

// run1 runs a program that must succeed.
func run1(t *testing.T, name string, args ...string) string {
	t.Helper()
	stdout, stderr, code := execute(t, "", name, args...)
	if code != 0 {
		t.Fatalf("%s %s: exit %d: %s%s", name, strings.Join(args, " "), code, stdout, stderr)
	}
	return stdout
}

// checkContents compares modes and owners of what the service needs.
func checkContents(t *testing.T, deb string) {
	t.Helper()
	list := run1(t, "dpkg-deb", "-c", deb)
	for file, mode := range map[string]string{
		"usr/bin/mxdesk": "-rwxr-xr-x", "etc/mxdesk.toml": "-rw-r-----",
		"usr/lib/systemd/system/mxdesk.service": "-rw-r--r--", "usr/lib/sysusers.d/mxdesk.conf": "-rw-r--r--",
		"usr/lib/tmpfiles.d/mxdesk.conf": "-rw-r--r--", "usr/share/man/man1/mxdesk.1.gz": "-rw-r--r--",
		"usr/share/man/man5/mxdesk.toml.5.gz": "-rw-r--r--", "usr/share/doc/mxdesk/copyright": "-rw-r--r--",
		"usr/share/doc/mxdesk/docs/operations.md":  "-rw-r--r--", // which alerts name
		"usr/share/doc/mxdesk/examples/alerts.yml": "-rw-r--r--", "usr/share/doc/mxdesk/examples/certbot-deploy-hook": "-rwxr-xr-x",
	} {
		if !regexp.MustCompile(`(?m)^` + mode + ` root/root .* 2027-01-15 08:00 \./` + regexp.QuoteMeta(file) + `$`).MatchString(list) {
			t.Errorf("%s %s is not in the package:\n%s", mode, file, list)
		}
	}
	if got := run1(t, "dpkg-deb", "-I", deb, "conffiles"); got != "/etc/mxdesk.toml\n" {
		t.Errorf("conffiles %q", got)
	}
}

// checkUnit has systemd read the unit and say how exposed it leaves the machine.
func checkUnit(t *testing.T, root string) {
	unit := filepath.Join(root, "usr/lib/systemd/system/mxdesk.service")
	text := strings.ReplaceAll(readFile(t, unit), "/usr/bin/mxdesk", filepath.Join(root, "usr/bin/mxdesk"))
	text = regexp.MustCompile(`(?m)^Documentation=.*\n`).ReplaceAllString(text, "") // the pages are not installed
	here := writeText(t, filepath.Join(t.TempDir(), "mxdesk.service"), text)
	stdout, stderr, code := execute(t, "", "systemd-analyze", "verify", "--man=no", here, "package/mxdesk-smtp.socket")
	if code != 0 || stdout+stderr != "" {
		t.Errorf("verify: exit %d: %s%s", code, stdout, stderr)
	}
	stdout, stderr, code = execute(t, "", "systemd-analyze", "security", "--offline=true", "--threshold=20", here)
	if code != 0 {
		t.Errorf("exposed more than 2.0 of 10: exit %d: %s%s", code, stdout, stderr)
	}
}

// checkAccounts makes the user and the folders below a root of its own.
func checkAccounts(t *testing.T, root string) {
	run1(t, "systemd-sysusers", "--root="+root, "mxdesk.conf")
	if passwd := readFile(t, filepath.Join(root, "etc/passwd")); !regexp.MustCompile(`(?m)^mxdesk:.*:/var/lib/mxdesk:/usr/sbin/nologin$`).MatchString(passwd) {
		t.Errorf("passwd:\n%s", passwd)
	}
	run1(t, "systemd-tmpfiles", "--root="+root, "--create", "mxdesk.conf")
	for name, want := range map[string]os.FileMode{"etc/mxdesk/tls": 0o750, "etc/mxdesk.toml": 0o640} {
		fi, err := os.Stat(filepath.Join(root, name))
		if err != nil || fi.Mode().Perm() != want || fi.Sys().(*syscall.Stat_t).Gid == 0 {
			t.Errorf("%s: %v, %v", name, fi, err)
		}
	}
}

// serveInstalled takes mail on a low port as an unprivileged user, and sees
// that nothing is asked of the system that the unit forbids.
func serveInstalled(t *testing.T, root string) {
	d := newDesk(t, filepath.Join(root, "usr/bin/mxdesk"), "")
	if got := run1(t, d.bin, "version"); !strings.HasPrefix(got, "mxdesk ") {
		t.Errorf("version: %q", got)
	}
	if err := os.Mkdir(d.Data, 0o700); err != nil {
		t.Fatal(err)
	}
	const uid = 64_242
	for _, name := range []string{d.Data, d.dir} {
		if err := os.Chown(name, uid, uid); err != nil {
			t.Fatal(err)
		}
	}
	low := lowAddr(t)
	calls := filepath.Join(t.TempDir(), "calls")
	if _, _, code := execute(t, "", "setpriv", "--reuid=64242", "--regid=64242", "--clear-groups", "--bounding-set=-all", "--no-new-privs",
		d.bin, "serve", "--config", d.config(), "--set", "smtp.listen="+low); code != exitIO {
		t.Errorf("without the capability: exit %d; is %s no privileged port here?", code, low)
	}
	d.run("strace", []string{
		"-f", "-qq", "-o", calls, "setpriv", "--reuid=64242", "--regid=64242", "--clear-groups", "--inh-caps=-all,+net_bind_service",
		"--ambient-caps=-all,+net_bind_service", "--bounding-set=-all,+net_bind_service", "--no-new-privs",
		d.bin, "serve", "--config", d.config(), "--set", "smtp.listen=" + low,
	})
	d.waitReady()
	if got := d.do("ready"); got != "mail is taken\n" {
		t.Errorf("ready: %q", got)
	}
	d.project("support", "support@desk.test")
	c, err := dial(low, false)
	if err != nil {
		t.Fatal(err)
	}
	large := strings.Repeat("a line of a mail that is too large for memory and goes to a spool file\n", 80_000)
	got, err := c.deliver("ann@customer.test", "support@desk.test", letter("ann@customer.test", "support@desk.test", "Large", "1@customer.test", large))
	c.close()
	if err != nil || !strings.HasPrefix(got, "250 ") {
		t.Errorf("%q, %v", got, err)
	}
	if code := d.stop(syscall.SIGTERM); code != 0 {
		t.Errorf("exit %d", code)
	}
	checkCalls(t, readFile(t, calls))
	checkAbort(t, d)
}

// checkAbort hangs up on the server as the watchdog does: the unit must take
// that for a failure, after which it starts again.
func checkAbort(t *testing.T, d *desk) {
	unit := readFile(t, "package/mxdesk.service")
	values := func(key string) (all []string) {
		for _, m := range regexp.MustCompile(`(?m)^`+key+`=(.*)$`).FindAllStringSubmatch(unit, -1) {
			all = append(all, strings.Fields(m[1])...)
		}
		return all
	}
	var sig syscall.Signal
	for n := syscall.Signal(1); n < 32; n++ {
		if name := unix.SignalName(n); len(values("WatchdogSignal")) == 1 && name == values("WatchdogSignal")[0] {
			sig = n
		}
	}
	if err := os.RemoveAll(d.Data); err != nil { // it belongs to somebody else
		t.Fatal(err)
	}
	d.run("env", append(values("Environment"), d.bin, "serve", "--config", d.config()))
	d.waitReady()
	code := d.stop(sig)
	if text := d.log.String(); !strings.Contains(text, "goroutine ") {
		t.Errorf("no stacks after %s: %s", sig, tail(text, 500))
	}
	if slices.Contains(values("RestartPreventExitStatus"), fmt.Sprint(code)) {
		t.Errorf("after %s the server ends with %d, after which it is not started again", sig, code)
	}
}

// lowAddr is a free address whose port only the privileged may take.
func lowAddr(t *testing.T) string {
	t.Helper()
	for port := 600; port < 1000; port++ {
		addr := fmt.Sprintf("127.0.0.1:%d", port)
		if l, err := listen("tcp", addr); err == nil {
			l.Close()
			return addr
		}
	}
	t.Fatal("no free port below 1000")
	return ""
}

var (
	afterExec = regexp.MustCompile(`(?s)execve\("[^"]*/usr/bin/mxdesk".*`)
	callName  = regexp.MustCompile(`(?m)^\d+ +(\w+)\(`)
	family    = regexp.MustCompile(`\bsocket\((AF_\w+)`)
)

// checkCalls compares the system calls that were seen with those that the unit
// lets through, in the words of systemd itself.
func checkCalls(t *testing.T, trace string) {
	unit := readFile(t, "package/mxdesk.service")
	allowed := map[string]bool{}
	for _, m := range regexp.MustCompile(`(?m)^SystemCallFilter=(~?)(.*)$`).FindAllStringSubmatch(unit, -1) {
		for group := range strings.FieldsSeq(m[2]) {
			for _, call := range callsOf(t, group) {
				allowed[call] = m[1] == ""
			}
		}
	}
	seen := map[string]bool{}
	trace = afterExec.FindString(trace)
	for _, m := range callName.FindAllStringSubmatch(trace, -1) {
		seen[m[1]] = true
	}
	if !seen["fdatasync"] && !seen["msync"] || !seen["accept4"] {
		t.Fatalf("the trace is not that of a server: %v", slices.Sorted(maps.Keys(seen)))
	}
	for _, call := range slices.Sorted(maps.Keys(seen)) {
		if !allowed[call] {
			t.Errorf("the unit does not let %s through", call)
		}
	}
	families := regexp.MustCompile(`(?m)^RestrictAddressFamilies=.*$`).FindString(unit)
	for _, m := range family.FindAllStringSubmatch(trace, -1) {
		if !slices.Contains(strings.FieldsFunc(families, func(r rune) bool { return r == ' ' || r == '=' }), m[1]) {
			t.Errorf("the unit does not let sockets of %s through", m[1])
		}
	}
}

// callsOf lists the calls of a group, groups in it included.
func callsOf(t *testing.T, group string) (calls []string) {
	t.Helper()
	for line := range strings.Lines(run1(t, "systemd-analyze", "syscall-filter", group)) {
		switch word := strings.TrimSpace(line); {
		case !strings.HasPrefix(line, "    "), strings.HasPrefix(word, "#"):
		case strings.HasPrefix(word, "@"):
			calls = append(calls, callsOf(t, word)...)
		default:
			calls = append(calls, word)
		}
	}
	return calls
}
