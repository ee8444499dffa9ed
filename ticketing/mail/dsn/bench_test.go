package dsn

import (
	"strings"
	"testing"
)

func BenchmarkParse(b *testing.B) {
	person := func(name string) string {
		return map[string]string{"From": "Ann <ann@example.org>", "Subject": "Lamp", "Return-Path": "<ann@example.org>"}[name]
	}
	daemon := func(name string) string {
		return map[string]string{"From": "MAILER-DAEMON@example.org", "Subject": "failure notice", "Return-Path": "<>"}[name]
	}
	said := "Hi. This is the program at example.org.\nI could not deliver your message.\n\n<ann@example.net>:\n192.0.2.1 does not like recipient.\nRemote host said: 550 5.1.1 no such user\nGiving up.\n\n"
	prose := strings.Repeat("The lamp that you sent us last week, order 4711: it does not work.\n", 1600)
	for _, bench := range []struct {
		name   string
		header func(string) string
		text   string
	}{{"person", person, prose}, {"bounce", daemon, said}, {"long bounce", daemon, said + prose}} {
		b.Run(bench.name, func(b *testing.B) {
			parts := []Part{{MediaType: "text/plain", Text: bench.text}}
			for b.Loop() {
				Parse(bench.header, parts, bench.text)
			}
		})
	}
}
