package smtpd

import (
	"fmt"
	"go/ast"
	"go/build"
	"go/parser"
	"go/token"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// talk sends text and returns all that the server says, with go-smtp's own words
// if raw is set.
func talk(t *testing.T, o Options, raw bool, text string) (lines []string) {
	t.Helper()
	w := newWorld(t, o)
	if raw {
		w.srv.phrases = nil
	}
	c := w.dial(stranger)
	c.send(text + "QUIT\r\n")
	for {
		line := c.line()
		if line == "closed" {
			return lines
		}
		lines = append(lines, line)
	}
}

// Every row of the table is heard from go-smtp as it is, and from us in our words.
func TestPhrases(t *testing.T) {
	const ehlo, mail, rcpt = "EHLO client.test\r\n", "MAIL FROM:<ann@example.org>\r\n", "RCPT TO:<help@desk.test>\r\n"
	heard := map[int]bool{}
	for _, tc := range []struct {
		send string
		lmtp bool
		want string
	}{
		{send: ehlo, want: "250-mx.desk.test"},
		{send: "HELO client.test\r\n", want: "250 mx.desk.test"},
		{send: "QUIT\r\n", want: "221 2.0.0 mx.desk.test closes the connection"},
		{send: ehlo + mail, want: "250 2.1.0 sender ok"},
		{send: ehlo + mail + rcpt, want: "250 2.1.5 recipient ok"},
		{send: ehlo + mail + rcpt + "DATA\r\nSubject: x\r\n\r\n.\r\n", want: "354 send the message and end it with <CRLF>.<CRLF>"},
		{send: ehlo + mail + rcpt + "BDAT 1\r\nx", want: "250 2.0.0 chunk received"},
		{send: "RSET\r\n", want: "250 2.0.0 reset"},
		{send: "NOOP\r\n", want: "250 2.0.0 ok"},
		{send: "VRFY ann\r\n", want: "252 2.5.0 not verified here, RCPT tells whether an address is known"},

		{send: "EHLO\r\n", want: "501 5.5.2 not a host name in EHLO (id 1)"},
		{send: ehlo, lmtp: true, want: "500 5.5.1 this is LMTP, say LHLO (id 1)"},
		{send: "LHLO x\r\n", want: "500 5.5.1 this is SMTP, say EHLO (id 1)"},
		{send: mail, want: "503 5.5.1 say EHLO first (id 1)"},
		{send: ehlo + mail + rcpt + "BDAT 1\r\nxDATA\r\n", want: "503 5.5.1 a message is on its way, send its last chunk or RSET (id 1)"},
		{send: ehlo + rcpt, want: "503 5.5.1 no transaction is open (id 1)"},
		{send: ehlo + mail + "DATA\r\n", want: "503 5.5.1 no recipient was accepted (id 1)"},
		{send: ehlo + "MAIL ann@example.org\r\n", want: "501 5.5.2 write MAIL FROM:<address> (id 1)"},
		{send: ehlo + mail + "RCPT help@desk.test\r\n", want: "501 5.5.2 write RCPT TO:<address> (id 1)"},
		{send: ehlo + "MAIL FROM:<ann@example.org> SIZE=x\r\n", want: "501 5.5.4 a parameter has a value that is not understood (id 1)"},
		{send: ehlo + "MAIL FROM:<ann@example.org> BODY=x\r\n", want: "501 5.5.4 a parameter has a value that is not understood (id 1)"},
		{send: ehlo + "MAIL FROM:<ann@example.org> AUTH=+\r\n", want: "501 5.5.4 a parameter has a value that is not understood (id 1)"},
		{send: ehlo + "MAIL FROM:<ann@example.org> FUTURE=1\r\n", want: "555 5.5.4 a parameter is not known here (id 1)"},
		{send: ehlo + mail + "RCPT TO:<help@desk.test> NOTIFY=NEVER\r\n", want: "555 5.5.4 a parameter is not known here (id 1)"},
		{send: ehlo + "MAIL FROM:<ann@example.org> SIZE=9999999\r\n", want: "552 5.3.4 message is too large (id 1)"},
		{send: ehlo + "DATA now\r\n", want: "501 5.5.4 this command takes no arguments (id 1)"},
		{send: "\r\n", want: "500 5.5.2 command not recognized (id 1)"},
		{send: "X\r\n", want: "500 5.5.2 command not recognized (id 1)"},
		{send: "\x1b[1m\r\n", want: "500 5.5.2 command not recognized (id 1)"},
		{send: "HELP\r\n", want: "502 5.5.1 command not implemented (id 1)"},
		{send: "STARTTLS\r\n", want: "502 5.5.1 STARTTLS is not offered now (id 1)"},
		{send: ehlo + "AUTH\r\n", want: "502 5.5.1 authentication is not offered (id 1)"},
		{send: ehlo + "AUTH PLAIN !\r\n", want: "502 5.5.1 authentication is not offered (id 1)"},
		{send: ehlo + "AUTH PLAIN AGFubgBzZWNyZXQ=\r\n", want: "502 5.5.1 authentication is not offered (id 1)"},
		{send: strings.Repeat("FOUR\r\n", 4), want: "421 4.7.0 too many errors (id 1)"},
		{send: ehlo + "MAIL FROM:<broken@example.org>\r\n", want: "421 4.3.0 something is wrong here, try again later (id 1)"},
	} {
		bubble(t, func(t *testing.T) {
			o := quick()
			o.LMTP, o.MaxMessageBytes = tc.lmtp, 1<<20
			ids := 0
			o.NewID = func() string {
				if ids++; strings.Contains(tc.send, "broken@") && ids > 1 {
					panic("no id")
				}
				return fmt.Sprint(ids)
			}
			table := phrases("mx.desk.test")
			for _, line := range talk(t, o, true, tc.send) {
				i := slices.IndexFunc(table, func(p phrase) bool { return strings.HasPrefix(line, p.begins) && strings.HasSuffix(line, p.ends) })
				if i >= 0 && strings.HasPrefix(tc.want, table[i].ours) {
					heard[i] = true
				}
			}
			ids = 0
			ours := talk(t, o, false, tc.send)
			if !slices.Contains(ours, tc.want) {
				t.Errorf("%q: no %q in %q", tc.send, tc.want, ours)
			}
			for _, line := range ours {
				if slices.ContainsFunc(table, func(p phrase) bool { return strings.HasPrefix(line, p.begins) && strings.HasSuffix(line, p.ends) }) {
					t.Errorf("%q: go-smtp's words are heard: %q", tc.send, line)
				}
			}
		})
	}
	for i, p := range phrases("mx.desk.test") {
		if !heard[i] {
			t.Errorf("go-smtp does not say %q … %q", p.begins, p.ends)
		}
	}
}

// A reply that go-smtp writes in pieces is one reply.
func TestPhrasesInPieces(t *testing.T) {
	bubble(t, func(t *testing.T) {
		_, c := open(t, quick())
		c.send("EHLO " + strings.Repeat("x", maxCommand-8) + "\r\nNOOP\r\n")
		for _, want := range []string{"250-mx.desk.test", "250-PIPELINING", "250-8BITMIME", "250-ENHANCEDSTATUSCODES", "250-CHUNKING", "250-SMTPUTF8", "250 SIZE 52428800", "250 2.0.0 ok"} {
			if got := c.line(); got != want {
				t.Fatalf("%q, want %q", got, want)
			}
		}
	})
}

// unheard are the texts of go-smtp that no client gets to hear, by the reason.
var unheard = map[string][]string{
	"it stays as it is": {"%v %s Service Ready"},
	"we never let it come to this": {
		"Missing chunk size argument", "Too many arguments", "Unknown BDAT argument", "Malformed size argument", // octetsAfter
		"Ready to start TLS", "Already running in TLS", "Handshake error", // we do STARTTLS
		"Too long line, closing connection", "Idle timeout, bye bye", "Too busy. Try again later.", // our own limits
		"OK: queued", "Error: transaction failed: ", "Maximum message size exceeded", // Data returns a reply of ours
		"Please authenticate first", "Authentication failed", "Authentication not supported",
	},
	"the connection is broken": {"Connection error, sorry"},
	"it is an error inside":    {"bad address"},
	"it belongs to an extension that is not offered": {
		"Maximum limit of %v recipients reached", "DATA not allowed for BINARYMIME messages", "Unknown RET value", "Malformed ENVID parameter value",
		"Malformed NOTIFY parameter value", "Malformed ORCPT parameter value", "Malformed RRVS parameter value", "Malformed BY parameter value",
		"BY parameter is below server minimum", "Malformed MT-PRIORITY parameter value", "MT-PRIORITY is outside valid range",
		"Already authenticated", "TLS is required", "Negotiation cancelled", "Authentication succeeded",
	},
}

// A release of go-smtp that says something else, or something more, is noticed.
func TestPhrasesAreAllOfThem(t *testing.T) {
	var known []string
	for _, texts := range unheard {
		known = append(known, texts...)
	}
	texts := spoken(t)
	if len(texts) < 60 {
		t.Fatalf("only %d texts are found: %q", len(texts), texts)
	}
	for _, text := range known {
		if !slices.Contains(texts, text) {
			t.Errorf("go-smtp does not have %q any more", text)
		}
	}
	for _, text := range texts {
		line := regexp.MustCompile(`%[vs]`).ReplaceAllString(text, "WORD")
		covered := slices.ContainsFunc(phrases("mx.desk.test"), func(p phrase) bool {
			begins := strings.TrimLeft(p.begins[4:], "0123456789.")
			begins = strings.TrimPrefix(begins, " ")
			return begins+p.ends != "" && strings.HasPrefix(line, begins) && strings.HasSuffix(line, p.ends)
		})
		if !covered && !slices.Contains(known, text) {
			t.Errorf("go-smtp may say %q", text)
		}
	}
}

// spoken are the texts of replies in the sources of go-smtp.
func spoken(t *testing.T) (texts []string) {
	t.Helper()
	p, err := build.Import("github.com/emersion/go-smtp", ".", build.FindOnly)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"conn.go", "server.go", "data.go", "backend.go"} {
		f, err := parser.ParseFile(token.NewFileSet(), filepath.Join(p.Dir, name), nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(f, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.CallExpr:
				if m, ok := n.Fun.(*ast.SelectorExpr); ok && (m.Sel.Name == "writeResponse" || m.Sel.Name == "protocolError") {
					texts = append(texts, literals(n.Args...)...)
				}
			case *ast.KeyValueExpr:
				if key, ok := n.Key.(*ast.Ident); ok && key.Name == "Message" {
					texts = append(texts, literals(n.Value)...)
				}
			case *ast.AssignStmt: // what is put together before it is said
				if name, ok := n.Lhs[0].(*ast.Ident); ok && (name.Name == "msg" || name.Name == "args") {
					texts = append(texts, literals(n.Rhs...)...)
				}
			case *ast.ReturnStmt:
				if len(n.Results) == 3 { // code, enhanced code, text
					texts = append(texts, literals(n.Results...)...)
				}
			}
			return true
		})
	}
	slices.Sort(texts)
	return slices.DeleteFunc(slices.Compact(texts), func(s string) bool { return s == ":" || s == "=" || s == "" || s == "> " || s == "<" })
}

// literals are the texts in expressions.
func literals(in ...ast.Expr) (texts []string) {
	for _, e := range in {
		ast.Inspect(e, func(n ast.Node) bool {
			if lit, ok := n.(*ast.BasicLit); ok && lit.Kind == token.STRING {
				if s, err := strconv.Unquote(lit.Value); err == nil {
					texts = append(texts, s)
				}
			}
			return true
		})
	}
	return texts
}
