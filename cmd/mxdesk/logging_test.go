package main

import (
	"cmp"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// logLines are what each line of the log means, by message.
var logLines = map[string]string{
	"a file that is no key in use is passed over":     "a file in `dkim/` where the first keys of a domain are made",
	"dkim keys cannot be used":                        "seen while keys were listed: mail of this domain may wait, and the error says what to do",
	"a key that is not in … is not used":              "a file in `dkim/` that no list of keys names",
	"dkim key removed":                                "a key's time is over",
	"dkim keys changed":                               "the next keys sign from now on",
	"dkim keys made":                                  "a domain has its first keys: publish them",
	"housekeeping of dkim keys":                       "keys could not be changed; tried again in an hour",
	"list gave no answer to its health check":         "a block or allow list is tried again later",
	"list healthy again":                              "a list is asked again",
	"list suspected":                                  "an answer of a list looks wrong; its health is checked",
	"list unhealthy, not asked any more":              "a list answers for everybody, or not as lists do",
	"next dkim keys made":                             "the next keys of a domain wait for their records",
	"others can read a private key":                   "its file's mode allows it",
	"admin call given up by its client":               "a command ended before its answer did, as in a broken pipe",
	"admin call":                                      "a command failed for a reason of ours",
	"badger: …":                                       "a remark of the store's engine",
	"certificate cannot be read, the old one is kept": "a renewed pair does not fit together or may not be read",
	"certificate renewed":                             "the files have changed and are shown from now on",
	"commit failed, nothing more is written":          "the engine could not write or sync; see `store takes no more writes`",
	"connection":                                      "a connection was offered, and what became of it",
	"delivery outlived its time":                      "the desk did not decide within the time for one message; the sender is told to come again",
	"delivery without an outcome for each recipient":  "a bug; the sender is told to come again",
	"download cut short":                              "an attachment could not be sent whole",
	"drain":                                           "the store was not closed in time",
	"greeting":                                        "no sign-in link could be made; the next start tries again",
	"the number of the newest batch cannot be noted":  "the next start would not notice if the newest mails were missing from its files; look at the disk",
	"the number of the newest batch cannot be read, missing batches would not be noticed": "the file `store/committed` is damaged; it is written anew with the next mail, but look at the disk",
	"half-written blobs stay behind the end of a segment":                                 "a write failed; the bytes are cut off at the next start",
	"tls handshake failed":               "a client gave up, or has no version or cipher in common",
	"housekeeping":                       "rows that had outlived their time were swept",
	"housekeeping of segments":           "space of deleted mails could not be reclaimed",
	"journal of refusals":                "refusals could not be written to the journal",
	"listener":                           "a listener ended, and the server ends with it",
	"mechanism panicked":                 "a bug in SPF, DKIM, DMARC or ARC; its result is temperror",
	"message":                            "what became of a message for one recipient",
	"message not readable":               "the spooled message could not be read to check it",
	"message not spooled":                "memory or disk could not take the message; the sender is told to come again",
	"no answer from name server":         "one try of a lookup; others may follow",
	"no such setting, it is passed over": "a variable MXDESK_… that is no setting",
	"not ready for mail":                 "the store or the disk; the sender is told to come again",
	"page":                               "a page of the agents failed for a reason of ours",
	"page not delivered":                 "the browser went away",
	"panic in a lookup":                  "a bug; the mail is answered with 4xx",
	"panic in delivery":                  "a bug; the sender is told to come again",
	"panic in the desk":                  "a bug; the sender is told to come again",
	"queue: TLS did not work, going on in plain text": "opportunistic TLS failed with this host",
	"queue: attempt":                            "a copy was tried, and the state that it led to",
	"queue: claim":                              "what is due could not be claimed; tried again",
	"queue: destination is full":                "enough waits for this destination; the copy comes back later",
	"queue: lease lost":                         "another process took the copy over",
	"queue: attempt not recorded":               "the store did not take the result: the copy may be sent again",
	"queue: next due":                           "it could not be seen what is due; tried again",
	"queue: panic":                              "a bug; the copy is tried again later",
	"queue: record":                             "the result could not be stored; tried again",
	"queue: …":                                  "a step of an attempt failed for a reason of ours",
	"recipient refused":                         "an address could not be looked up or is refused",
	"segment compacted":                         "space of deleted mails was reclaimed",
	"segment is damaged, good records follow":   "bytes within a file of mails are not what was written: look at the disk",
	"segment is not compacted":                  "space could not be reclaimed; tried again in an hour",
	"segment is not removed":                    "an old file could not be deleted; tried again in an hour",
	"setting is meant for a trial only":         "what `mxdesk config check` warns of, where the settings are in a file",
	"smtp":                                      "a remark of the protocol library",
	"smtp: panic":                               "a bug in a session, which ends",
	"started":                                   "the server takes mail",
	"stopped":                                   "the server has ended in order",
	"stopping":                                  "the server was told to end, or a listener failed: mail in progress is finished",
	"store takes no more writes":                "a write or sync failed; readiness is off until a restart",
	"supervisor not told":                       "the notify socket of systemd does not take datagrams",
	"torn end of a segment is cut off":          "the last start ended in the middle of a write that was not answered `250`",
	"transaction":                               "a mail transaction ended",
	"transaction panicked":                      "a bug in one use case, which is undone",
	"upgrade of the data: a copy is made first": "an older data folder is about to be changed",
	"work in the background has not ended in time": "an attempt or a sweep was cut short by the stop",
}

// logKeys are what the attributes of the lines mean.
var logKeys = map[string]string{
	"mode":          "of a file",
	"list":          "name of a block or allow list",
	"file":          "name of a file",
	"healthy":       "whether a list is in use",
	"keys":          "selectors of keys",
	"key":           "selector of a key",
	"keep_records":  "how long the records of the old keys stay needed",
	"cure":          "what to do",
	"advice":        "what to do",
	"retired":       "selectors of the keys before",
	"sign":          "selectors of the keys that sign",
	"why":           "the reason",
	"address":       "of a listener",
	"budget":        "the time that was given",
	"bytes":         "a length in octets",
	"call":          "a call of the admin socket, for example `ticket.reply`",
	"client":        "address and port of the client, and its name where it is known",
	"code":          "code of an SMTP reply, 0 without one",
	"copy":          "an outgoing copy: `mxdesk queue show`",
	"data":          "the data folder",
	"version":       "of mxdesk",
	"decision":      "accepted, held, duplicate, rejected, deferred or aborted",
	"detail":        "words of a library or of a panic",
	"doing":         "the step that failed",
	"domain":        "of a recipient",
	"due":           "time of the next attempt, if there is one",
	"enhanced":      "enhanced status code",
	"entries":       "a number of journal entries",
	"error":         "what went wrong",
	"expires":       "end of a certificate",
	"from":          "envelope sender",
	"helo":          "name the client gave itself",
	"host":          "next hop, name and address",
	"id":            "of a message: the one in the reply, for `mxdesk trace`",
	"mechanism":     "spf, dkim, dmarc or arc",
	"message_id":    "Message-ID of a mail",
	"offset":        "place in a file, in octets",
	"outcomes":      "a number of outcomes",
	"panic":         "the value of a panic",
	"question":      "name and type that was asked for",
	"rcpt":          "a recipient",
	"rcpts":         "recipients that were accepted",
	"rcpts_refused": "recipients that were refused",
	"reason":        "one word, as in the journal and in metrics",
	"recipients":    "a number of recipients",
	"result":        "what became of a connection",
	"route":         "pattern of a page's address; never the address itself",
	"rows":          "a number of rows",
	"schema":        "number of the layout of the data",
	"seconds":       "how long it took",
	"segment":       "number of a segment file",
	"server":        "a name server",
	"setting":       "a key of the settings",
	"session":       "of a connection",
	"size":          "of a message, in octets",
	"stack":         "where a panic happened",
	"state":         "of an outgoing copy",
	"text":          "reply of the next hop, or what went wrong on the way to it",
	"ticket":        "for example support#12",
	"tls":           "version of TLS, empty for plain text",
	"variable":      "of the environment",
	"view":          "name of a page's template",
}

type logged struct {
	level, message string
	keys           []string
}

var levels = map[string]string{"Debug": "debug", "Info": "info", "Warn": "warn", "Error": "error"}

// logCalls finds the lines that a file can log, and the attributes that it
// hangs on loggers.
func logCalls(f *ast.File) (calls []logged, hung []string) {
	ast.Inspect(f, func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if !ok {
			return true
		}
		method, ok := call.Fun.(*ast.SelectorExpr)
		if !ok || !isLogger(method.X) {
			return true
		}
		args := call.Args
		switch name := method.Sel.Name; {
		case name == "With":
			hung = append(hung, attributes(args)...)
			return true
		case name == "Log": // a level that is chosen while it runs
			calls = append(calls, logged{"any", text(args[2]), attributes(args[3:])})
			return true
		default:
			level, inContext := strings.CutSuffix(name, "Context")
			if level = levels[level]; level == "" {
				return true
			}
			if inContext {
				args = args[1:]
			}
			calls = append(calls, logged{level, text(args[0]), attributes(args[1:])})
			return true
		}
	})
	return calls, hung
}

// isLogger tells whether an expression is called log, in some case.
func isLogger(e ast.Expr) bool {
	switch x := e.(type) {
	case *ast.Ident:
		return strings.EqualFold(x.Name, "log")
	case *ast.SelectorExpr:
		return strings.EqualFold(x.Sel.Name, "log")
	}
	return false
}

// text is a message; what is put together while it runs is an ellipsis.
func text(e ast.Expr) string {
	switch x := e.(type) {
	case *ast.BasicLit:
		s, _ := strconv.Unquote(x.Value)
		return s
	case *ast.BinaryExpr:
		return text(x.X) + text(x.Y)
	}
	return "…"
}

// attributes are the keys of key and value pairs.
func attributes(args []ast.Expr) (keys []string) {
	for i := 0; i < len(args); i++ {
		switch x := args[i].(type) {
		case *ast.BasicLit:
			keys = append(keys, text(x))
			i++ // its value
		default: // an slog.Attr that a function makes: always an error here
			keys = append(keys, "error")
		}
	}
	return keys
}

// TestDocsLogging keeps docs/logging.md equal to what the code can log, with a
// meaning for every line and every key.
func TestDocsLogging(t *testing.T) {
	root := os.DirFS("../..")
	rows, found := map[string]map[string]bool{}, map[string]bool{}
	used := map[string]bool{}
	err := fs.WalkDir(root, ".", func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(p, ".go") || strings.HasSuffix(p, "_test.go") {
			return err
		}
		src, err := fs.ReadFile(root, p)
		if err != nil {
			return err
		}
		f, err := parser.ParseFile(token.NewFileSet(), p, src, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		calls, hung := logCalls(f)
		for _, k := range hung {
			used[k] = true
		}
		for _, c := range calls {
			found[c.message] = true
			if logLines[c.message] == "" {
				t.Errorf("%s logs %q, which nothing explains: add it to the table in this test", p, c.message)
			}
			for _, k := range c.keys {
				used[k] = true
			}
			row := fmt.Sprintf("| %s | `%s` | %s | %s |\n", c.level, c.message, strings.Join(c.keys, ", "), logLines[c.message])
			if rows[path.Dir(p)] == nil {
				rows[path.Dir(p)] = map[string]bool{}
			}
			rows[path.Dir(p)][row] = true
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	unexplained(t, "key", used, logKeys)
	unexplained(t, "line", found, logLines)

	var b strings.Builder
	b.WriteString("# The log\n\nStandard error, as text or as JSON (`log.format`), from `log.level` up. `error` is for something of ours that somebody should look at, `warn` for what mended itself or will,\n" +
		"`info` for one line about each message, transaction and attempt, `debug` for the rest. Passwords, sign-in links and the words of mails are never logged; of the token in a reply address, which is a secret, the first 4 characters are.\n\n" +
		"Lines of an SMTP or LMTP session have `session` and `client` besides what is listed, within a transaction `id` and after STARTTLS `tls`; lines about an outgoing copy have `copy`.\n\n" +
		"## Keys\n\n| key | meaning |\n|---|---|\n")
	for _, k := range slices.Sorted(maps.Keys(used)) {
		fmt.Fprintf(&b, "| `%s` | %s |\n", k, logKeys[k])
	}
	b.WriteString("\n## Lines\n")
	for _, pkg := range slices.Sorted(maps.Keys(rows)) {
		fmt.Fprintf(&b, "\n### %s\n\n| level | line | keys | meaning |\n|---|---|---|---|\n", pkg)
		for _, row := range slices.SortedFunc(maps.Keys(rows[pkg]), func(a, b string) int { return cmp.Compare(a, b) }) {
			b.WriteString(row)
		}
	}
	golden(t, "logging.md", b.String())
}

// unexplained finds what has no meaning, and meanings that nothing has.
func unexplained(t *testing.T, what string, used map[string]bool, meanings map[string]string) {
	t.Helper()
	for name := range used {
		if meanings[name] == "" {
			t.Errorf("the %s %q has no meaning: add it to the table in this test", what, name)
		}
	}
	for name := range meanings {
		if !used[name] {
			t.Errorf("the %s %q is explained, and nothing logs it", what, name)
		}
	}
}
