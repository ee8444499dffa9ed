package mail

import (
	"bytes"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"
)

func BenchmarkParse(b *testing.B) {
	archive, err := txtar.ParseFile(filepath.Join("testdata", "alternative_related.txtar"))
	if err != nil {
		b.Fatal(err)
	}
	small := archive.Files[0].Data
	line := strings.Repeat("QUJD", 19) + "\r\n"
	big := []byte("Content-Type: application/pdf\r\nContent-Transfer-Encoding: base64\r\n\r\n" + strings.Repeat(line, 20<<20/len(line)))
	plain := []byte("From: Ann <ann@example.org>\r\nTo: <support@example.net>\r\nSubject: The lamp\r\nDate: Mon, 02 Jan 2006 15:04:05 +0000\r\n" +
		"Message-ID: <1@example.org>\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n" +
		strings.Repeat("The lamp on the second floor does not give light, whatever I try.\r\n", 150))
	for name, mail := range map[string][]byte{"small": small, "plain": plain, "20MB": big} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(mail)))
			b.ReportAllocs()
			for b.Loop() {
				Parse(bytes.NewReader(mail), int64(len(mail)), Options{})
			}
		})
	}
}

// benchTexts are ordinary texts of 110 KB: prose, a long quote below an answer,
// and a log.
func benchTexts() map[string]string {
	prose := "Dear Sir or Madam, the lamp that you sent us last week, order 4711: it does not work.\n" +
		"I tried it in 3 rooms (see http://example.org/rooms?id=12) - same result, at 10:15 and again later.\n\n" +
		"Das Gerät wurde am 3. Mai geliefert; bitte prüfen Sie das: danke.\n"
	log := "2026-03-01 10:15:02,311 INFO  [worker-7] com.example.Lamp - state: on, level=12, to: desk, from: room\n"
	repeat := func(s string) string { return strings.Repeat(s, 110_000/len(s)) }
	quoted := "> " + strings.TrimSuffix(strings.ReplaceAll(repeat(prose), "\n", "\n> "), "> ")
	return map[string]string{
		"short": "Thanks, it works now!\n\nBest,\nAnn\n\nOn Mon, Oct 25, 2021 at 11:17 AM Bob <bob@example.org> wrote:\n> Please try again.\n> Bob\n",
		"prose": repeat(prose), "log": repeat(log),
		"reply": "Thanks, that helps.\n\nAnn\n\nOn Mon, Oct 25, 2021 at 11:17 AM Bob <bob@example.org> wrote:\n" + quoted,
	}
}

func BenchmarkText(b *testing.B) {
	for name, text := range benchTexts() {
		b.Run("trim/"+name, func(b *testing.B) {
			b.SetBytes(int64(len(text)))
			for b.Loop() {
				trimReply(text)
			}
		})
		b.Run("forward/"+name, func(b *testing.B) {
			b.SetBytes(int64(len(text)))
			for b.Loop() {
				findForward("Re: lamp", text, nil)
			}
		})
	}
}
