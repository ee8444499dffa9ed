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
	for name, mail := range map[string][]byte{"small": small, "20MB": big} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(mail)))
			b.ReportAllocs()
			for b.Loop() {
				Parse(bytes.NewReader(mail), int64(len(mail)), Options{})
			}
		})
	}
}
