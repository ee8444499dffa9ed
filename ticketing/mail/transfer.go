package mail

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"io"
)

// The transfer encodings that are decoded; any other body is taken as it is.
const (
	encodingBase64 = "base64"
	encodingQuoted = "quoted-printable"
	encodingUU     = "x-uuencode"
)

// decode undoes a transfer encoding. Damage is skipped, never an error.
func decode(r io.Reader, encoding string) io.Reader {
	if encoding == "" {
		return r
	}
	size := int64(16 << 10)
	if sized, ok := r.(interface{ Size() int64 }); ok {
		size = min(size, sized.Size()+1)
	}
	src := bufio.NewReaderSize(r, int(size))
	switch encoding {
	case encodingBase64:
		return &lineDecoder{src: src, dec: new(base64Decoder)}
	case encodingQuoted:
		return &lineDecoder{src: src, dec: new(quotedDecoder)}
	case encodingUU:
		return &lineDecoder{src: src, dec: new(uuDecoder)}
	}
	return r
}

// decoder undoes one transfer encoding; both methods append to dst.
type decoder interface {
	line(dst, line []byte) []byte // a line with its end, or a piece of a long one
	flush(dst []byte) []byte      // at the end of the body
}

// lineDecoder feeds lines to a decoder and hands out what that appends.
type lineDecoder struct {
	src *bufio.Reader
	dec decoder
	out []byte // decoded, not read yet
	buf []byte
	err error
}

func (d *lineDecoder) Read(dst []byte) (int, error) {
	for len(d.out) == 0 {
		if d.err != nil {
			return 0, d.err
		}
		d.fill()
	}
	n := copy(dst, d.out)
	d.out = d.out[n:]
	return n, nil
}

// WriteTo saves io.Copy a buffer.
func (d *lineDecoder) WriteTo(w io.Writer) (total int64, err error) {
	for {
		n, err := w.Write(d.out)
		total += int64(n)
		d.out = nil
		if err != nil {
			return total, err
		}
		if d.err == io.EOF {
			return total, nil
		}
		if d.err != nil {
			return total, d.err
		}
		d.fill()
	}
}

// fill decodes the next line.
func (d *lineDecoder) fill() {
	line, err := d.src.ReadSlice('\n')
	if err != nil && err != bufio.ErrBufferFull {
		d.err = err
	}
	d.buf = d.dec.line(d.buf[:0], line)
	if d.err != nil {
		d.buf = d.dec.flush(d.buf)
	}
	d.out = d.buf
}

const base64Alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"

// base64Values maps a character to its value, 64 for padding, 255 for others.
var base64Values = func() (table [256]byte) {
	for i := range table {
		table[i] = 255
	}
	for i, c := range []byte(base64Alphabet) {
		table[c] = byte(i)
	}
	table['-'], table['_'], table['='] = 62, 63, 64
	return table
}()

// base64Decoder skips foreign characters and whatever stands behind padding in
// its line; another text may begin in the next line.
//
// https://www.rfc-editor.org/rfc/rfc2045#section-6.8
type base64Decoder struct {
	bits   uint32
	count  int // of the characters in bits
	padded bool
}

func (d *base64Decoder) line(dst, line []byte) []byte {
	if clean := bytes.TrimRight(line, "\r\n"); d.count == 0 && !d.padded && len(clean)%4 == 0 {
		if out, err := base64.StdEncoding.AppendDecode(dst, clean); err == nil {
			d.padded = bytes.HasSuffix(line, []byte{'='})
			return out
		}
	}
	for _, c := range line {
		if c == '\n' {
			d.padded = false
		}
		v := base64Values[c]
		if v == 255 || d.padded {
			continue
		}
		if v == 64 {
			dst = d.flush(dst)
			d.padded = true
			continue
		}
		d.bits = d.bits<<6 | uint32(v)
		if d.count++; d.count == 4 {
			dst = append(dst, byte(d.bits>>16), byte(d.bits>>8), byte(d.bits))
			d.bits, d.count = 0, 0
		}
	}
	return dst
}

// flush writes the whole octets of an incomplete group.
func (d *base64Decoder) flush(dst []byte) []byte {
	switch d.count {
	case 2:
		dst = append(dst, byte(d.bits>>4))
	case 3:
		dst = append(dst, byte(d.bits>>10), byte(d.bits>>2))
	}
	d.bits, d.count = 0, 0
	return dst
}

// quotedDecoder decodes quoted-printable; escapes that are none stay as they
// are.
//
// https://www.rfc-editor.org/rfc/rfc2045#section-6.7
type quotedDecoder struct {
	carry []byte // the beginning of an escape, cut off a piece of a long line
}

func (d *quotedDecoder) line(dst, line []byte) []byte {
	if len(d.carry) > 0 {
		line = append(d.carry, line...)
		d.carry = nil
	}
	text, ended := bytes.CutSuffix(line, []byte{'\n'})
	if !ended {
		if i := bytes.LastIndexByte(text, '='); i >= 0 && i >= len(text)-2 {
			d.carry = bytes.Clone(text[i:])
			text = text[:i]
		}
		return decodeHex(dst, text)
	}
	end := line[len(bytes.TrimRight(text, "\r")):]
	text = bytes.TrimRight(text, " \t\r")
	if soft, ok := bytes.CutSuffix(text, []byte{'='}); ok {
		return decodeHex(dst, soft)
	}
	return append(decodeHex(dst, text), end...)
}

func (d *quotedDecoder) flush(dst []byte) []byte {
	if len(d.carry) == 1 { // a soft line break
		return dst
	}
	return append(dst, d.carry...)
}

// decodeHex decodes the =XX escapes in text.
func decodeHex(dst, text []byte) []byte {
	for i := 0; i < len(text); i++ {
		if text[i] == '=' && i+2 < len(text) {
			high, low := unhex(text[i+1]), unhex(text[i+2])
			if high < 16 && low < 16 {
				dst = append(dst, high<<4|low)
				i += 2
				continue
			}
		}
		dst = append(dst, text[i])
	}
	return dst
}

// unhex returns the value of a hexadecimal digit, 16 for another character.
func unhex(c byte) byte {
	switch {
	case c >= '0' && c <= '9':
		return c - '0'
	case c >= 'A' && c <= 'F':
		return c - 'A' + 10
	case c >= 'a' && c <= 'f':
		return c - 'a' + 10
	}
	return 16
}

// uuDecoder decodes the lines between `begin` and `end`.
type uuDecoder struct {
	open bool
}

func (d *uuDecoder) line(dst, line []byte) []byte {
	line = bytes.TrimRight(line, "\r\n")
	if !d.open {
		d.open = bytes.HasPrefix(line, []byte("begin "))
		return dst
	}
	if bytes.Equal(line, []byte("end")) {
		d.open = false
		return dst
	}
	return decodeUULine(dst, line)
}

func (d *uuDecoder) flush(dst []byte) []byte { return dst }

// decodeUULine decodes one data line; missing characters count as spaces.
func decodeUULine(dst, line []byte) []byte {
	if len(line) == 0 || line[0] < ' ' || line[0] > '`' {
		return dst
	}
	want := int(line[0]-' ') & 63
	at := func(i int) uint32 {
		if i < len(line) {
			return uint32(line[i]-' ') & 63
		}
		return 0
	}
	for i := 1; want > 0; i, want = i+4, want-3 {
		bits := at(i)<<18 | at(i+1)<<12 | at(i+2)<<6 | at(i+3)
		group := []byte{byte(bits >> 16), byte(bits >> 8), byte(bits)}
		dst = append(dst, group[:min(want, 3)]...)
	}
	return dst
}
