package mail

import (
	"bufio"
	"bytes"
	"io"
	"strings"

	"github.com/mxdesk/mxdesk/ticketing"
)

// uuFile is a file in the text of a mail, between `begin` and `end`.
type uuFile struct {
	name          string
	offset, after int64 // in the body
}

// uuFiles finds the uuencoded files in a text body that has no other transfer
// encoding.
func uuFiles(r io.Reader) []uuFile {
	var files []uuFile
	lines := bufio.NewReaderSize(r, 16<<10)
	var open *uuFile
	offset := int64(0)
	for {
		text, err := lines.ReadSlice('\n')
		start := offset
		offset += int64(len(text))
		text = bytes.TrimRight(text, "\r\n")
		switch {
		case open == nil:
			if name, ok := uuBegin(text); ok && len(files) < 100 {
				open = &uuFile{name: name, offset: start}
			}
		case string(text) == "end":
			open.after = offset
			files = append(files, *open)
			open = nil
		case !isUULine(text):
			open = nil
		}
		if err != nil && err != bufio.ErrBufferFull {
			return files
		}
	}
}

// uuStart is what the first line of a uuencoded file begins with.
var uuStart = []byte("begin ")

// uuBegin reads `begin 644 name`.
func uuBegin(text []byte) (name string, ok bool) {
	if !bytes.HasPrefix(text, uuStart) {
		return "", false
	}
	fields := strings.SplitN(string(text[:min(len(text), 300)]), " ", 3)
	if len(fields) != 3 || fields[0] != "begin" || len(fields[1]) < 3 || len(fields[1]) > 4 ||
		strings.Trim(fields[1], "01234567") != "" {
		return "", false
	}
	name = safeName(decodeWords(headerText(fields[2], "")))
	return name, name != ""
}

// isUULine tells whether a line can be a data line.
func isUULine(text []byte) bool {
	if len(text) == 0 {
		return true
	}
	want := (int(text[0]-' ')&63 + 2) / 3 * 4
	return text[0] >= ' ' && text[0] <= '`' && len(text)-1 >= want-3 && len(text)-1 <= want+2
}

// findUUFiles finds the files in the text parts, so that the text leaves them
// out.
func findUUFiles(texts []*part) {
	for _, t := range texts {
		if t.encoding == "" && t.mediaType == "text/plain" && t.maybeUU {
			t.uuFiles = uuFiles(t.open())
		}
	}
}

// uuAttachments describes the files in the text parts as attachments.
func uuAttachments(p *parsed, texts []*part) []ticketing.Attachment {
	var list []ticketing.Attachment
	taken := make(map[string]int)
	for _, t := range texts {
		for _, f := range t.uuFiles {
			a := ticketing.Attachment{
				Name: uniqueName(f.name, taken), Type: "application/octet-stream", Part: t.path,
				Offset: t.offset + f.offset, Length: f.after - f.offset, Encoding: encodingUU,
			}
			measure(p.raw, p.size, &a)
			list = append(list, a)
		}
	}
	return list
}

// withoutFiles cuts the uuencoded files out of a text.
func withoutFiles(data []byte, files []uuFile) []byte {
	if len(files) == 0 {
		return data
	}
	var kept []byte
	from := int64(0)
	size := int64(len(data))
	for _, f := range files {
		kept = append(kept, data[min(from, size):min(f.offset, size)]...)
		from = f.after
	}
	return append(kept, data[min(from, size):]...)
}
