package queue

import "bytes"

// maxBodyLine is the longest line that may leave, without its line end.
//
// https://www.rfc-editor.org/rfc/rfc5321#section-4.5.3.1.6
const maxBodyLine = 998

// dataChunk is how much of a mail is written under one deadline.
const dataChunk = 32 << 10

// checkBody refuses what must never leave: a bare CR or LF anywhere, a last
// line without its end, a line that is too long, a NUL. Such a mail could be
// read as two by a next hop that is less strict.
//
// https://www.rfc-editor.org/rfc/rfc5321#section-2.3.8
func checkBody(raw []byte) *failure {
	if len(raw) == 0 || bytes.IndexByte(raw, 0) >= 0 {
		return permanent("5.6.0", "the mail is empty or holds a NUL")
	}
	for rest := raw; len(rest) > 0; {
		n := bytes.IndexByte(rest, '\n')
		if n < 1 || rest[n-1] != '\r' || bytes.IndexByte(rest[:n-1], '\r') >= 0 {
			return permanent("5.6.0", "the mail has a line that does not end in CR LF")
		}
		if n-1 > maxBodyLine {
			return permanent("5.6.0", "the mail has a line of more than 998 octets")
		}
		rest = rest[n+1:]
	}
	return nil
}

// stuff returns raw as it is sent after DATA: dots at the start of a line
// doubled, and the end-of-data line added. raw has passed checkBody.
//
// https://www.rfc-editor.org/rfc/rfc5321#section-4.5.2
func stuff(raw []byte) []byte {
	out := make([]byte, 0, len(raw)+len(raw)/64+5)
	for line := range bytes.Lines(raw) {
		if line[0] == '.' {
			out = append(out, '.')
		}
		out = append(out, line...)
	}
	return append(out, ".\r\n"...)
}

// is8bit tells whether a mail holds octets beyond ASCII, in its header fields
// and in all.
func is8bit(raw []byte) (header, any bool) {
	head, _, _ := bytes.Cut(raw, []byte("\r\n\r\n"))
	return has8bit(head), has8bit(raw)
}

func has8bit(b []byte) bool {
	for _, c := range b {
		if c >= 0x80 {
			return true
		}
	}
	return false
}
