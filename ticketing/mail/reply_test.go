package mail

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// corpus returns a folder of the test data of other projects; without that
// data the test is not run.
func corpus(t testing.TB, folder string) string {
	t.Helper()
	root := os.Getenv("CORPORA")
	if root == "" {
		root = filepath.Join("..", "..", "..", "shared", "corpora")
	}
	if _, err := os.Stat(root); err != nil {
		t.Skipf("no test data at %s: set CORPORA to run this suite", root)
	}
	return filepath.Join(root, folder)
}

func readFile(t testing.TB, path ...string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(path...))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// visible is a text as people compare it: without blanks at line ends and
// without blank lines.
func visible(text string) []string {
	var lines []string
	for _, line := range splitLines(text) {
		if line = strings.TrimSpace(line); line != "" {
			lines = append(lines, line)
		}
	}
	return lines
}

// trimmerDiffers are the mails of the Discourse suite that are meant to come
// out otherwise, with the reason.
var trimmerDiffers = map[string]string{
	"spam_1.txt": "the mail has nothing but quotes; the whole text is kept rather than nothing",
}

func TestTrimReplyDiscourse(t *testing.T) {
	dir := corpus(t, "reply/discourse-trimmer")
	names, err := filepath.Glob(filepath.Join(dir, "emails", "*.txt"))
	if err != nil || len(names) < 64 {
		t.Fatalf("%d mails, %v", len(names), err)
	}
	agreed := 0
	for _, path := range names {
		name := filepath.Base(path)
		text := readFile(t, path)
		reply, quoted := trimReply(text)
		want := visible(readFile(t, dir, "trimmed", name))
		same := slices.Equal(visible(reply), want)
		if same {
			agreed++
		}
		if reason := trimmerDiffers[name]; same == (reason != "") {
			t.Errorf("%s: agrees %v, reason %q\n got %q\nwant %q", name, same, reason, visible(reply), want)
		}
		wantPartition(t, name, text, reply, quoted)
	}
	t.Attr("conformance", fmt.Sprintf("reply/discourse-trimmer | replies cut from quotes | %d/%d", agreed, len(names)))
	if agreed < 63 {
		t.Errorf("agreement %d, want at least 63", agreed)
	}
}

// wantPartition checks that reply and quoted hold every visible line of text
// once, in order.
func wantPartition(t testing.TB, name, text, reply, quoted string) {
	t.Helper()
	a, b := visible(reply), visible(quoted)
	for _, line := range visible(text) {
		switch {
		case len(a) > 0 && a[0] == line:
			a = a[1:]
		case len(b) > 0 && b[0] == line:
			b = b[1:]
		default:
			// A line that both halves could take may have been taken wrongly.
			all, parts := visible(text), append(visible(reply), visible(quoted)...)
			slices.Sort(all)
			slices.Sort(parts)
			if !slices.Equal(all, parts) {
				t.Errorf("%s: line %q is lost or moved", name, line)
			}
			return
		}
	}
	if len(a)+len(b) > 0 {
		t.Errorf("%s: lines appear that the mail does not have: %q %q", name, a, b)
	}
}

func FuzzTrimReply(f *testing.F) {
	for _, seed := range []string{"a\n\nOn 1 Jan 2020, x <a@b.c> wrote:\n> b\n", "```\n--\n```\n-- \nsig", "> q\n\nt", "From: a@b\nTo: c\nSubject: d\n\ne", "\u00a0\u200b>\r\r\n"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		reply, quoted := trimReply(text)
		if reply == "" && strings.TrimSpace(text) != "" && strings.Trim(text, " \t\r\n\u00a0") != "" {
			t.Error("nothing remains of the mail")
		}
		wantPartition(t, "mail", text, reply, quoted)
	})
}

func TestTrimReplyHTML(t *testing.T) {
	tests := []struct{ name, source, keeps, drops string }{
		{"gmail", `<div>Yes.</div><div class="gmail_quote"><div class="gmail_attr">On x, Ann wrote:</div><blockquote>old</blockquote></div>`, "Yes.", "old"},
		{"gmail, answers inside", `<div class="gmail_quote"><div>On x wrote:</div><blockquote>old</blockquote><div>inline answer</div></div>`, "inline answer", ""},
		{"gmail forward", `<p>FYI</p><div class="gmail_quote"><div class="gmail_attr">---------- Forwarded message ---------</div>body</div>`, "body", ""},
		{"outlook web", `<div>Yes.</div><hr><div id="x_divRplyFwdMsg">From: Ann</div><div>old</div>`, "Yes.", "old"},
		{"outlook desktop", `<p>Yes.</p><div><div style="border:none;border-top:solid #E1E1E1 1.0pt;padding:3.0pt 0in 0in 0in"><p>From: Ann</p></div></div>`, "Yes.", "From"},
		{"thunderbird", `<p>Yes.</p><div class="moz-cite-prefix">On x Ann wrote:</div><blockquote type="cite">old</blockquote>`, "Yes.", "old"},
		{"thunderbird, below the quote", `<div class="moz-cite-prefix">On x Ann wrote:</div><blockquote type="cite">old</blockquote><p>My answer.</p>`, "My answer.", ""},
		{"apple", `Yes.<blockquote type="cite">old</blockquote>`, "Yes.", "old"},
		{"yahoo, with a prefix", `<p>Yes.</p><div class="ydp1yahoo_quoted">On Monday, Ann wrote:<div>old</div></div>`, "Yes.", "old"},
		{"missive", `<p>Yes.</p><div class="missive_quote">On x, Ann wrote:<blockquote>old</blockquote></div>`, "Yes.", "old"},
		{"nothing left", `<blockquote type="cite">old</blockquote>`, "old", ""},
		{"own quote", `<p>a</p><blockquote>b</blockquote>`, "b", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, cut := trimReplyHTML(tt.source)
			if !strings.Contains(got, tt.keeps) || tt.drops != "" && strings.Contains(got, tt.drops) {
				t.Errorf("got %q", got)
			}
			if cut != (got != tt.source) {
				t.Errorf("cut %v but changed %v", cut, got != tt.source)
			}
		})
	}
}

// trimTests are lines above quotes in many languages, and things that only look
// like quotes. In each, what is above the bar is the reply.
var trimTests = []string{
	"Danke\n|Am Mo., 25. Okt. 2021 um 11:17 Uhr schrieb Ann <ann@example.org>:\n\n> alt",
	"Merci\n|Le lun. 25 oct. 2021 à 11:17, Ann <ann@example.org> a écrit\u00a0:\n\n> vieux",
	"Gracias\n|El lun, 25 oct 2021 a las 11:17, Ann (<ann@example.org>) escribió:\n\n> viejo",
	"Obrigado\n|Em seg., 25 de out. de 2021 às 11:17, Ann <ann@example.org>\nescreveu:\n\n> velho",
	"Grazie\n|Il giorno lun 25 ott 2021 alle ore 11:17 Ann <ann@example.org> ha scritto:\n\n> vecchio",
	"Bedankt\n|Op ma 25 okt. 2021 om 11:17 schreef Ann <ann@example.org>:\n\n> oud",
	"Dzięki\n|W dniu pon., 25 paź 2021 o 11:17 Ann <ann@example.org> napisał(a):\n\n> stare",
	"Díky\n|po 25. 10. 2021 v 11:17 odesílatel Ann <ann@example.org> napsal:\n\n> staré",
	"Ďakujem\n|Dňa 25. 10. 2021 o 11:17 používateľ Ann napísal:\n> staré",
	"Köszönöm\n|Ann <ann@example.org> ezt írta (időpont: 2021. okt. 25., H, 11:17):\n\n> régi",
	"Mulțumesc\n|În lun., 25 oct. 2021 la 11:17, Ann <ann@example.org> a scris:\n\n> vechi",
	"Спасибо\n|пн, 25 окт. 2021 г. в 11:17, Ann <ann@example.org>:\n\n> старое",
	"Дякую\n|пн, 25 жовт. 2021 р. о 11:17 Ann <ann@example.org> пише:\n\n> старе",
	"Tak\n|Den man. 25. okt. 2021 kl. 11.17 skrev Ann <ann@example.org>:\n\n> gammel",
	"Takk\n|man. 25. okt. 2021 kl. 11:17 skrev Ann <ann@example.org>:\n\n> gammel",
	"Kiitos\n|ma 25. lokak. 2021 klo 11.17 Ann (ann@example.org) kirjoitti:\n\n> vanha",
	"Teşekkürler\n|Ann <ann@example.org>, 25 Eki 2021 Pzt, 11:17 tarihinde şunu yazdı:\n\n> eski",
	"Ευχαριστώ\n|Στις Δευ, 25 Οκτ 2021 στις 11:17 π.μ., ο/η Ann <ann@example.org> έγραψε:\n\n> παλιό",
	"谢谢\n|Ann <ann@example.org> 于2021年10月25日周一 上午11:17写道：\n\n> 旧",
	"どうも\n|2021年10月25日(月) 11:17 Ann <ann@example.org>:\n\n> 古い",
	"감사\n|2021년 10월 25일 (월) 오전 11:17, Ann <ann@example.org>님이 작성:\n\n> 옛",
	"Cảm ơn\n|Vào Th 2, 25 thg 10, 2021 lúc 11:17 Ann <ann@example.org> đã viết:\n\n> cũ",
	"תודה\n|\u202bבתאריך יום ב׳, 25 באוק׳ 2021 ב-11:17 מאת \u202aAnn\u202c\u200f <\u202aann@example.org\u202c\u200f>:\u202c\n\n> old",
	"Yes.\n|From: Ann Ode <ann@example.org>\nSent: Monday\nTo: desk\nSubject: Lamp\n\nold text",
	"Ja.\n|Von: Ann Ode <ann@example.org>\nGesendet: Montag\nAn: desk\nBetreff: Lampe\n\nalt",
	"はい\n|差出人: Ann <ann@example.org>\n送信日時: 今日\n宛先: desk\n件名: ランプ\n\n古い",
	"Yes.\n|________________________________\nFrom: a@example.org\nSent: x\nTo: y\nSubject: z\n\nold",
	"Yes.\n|-----Ursprüngliche Nachricht-----\nVon: x\n\nalt",
	"Yes.\n|-- \nAnn\n+1 234",
	"Yes.\n|Sent from my iPhone",
	"Yes.\n|Отправлено с iPhone",
	"Yes.\n|Outlook for iOS<https://aka.ms/x> İndir\n________________________________\nFrom: a\nSent: b\nTo: c\nSubject: d\n\nold",
	"Yes.\n|Sent from Mail.ru app for iOS",
	"Yes.\n|Sent via the Galaxy, an AT&T 4G LTE smartphone",
	"Tak.\n|Wysłane z iPhone’a\n\nWiadomość napisana przez Ann <ann@example.org> w dniu 1 sty 2020, o godz. 10:00:\n\n> stare",
	"Oui.\n|----- Mail original -----\nDe: \"Ann\" <ann@example.org>\nÀ: b\nEnvoyé: c\nObjet: d\n\nvieux",
	"Yes.\n|------------------ Original ------------------\nFrom: \"Ann\"<ann@example.org>;\nDate: x\nTo: y;\nSubject: z\n\nold",
	"Ja.\n|Ann Ode schrieb:\n> alt",
	"Yes.\n|Quoting Ann <ann@example.org>:\n\n> old",
	"Yes.\n|---- On Fri, 25 Nov 2016 19:14:48 +0100 Ann <ann@example.org> wrote ----\n\nold",
	"The change:\n\n--- original\n+++ modified\n\nworks|",
	"He always wrote: do it later.\nSo I did.|",
	"Text\n\n*\n\nmore\n\n#\n\nmore still|",
	"Heading\n-------\n\ntext\n\nOther\n=====\n\ntext|",
	"Trip:\nFrom: Berlin\nTo: Paris\nDate: May 3|",
	"Sent from the lab, the sample is late. Please check.|",
	"Sent from my desk\nbut there is more to say|",
	"The log says:\n\nOn 12 May it wrote: nothing\nand then stopped.\n\nBye|",
	"On the 3rd of May I wrote to you and got no answer.\nPlease help.|",
	"> first?\n\nYes.\n\n> second?\n\nNo.|",
}

func TestTrimReplyForms(t *testing.T) {
	for _, tt := range trimTests {
		want, below, _ := strings.Cut(tt, "|")
		text := want + below
		reply, quoted := trimReply(text)
		if !slices.Equal(visible(reply), visible(want)) {
			t.Errorf("%q:\n got %q\nwant %q", text, reply, want)
		}
		wantPartition(t, text, text, reply, quoted)
	}
}

func TestTrimReplyKeepsAnswers(t *testing.T) {
	above := "On Mon, Oct 25, 2021 at 11:17 AM Ann <ann@example.org> wrote:\n> one?\n\nYes.\n\n> two?\n\nNo.\n\n-- \nBob"
	reply, quoted := trimReply(above)
	if want := []string{"> one?", "Yes.", "> two?", "No."}; !slices.Equal(visible(reply), want) {
		t.Errorf("answers between quotes: reply %q", reply)
	}
	if want := []string{"On Mon, Oct 25, 2021 at 11:17 AM Ann <ann@example.org> wrote:", "--", "Bob"}; !slices.Equal(visible(quoted), want) {
		t.Errorf("answers between quotes: quoted %q", quoted)
	}
	reply, _ = trimReply("Hi Ann,\n\nOn Mon, Oct 25, 2021 at 11:17 AM Ann <ann@example.org> wrote:\n> one?\n\nYes.\n")
	if want := []string{"Hi Ann,", "> one?", "Yes."}; !slices.Equal(visible(reply), want) {
		t.Errorf("greeting above the quote: reply %q", reply)
	}
	reply, _ = trimReply("See:\n```\n-- \nselect 1;\n--\n```\ndone")
	if want := []string{"See:", "```", "--", "select 1;", "--", "```", "done"}; !slices.Equal(visible(reply), want) {
		t.Errorf("code: reply %q", reply)
	}
}

func TestAttributionWithoutNumbers(t *testing.T) {
	for _, line := range []string{"On Sunday Mika wrote:", "On Monday, Support Team wrote:", "Am Montag schrieb Mika:", "Le lundi, Mika a écrit :"} {
		reply, quoted := trimReply("It helped.\n\n" + line + "\n> Use water.\n")
		if strings.TrimSpace(reply) != "It helped." || !strings.Contains(quoted, line) {
			t.Errorf("%s: reply %q, quoted %q", line, reply, quoted)
		}
	}
	text := "On Monday I wrote:\n\nnothing at all.\n"
	if reply, _ := trimReply(text); strings.TrimSpace(reply) != strings.TrimSpace(text) {
		t.Errorf("a sentence was cut: %q", reply)
	}
}
