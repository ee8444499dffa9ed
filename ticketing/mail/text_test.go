package mail

import (
	"io"
	"strings"
	"testing"
	"testing/iotest"
	"unicode/utf8"
)

func TestDecodeWords(t *testing.T) {
	for input, want := range map[string]string{
		"plain":                                   "plain",
		"=?utf-8?q?a_b=C3=A4?=":                   "a bä",
		"=?UTF-8?B?w6Q=?=":                        "ä",
		"=?UTF-8?B?w6Q?=":                         "ä",
		"=?utf-8?q?a?= =?utf-8?q?b?=":             "ab",
		"=?utf-8?q?a?= x =?utf-8?q?b?=":           "a x b",
		"=?utf-8?q?=C3?= =?utf-8?q?=A4?=":         "ä",
		"=?utf-8?b?ww==?=\t=?utf-8?q?=A4?=":       "ä",
		"=?utf-8*en?q?a?=":                        "a",
		"=?iso-8859-1?q?=E4?= =?utf-8?q?=C3=A4?=": "ää",
		"=?utf-8?q?a b?=":                         "a b",
		"=?utf-8?q?=?":                            "=?utf-8?q?=?",
		"=?utf-8?q?=41?=":                         "A",
		"=?utf-8?x?a?=":                           "=?utf-8?x?a?=",
		"=?nothing?q?=E4?=":                       "ä",
		"=?utf-8?q?=3D=3Futf-8=3Fq=3Fx=3F=3D?=":   "x",
		"=?gb2312?B?xOO6ww==?=":                   "你好",
		"=?ks_c_5601-1987?B?xde9usau?=":           "테스트",
		"=?koi8-r?B?0NLJ18XU?=":                   "привет",
		"a =?utf-8?q?b?=c":                        "a bc",
	} {
		if got := decodeWords(input); got != want {
			t.Errorf("%q: got %q, want %q", input, got, want)
		}
	}
}

func TestConvert(t *testing.T) {
	for _, c := range []struct{ data, charset, want string }{
		{"ascii", "", "ascii"},
		{"gr\xfc\xdfe", "iso-8859-1", "grüße"},
		{"gr\xfc\xdfe", "", "grüße"},
		{"gr\xfc\xdfe", "utf-8", "grüße"},
		{"größe\xc3", "utf-8", "größe\ufffd"},
		{strings.Repeat("ü", 30) + "\xc3", "iso-8859-1", strings.Repeat("ü", 30) + "\ufffd"},
		{"gr\xfc\xdfe", "no-such", "grüße"},
		{"grüße", "iso-8859-1", "grüße"},
		{"grüße", "us-ascii", "grüße"},
		{"\x80 5", "iso-8859-1", "€ 5"},
		{"\xef\xbb\xbfx", "iso-8859-1", "x"},
		{"\xff\xfea\x00b\x00", "", "ab"},
		{"\xfe\xff\x00a\x00b", "utf-8", "ab"},
		{"a\x00b\x00", "utf-16le", "ab"},
		{"\xc4\xe3\xba\xc3", "GB2312", "你好"},
		{"\xa7A\xa6n", "big5", "你好"},
		{"\x82\xb1", "Shift_JIS", "こ"},
		{"\x1b$B$3\x1b(B", "ISO-2022-JP", "こ"},
		{"\x1b$B$3\x1b(B", "", "こ"},
		{"~{VP~}", "hz-gb-2312", "中"},
		{"+AGE-", "utf-7", "a"},
		{"+AG!x", "utf-7", "!x"},
		{"\xe9", "\"windows-1251\"", "й"},
		{"\xe9", "charset=windows-1251", "й"},
		{"\xe0\xe1", "iso-8859-8-i", "אב"},
	} {
		if got := convert([]byte(c.data), c.charset); got != c.want {
			t.Errorf("%q as %s: got %q, want %q", c.data, c.charset, got, c.want)
		}
	}
	html := "<meta charset=\"windows-1251\"><p>\xe9"
	if got := bodyText([]byte(html), "", true); !strings.HasSuffix(got, "й") {
		t.Errorf("meta charset: %q", got)
	}
}

func TestDecodeTransfer(t *testing.T) {
	long := strings.Repeat("a", 40_000)
	for _, c := range []struct{ encoding, data, want string }{
		{"base64", "aGVs\r\nbG8=", "hello"},
		{"base64", "aGVsbG8", "hello"},
		{"base64", "aGVs*bG8=\n", "hello"},
		{"base64", "aGVsbG8=\naGVsbG8=\n", "hellohello"},
		{"base64", "aGVsbG8= trailing words\n", "hello"},
		{"base64", "a", ""},
		{"quoted-printable", "a=C3=A4=\r\nb \r\n", "aäb\r\n"},
		{"quoted-printable", "a=\r\n", "a"},
		{"quoted-printable", "a=", "a"},
		{"quoted-printable", "a=zz=4", "a=zz=4"},
		{"quoted-printable", "a=e4b", "a\xe4b"},
		{"quoted-printable", "a=  \nb", "ab"},
		{"quoted-printable", long + "=41" + long, long + "A" + long},
		{"quoted-printable", strings.Repeat("=41", 20_000), strings.Repeat("A", 20_000)},
		{"x-uuencode", "begin 644 x\n#86)C\n`\nend\n", "abc"},
		{"", "as it is", "as it is"},
	} {
		for _, r := range []io.Reader{strings.NewReader(c.data), iotest.OneByteReader(strings.NewReader(c.data))} {
			got, err := io.ReadAll(decode(r, c.encoding))
			if err != nil || string(got) != c.want {
				t.Errorf("%s %.40q: got %.60q, %v, want %.60q", c.encoding, c.data, got, err, c.want)
			}
		}
	}
}

func TestHTMLToText(t *testing.T) {
	for input, want := range map[string]string{
		"a<br>b":           "a\nb",
		"<p>a</p><p>b</p>": "a\n\nb",
		"<div>a</div><div><br></div><div>b</div>":      "a\n\nb",
		"<table><tr><td>a<td>b<tr><td>c</table>":       "a\tb\nc",
		"<table><tr><td>a</td><td>b</td></tr></table>": "a\tb",
		"x <a href='https://y.z'>y</a>":                "x y <https://y.z>",
		"<a href='https://y.z/'>y.z</a>":               "y.z",
		"<a href='javascript:x'>y</a>":                 "y",
		"<a href='mailto:a@b.c'>a@b.c</a>":             "a@b.c",
		"<ul><li>a<ul><li>b</ul><li>c</ul>":            "* a\n  * b\n* c",
		"<ol><li>a</li><li>b</li></ol>":                "1. a\n2. b",
		"a<blockquote>b<br>c</blockquote>d":            "a\n\n> b\n> c\n\nd",
		"<script>x</script>a<style>y</style>":          "a",
		"<div style='DISPLAY: none'>x</div>a":          "a",
		"<p hidden>x<p>a":                              "a",
		"<div style='display:none'>all":                "all",
		"<img alt='🙂'>":                                "🙂",
		"a&nbsp;&amp;&lt;b":                            "a &<b",
		"<head>x":                                      "x",
		"a<!-- c -->b":                                 "ab",
		"<pre>a\n  b</pre>":                            "a\n  b",
		"</div></p>a":                                  "a",
		"<p>a\n\n  b</p>":                              "a b",
		"a<hr>b":                                       "a\n---\nb",
		"":                                             "",
	} {
		if got := htmlToText(input); got != want {
			t.Errorf("%q: got %q, want %q", input, got, want)
		}
	}
}

func FuzzHTMLToText(f *testing.F) {
	f.Add("<p>a<blockquote><ul><li>b</ul><a href='http://x'>c</a><table><tr><td>d<td>e")
	f.Add("<div hidden><head><pre>x</pre>")
	f.Fuzz(func(t *testing.T, source string) {
		got := htmlToText(strings.ToValidUTF8(source, ""))
		if !utf8.ValidString(got) || len(got) > 100*len(source)+1000 {
			t.Errorf("%q gave %d octets", source, len(got))
		}
	})
}

func FuzzDecodeWords(f *testing.F) {
	f.Add("=?utf-8?q?a_b=C3=A4?= =?iso-2022-jp?B?GyRCOzNFRBsoQg==?=")
	f.Add("=?utf-7?q?+AGE-?= =?gb2312?b?xOO6ww==?=")
	f.Fuzz(func(t *testing.T, s string) {
		s = header{}.unfold(s)
		if got := oneLine(decodeWords(s)); !utf8.ValidString(got) || strings.ContainsAny(got, "\r\n\x00") {
			t.Errorf("%q gave %q", s, got)
		}
	})
}

func FuzzCompose(f *testing.F) {
	f.Add("Name", "a@b.example", "subject", "text", "file")
	f.Add("ä\"", "ü@bücher.example", "=?x?", "From \n.", "ä\n.txt")
	f.Fuzz(func(t *testing.T, name, address, subject, text, file string) {
		o := outgoing()
		o.From.Name, o.To.Address, o.Subject, o.Text = name, address, subject, text
		o.Attachments = []File{{Name: file, Type: text, Data: []byte(text)}}
		if raw, err := Compose(o); err == nil {
			checkWire(t, raw)
		}
	})
}
