package mail

import (
	"fmt"
	"strings"
	"testing"
)

// localeWords are what mail programs of one language write: the beginning of a
// forward in Apple Mail and between dashes, the labels, and the prefix of the
// subject.
var localeWords = []struct{ name, apple, dashed, from, date, to, cc, subject, prefix string }{
	{"en", "Begin forwarded message", "Forwarded message", "From", "Sent", "To", "Cc", "Subject", "Fw"},
	{"de", "Anfang der weitergeleiteten Nachricht", "Weitergeleitete Nachricht", "Von", "Gesendet", "An", "Cc", "Betreff", "WG"},
	{"fr", "Début du message réexpédié", "Message transféré", "De", "Envoyé", "À", "Cc", "Objet", "TR"},
	{"es", "Inicio del mensaje reenviado", "Mensaje reenviado", "De", "Enviado", "Para", "CC", "Asunto", "RV"},
	{"pt", "Início da mensagem reencaminhada", "Mensagem reencaminhada", "De", "Data", "Para", "Cc", "Assunto", "ENC"},
	{"pt-br", "Início da mensagem encaminhada", "Mensagem encaminhada", "De", "Enviada em", "Para", "Cc", "Assunto", "ENC"},
	{"it", "Inizio messaggio inoltrato", "Messaggio inoltrato", "Da", "Inviato", "A", "Cc", "Oggetto", "I"},
	{"nl", "Begin doorgestuurd bericht", "Doorgestuurd bericht", "Van", "Verzonden", "Aan", "CC", "Onderwerp", "FW"},
	{"pl", "Początek przekazywanej wiadomości", "Przekazana wiadomość", "Od", "Wysłane", "Do", "DW", "Temat", "PD"},
	{"cs", "Začátek přeposílané zprávy", "Přeposlaná zpráva", "Od", "Odesláno", "Komu", "Kopie", "Předmět", "FW"},
	{"sk", "Začiatok preposlanej správy", "Preposlaná správa", "Od", "Dátum", "Komu", "Kópia", "Predmet", "FW"},
	{"hu", "Továbbított levél kezdete", "Továbbított üzenet", "Feladó", "Elküldve", "Címzett", "Másolatot kap", "Tárgy", "FW"},
	{"ro", "Începe mesajul redirecționat", "Mesaj redirecționat", "De la", "Trimis", "Către", "Cc", "Subiect", "FW"},
	{"ru", "Начало переадресованного сообщения", "Пересылаемое сообщение", "От", "Отправлено", "Кому", "Копия", "Тема", "FW"},
	{"uk", "Початок листа, що пересилається", "Переслане повідомлення", "Від", "Надіслано", "Кому", "Копія", "Тема", "FW"},
	{"da", "Start på videresendt besked", "Videresendt meddelelse", "Fra", "Sendt", "Til", "Cc", "Emne", "VS"},
	{"no", "Start på videresendt melding", "Videresendt melding", "Fra", "Sendt", "Til", "Kopi", "Emne", "VS"},
	{"sv", "Vidarebefordrat mejl", "Vidarebefordrat meddelande", "Från", "Skickat", "Till", "Kopia", "Ämne", "VB"},
	{"fi", "Välitetty viesti alkaa", "Välitetty viesti", "Lähettäjä", "Lähetetty", "Vastaanottaja", "Kopio", "Aihe", "VL"},
	{"tr", "İleti başlangıcı", "İletilmiş Mesaj", "Kimden", "Gönderildi", "Kime", "Bilgi", "Konu", "İLT"},
	{"hr", "Započni proslijeđenu poruku", "Proslijeđena poruka", "Šalje", "Datum", "Prima", "Kopija", "Naslov", "FW"},
	{"zh", "以下是转发的邮件", "转发的邮件", "发件人", "发送时间", "收件人", "抄送", "主题", "转发"},
	{"ja", "転送されたメッセージ", "転送メッセージ", "差出人", "送信日時", "宛先", "CC", "件名", "転送"},
}

// forwardShapes are how programs lay a forward out.
var forwardShapes = []struct {
	name, layout string
	strong       bool // also without the prefix
}{
	{"gmail", "note\n\n---------- Forwarded message ---------\n{from}: *Ann Ode* <ann@example.org>\n{date}: when\n{subject}: Lamp: is it broken?\n{to}: <desk@example.net>\n{cc}: <bob@example.org>\n\n\n{body}", true},
	{"apple", "note\n\n{apple}:\n\n{from}: Ann Ode <ann@example.org>\n{subject}: Lamp: is it broken?\n{date}: when\n{to}: desk@example.net\n{cc}: bob@example.org\n\n{body}", true},
	{"apple, quoted, with gaps", "> {apple}:\n> \n> {from}: Ann Ode <ann@example.org>\n> \n> {subject}: Lamp: is it broken?\n> \n> {date}: when\n> \n> {to}: desk@example.net\n> \n> {qbody}", true},
	{"dashes", "-------- {dashed} --------\n{subject}: \tLamp: is it broken?\n{date}: \twhen\n{from}: \tAnn Ode <ann@example.org>\n{to}: \tdesk@example.net\n{cc}: \tbob@example.org\n\n\n\n{body}", true},
	{"yahoo", "----- {dashed} -----\n{from}: Ann Ode <ann@example.org>\n{to}: desk <desk@example.net>\n{date}: when\n{subject}: Lamp: is it broken?\n\n{body}", true},
	{"yahoo, glued", "----- {dashed} -----\n{from}: \"Ann Ode\" <ann@example.org>{to}: \"desk\" <desk@example.net>{cc}: \"Bob\" <bob@example.org>{date}: when{subject}: Lamp: is it broken?\n{body}", true},
	{"outlook", "note\n\n{from}: Ann Ode <ann@example.org>\n{date}: when\n{to}: desk@example.net\n{cc}: bob@example.org\n{subject}: Lamp: is it broken?\n\n{body}", false},
	{"outlook, rule and emphasis", "________________________________\n*{from}:* Ann Ode [mailto:ann@example.org]\n*{date}:* when\n*{to}:* desk@example.net\n*{subject}:* Lamp: is it broken?\n\n{body}", false},
	{"blank before colon", "{from} : Ann Ode <ann@example.org>\n{date} : when\n{to} : desk@example.net\n{subject} : Lamp: is it broken?\n\n{body}", false},
}

// TestForwardLocales tries every layout in every language, with and without the
// prefix in the subject.
func TestForwardLocales(t *testing.T) {
	tried, failed := 0, 0
	for _, l := range localeWords {
		for _, shape := range forwardShapes {
			body := "It is.\n\nFrom now on: dark.\nDate: unknown"
			text := strings.NewReplacer("{from}", l.from, "{date}", l.date, "{to}", l.to, "{cc}", l.cc, "{subject}", l.subject, "{apple}", l.apple, "{dashed}", l.dashed,
				"{body}", body, "{qbody}", strings.ReplaceAll(body, "\n", "\n> ")).Replace(shape.layout)
			for _, subject := range []string{l.prefix + ": Lamp: is it broken?", "Lamp"} {
				if subject == "Lamp" && !shape.strong {
					continue
				}
				tried++
				got := findForward(subject, text, nil)
				summary := "nothing"
				if got != nil {
					summary = fmt.Sprintf("%s <%s> %s / %s / %s", got.From.Name, got.From.Address, got.Date, got.Subject, got.Text)
				}
				if want := "Ann Ode <ann@example.org> when / Lamp: is it broken? / " + body; summary != want {
					failed++
					t.Errorf("%s, %s, %q:\n got %q\nwant %q", l.name, shape.name, subject, summary, want)
				}
			}
		}
	}
	t.Logf("%d of %d forwards read", tried-failed, tried)
}

func TestForwardAttached(t *testing.T) {
	inner := "From: =?utf-8?Q?Ann_=C3=96de?= <ann@Example.org>\nSubject: =?utf-8?Q?L=C3=A4mp?=\nDate: Mon, 25 Oct 2021 11:17:21 +0300\n\nBroken.\n"
	build := func(subject, kind string) string {
		return strings.ReplaceAll("From: bob@example.net\nSubject: "+subject+"\nContent-Type: "+kind+"; boundary=b\n\n--b\n\nsee below\n--b\nContent-Type: message/rfc822\n\n"+inner+"--b--\n", "\n", "\r\n")
	}
	for _, tt := range []struct {
		subject, kind string
		want          bool
	}{
		{"Fwd: Lamp", "multipart/mixed", true},
		{"a customer's mail", "multipart/mixed", true},
		{"Re: Lamp", "multipart/mixed", false},
		{"Undelivered", "multipart/report", false},
	} {
		raw := build(tt.subject, tt.kind)
		f := Parse(strings.NewReader(raw), int64(len(raw)), Options{}).Forwarded
		if (f != nil) != tt.want {
			t.Errorf("%s, %s: %+v", tt.subject, tt.kind, f)
			continue
		}
		if f != nil && (f.From.Name != "Ann Öde" || f.From.Address != "ann@example.org" || f.Subject != "Lämp" || f.Date != "2021-10-25T11:17:21+03:00" || f.Text != "Broken.") {
			t.Errorf("%s: %+v", tt.subject, *f)
		}
	}
}

// TestForwardHeadlines reads forwards that begin like the quote of a reply, as
// Outlook for Mac writes them.
func TestForwardHeadlines(t *testing.T) {
	for _, line := range []string{
		`On 25/10/2021, 11:17, "Ann Ode" <ann@example.org> wrote:`,
		`Dne 25/10/2021, 11:17, "Ann Ode" <ann@example.org> napsal(a):`,
		`Den 25/10/2021, 11:17 skrev "Ann Ode" <ann@example.org>:`,
		`Am 25/10/2021, 11:17 schrieb "Ann Ode" <ann@example.org>:`,
		`El 25/10/2021, 11:17, "Ann Ode" <ann@example.org> escribió:`,
		`Ann Ode <ann@example.org> kirjoitti 25/10/2021, 11:17:`,
		`Le 25/10/2021, 11:17, « Ann Ode » <ann@example.org> a écrit :`,
		`25/10/2021, 11:17 időpontban "Ann Ode" <ann@example.org> ezt írta:`,
		`Il giorno 25/10/2021, 11:17 "Ann Ode" <ann@example.org> ha scritto:`,
		`Op 25/10/2021, 11:17 heeft "Ann Ode" <ann@example.org> geschreven:`,
		`Den 25/10/2021, 11:17 skrev «Ann Ode» <ann@example.org> følgende:`,
		`W dniu 25/10/2021, 11:17 użytkownik "Ann Ode" <ann@example.org> napisał:`,
		`A 25/10/2021, 11:17, "Ann Ode" <ann@example.org> escreveu:`,
		`25/10/2021, 11:17 пользователь "Ann Ode" <ann@example.org> написал:`,
		`Dňa 25/10/2021, 11:17 používateľ „Ann Ode“ <ann@example.org> napísal:`,
		`25/10/2021, 11:17 tarihinde "Ann Ode" <ann@example.org> yazdı:`,
		`Pe 25/10/2021, 11:17, "Ann Ode" <ann@example.org> a scris:`,
		`25/10/2021, 11:17 користувач "Ann Ode" <ann@example.org> написав:`,
		`Dana 25/10/2021, 11:17 "Ann Ode" <ann@example.org> je napisao/la:`,
		`在 25/10/2021, 11:17，“Ann Ode”<ann@example.org> 写入:`,
		`25/10/2021, 11:17, "Ann Ode" <ann@example.org> を書き込みました:`,
	} {
		f := findForward("Fwd: Lamp", "note\n\n"+line+"\n\n    It is broken.\n", nil)
		if f == nil || f.From.Name != "Ann Ode" || f.From.Address != "ann@example.org" || f.Date != "25/10/2021, 11:17" || f.Subject != "Lamp" || f.Text != "It is broken." {
			t.Errorf("%s: %+v", line, f)
		}
		if f := findForward("Re: Lamp", line+"\n\n> It is broken.\n", nil); f != nil {
			t.Errorf("reply, %s: %+v", line, *f)
		}
	}
}
