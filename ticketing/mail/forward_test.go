package mail

import (
	"testing"

	"github.com/mxdesk/mxdesk/ticketing"
)

var forwardTests = []struct {
	name, subject, text string
	want                *ticketing.Forwarded
}{
	{"gmail", "Fwd: Broken lamp", "please handle\n\n---------- Forwarded message ---------\nFrom: *Ann Ode* <ann@Example.org>\nDate: Mon, Oct 25, 2021 at 11:17 AM\nSubject: Broken lamp\nTo: <desk@example.net>\nCc: Bob <bob@example.net>\n\n\nThe lamp is broken.\n\nAnn\n",
		&ticketing.Forwarded{From: ticketing.Person{Name: "Ann Ode", Address: "ann@example.org"}, Subject: "Broken lamp", Date: "Mon, Oct 25, 2021 at 11:17 AM", Text: "The lamp is broken.\n\nAnn"}},
	{"gmail, french labels", "Lampe", "---------- Forwarded message ---------\nDe : Ann <ann@example.org>\nDate: lun. 25 oct. 2021 à 11:17\nSubject: Lampe\nTo: <desk@example.net>\n\nCassée.",
		&ticketing.Forwarded{From: ticketing.Person{Name: "Ann", Address: "ann@example.org"}, Subject: "Lampe", Date: "lun. 25 oct. 2021 à 11:17", Text: "Cassée."}},
	{"apple, quoted", "Fwd: Lamp", "FYI\n\n> Begin forwarded message:\n> \n> From: Ann <ann@example.org>\n> Subject: Lamp\n> Date: 25 October 2021 at 11:17:21 EEST\n> To: desk@example.net\n> Reply-To: Ann <ann@example.org>\n> \n> Broken.\n> > really?\n\nmy signature",
		&ticketing.Forwarded{From: ticketing.Person{Name: "Ann", Address: "ann@example.org"}, Subject: "Lamp", Date: "25 October 2021 at 11:17:21 EEST", Text: "Broken.\n> really?"}},
	{"apple, hungarian", "Fwd: Lamp", "Továbbított levél kezdete:\n\nFeladó: Ann <ann@example.org>\nTárgy: Lamp\nDátum: 2021. október 25. 11:17:21 CEST\nCímzett: desk@example.net\nMásolatot kap: Bob <b@example.net>\n\nEltört.",
		&ticketing.Forwarded{From: ticketing.Person{Name: "Ann", Address: "ann@example.org"}, Subject: "Lamp", Date: "2021. október 25. 11:17:21 CEST", Text: "Eltört."}},
	{"thunderbird", "Fwd: Lamp", "-------- Forwarded Message --------\nSubject: \tLamp\nDate: \tMon, 25 Oct 2021 11:17:21 +0300\nFrom: \tAnn Ode <ann@example.org>\nTo: \tdesk@example.net\nCC: \tBob <bob@example.net>, \nCarl <carl@example.net>\n\n\n\nBroken.",
		&ticketing.Forwarded{From: ticketing.Person{Name: "Ann Ode", Address: "ann@example.org"}, Subject: "Lamp", Date: "2021-10-25T11:17:21+03:00", Text: "Broken."}},
	{"unknown language between dashes", "Lamp", "-------- Zprawa naprej --------\nFrom: Ann <ann@example.org>\nDate: today\nSubject: Lamp\n\nBroken.",
		&ticketing.Forwarded{From: ticketing.Person{Name: "Ann", Address: "ann@example.org"}, Subject: "Lamp", Date: "today", Text: "Broken."}},
	{"outlook 2013", "WG: Lampe", "Bitte.\n\nVon: Ann Ode [mailto:ann@example.org]\nGesendet: Montag, 25. Oktober 2021 11:17\nAn: desk@example.net\nCc: Bob\nBetreff: Lampe\n\nKaputt.",
		&ticketing.Forwarded{From: ticketing.Person{Name: "Ann Ode", Address: "ann@example.org"}, Subject: "Lampe", Date: "Montag, 25. Oktober 2021 11:17", Text: "Kaputt."}},
	{"outlook live", "RV: Lampara", "________________________________\nDe: Ann Ode <ann@example.org>\nEnviado: lunes, 25 de octubre de 2021 11:17\nPara: desk@example.net <desk@example.net>\nAsunto: Lampara\n\nRota.",
		&ticketing.Forwarded{From: ticketing.Person{Name: "Ann Ode", Address: "ann@example.org"}, Subject: "Lampara", Date: "lunes, 25 de octubre de 2021 11:17", Text: "Rota."}},
	{"outlook, reply", "RE: Lamp", "Thanks.\n\nFrom: Ann Ode <ann@example.org>\nSent: Monday\nTo: desk@example.net\nSubject: Lamp\n\nBroken.", nil},
	{"outlook, no prefix", "Lamp", "Thanks.\n\nFrom: Ann Ode <ann@example.org>\nSent: Monday\nTo: desk@example.net\nSubject: Lamp\n\nBroken.", nil},
	{"outlook 2019 for mac", "Fw: Lamp", "On 25/10/2021, 11:17, \"Ann Ode\" <ann@example.org> wrote:\n\n    Broken.\n\n      Very.\n",
		&ticketing.Forwarded{From: ticketing.Person{Name: "Ann Ode", Address: "ann@example.org"}, Subject: "Lamp", Date: "25/10/2021, 11:17", Text: "Broken.\n\n  Very."}},
	{"outlook 2019 for mac, french", "TR: Lampe", "Le 25/10/2021 11:17, « Ann Ode » <ann@example.org> a écrit :\n\n    Cassée.",
		&ticketing.Forwarded{From: ticketing.Person{Name: "Ann Ode", Address: "ann@example.org"}, Subject: "Lampe", Date: "25/10/2021 11:17", Text: "Cassée."}},
	{"yahoo", "Fw: Lamp", "note\n   ----- Forwarded Message ----- From: Ann Ode <ann@example.org>To: desk <desk@example.net>Cc: Bob <b@example.net>Sent: Monday, October 25, 2021, 11:17:21 AM GMT+3Subject: Lamp\n Broken.",
		&ticketing.Forwarded{From: ticketing.Person{Name: "Ann Ode", Address: "ann@example.org"}, Subject: "Lamp", Date: "2021-10-25T11:17:21+03:00", Text: "Broken."}},
	{"yahoo, german, own line", "Fw: Lampe", "----- Weitergeleitete Nachricht -----\nVon: \"Ann Ode\" <ann@example.org>An: \"desk\" <desk@example.net>Gesendet: Mo., Okt. 25, 2021 at 11:17Betreff: Lampe\nKaputt.",
		&ticketing.Forwarded{From: ticketing.Person{Name: "Ann Ode", Address: "ann@example.org"}, Subject: "Lampe", Date: "Mo., Okt. 25, 2021 at 11:17", Text: "Kaputt."}},
	{"mailmate", "Fwd: Lamp", "Forwarded message:\n\n> From: Ann <ann@example.org>\n> To: desk@example.net\n> Subject: Lamp\n> Date: Mon, 25 Oct 2021 11:17:21 +0300\n>\n> Broken.",
		&ticketing.Forwarded{From: ticketing.Person{Name: "Ann", Address: "ann@example.org"}, Subject: "Lamp", Date: "2021-10-25T11:17:21+03:00", Text: "Broken."}},
	{"ionos", "Fwd: Lamp", "---------- Original Message ----------\nFrom: Ann <ann@example.org>\nTo: desk@example.net\nDate: 10/25/2021 11:17 AM\nSubject: Lamp\n\n\nBroken.",
		&ticketing.Forwarded{From: ticketing.Person{Name: "Ann", Address: "ann@example.org"}, Subject: "Lamp", Date: "10/25/2021 11:17 AM", Text: "Broken."}},
	{"danish VS is a forward", "VS: Lampe", "Fra: Ann <ann@example.org>\nSendt: 25. oktober 2021 11:17\nTil: desk@example.net\nEmne: Lampe\n\nItu.",
		&ticketing.Forwarded{From: ticketing.Person{Name: "Ann", Address: "ann@example.org"}, Subject: "Lampe", Date: "25. oktober 2021 11:17", Text: "Itu."}},
	{"finnish VS is a reply", "VS: Lamppu", "Lähettäjä: Ann <ann@example.org>\nLähetetty: 25. lokakuuta 2021 11:17\nVastaanottaja: desk@example.net\nAihe: Lamppu\n\nRikki.", nil},
	{"reply quote", "Re: Lamp", "Thanks!\n\nOn Mon, Oct 25, 2021 at 11:17 AM Ann <ann@example.org> wrote:\n\n> Broken.", nil},
	{"forward inside the quote of a reply", "Re: Fwd: Lamp", "Done.\n\nOn Mon, Oct 25, 2021 at 11:17 AM Bob <bob@example.net> wrote:\n\n> ---------- Forwarded message ---------\n> From: Ann <ann@example.org>\n> Date: x\n> Subject: Lamp\n>\n> Broken.", nil},
	{"plain mail", "Fwd: nothing", "there is nothing here", nil},
	{"words alone", "Hello", "I got a forwarded message: it said\nFrom: me", nil},
}

func TestFindForward(t *testing.T) {
	for _, tt := range forwardTests {
		t.Run(tt.name, func(t *testing.T) {
			got := findForward(tt.subject, tt.text, nil)
			switch {
			case got == nil && tt.want == nil:
			case got == nil || tt.want == nil:
				t.Errorf("got %+v, want %+v", got, tt.want)
			case *got != *tt.want:
				t.Errorf("got %+v\nwant %+v", *got, *tt.want)
			}
		})
	}
}

func TestCutPrefix(t *testing.T) {
	for subject, want := range map[string]struct {
		rest           string
		forward, reply bool
	}{
		"Fwd: a":              {"a", true, false},
		"FW : a":              {"a", true, false},
		"İLT: a":              {"a", true, false},
		"Videresend: a":       {"a", true, false},
		"VS: a":               {"a", true, true},
		"AW: WG: a":           {"WG: a", false, true},
		"Re[2]: a":            {"a", false, true},
		"转发：a":                {"a", true, false},
		"[Fwd: a]":            {"a", true, false},
		"[EXTERNAL] Fwd: a":   {"a", true, false},
		"Redir.: a":           {"a", true, false},
		"Information: a":      {"Information: a", false, false},
		"I: a":                {"a", true, false},
		"Fwd without a colon": {"Fwd without a colon", false, false},
	} {
		rest, forward, reply := cutPrefix(subject)
		if rest != want.rest || forward != want.forward || reply != want.reply {
			t.Errorf("cutPrefix(%q) = %q, %v, %v", subject, rest, forward, reply)
		}
	}
}

func FuzzFindForward(f *testing.F) {
	for _, tt := range forwardTests {
		f.Add(tt.subject, tt.text)
	}
	f.Fuzz(func(t *testing.T, subject, text string) {
		got := findForward(subject, text, nil)
		if got != nil && len(got.Text) > len(text) {
			t.Errorf("%d octets of text out of %d", len(got.Text), len(text))
		}
	})
}
