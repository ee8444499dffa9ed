package mail

import (
	"strings"
	"testing"

	"golang.org/x/text/encoding"
)

// detectTests are texts and the charsets in which they go undeclared.
var detectTests = []struct{ charsets, text string }{
	{"shift_jis euc-jp iso-2022-jp", "お世話になっております。先日お送りいただいたランプが点灯しません。ご確認をお願いいたします。"},
	{"shift_jis euc-jp iso-2022-jp", "ランプの件について"},
	{"shift_jis euc-jp", "Re: ご注文 4711 (Lamp) のお問い合わせ"},
	{"gb18030", "您好，上周收到的灯不亮了，请问怎么退换？谢谢。"},
	{"gb18030", "你好"},
	{"gb18030", "转发: 订单问题"},
	{"gb18030", "中国公司的发票 invoice 4711"},
	{"big5", "您好，上週收到的燈不亮了，請問如何退換？謝謝您的幫忙。"},
	{"big5", "訂單問題"},
	{"euc-kr", "안녕하세요. 지난주에 받은 램프가 켜지지 않습니다. 확인 부탁드립니다."},
	{"euc-kr", "문의 드립니다"},
	{"koi8-r windows-1251 iso-8859-5", "Здравствуйте! Лампа, которую вы прислали на прошлой неделе, не работает. Что нам делать?"},
	{"koi8-r windows-1251", "Ответ на ваше письмо"},
	{"koi8-r windows-1251", "Re: вопрос по заказу lamp-4711 (see http://example.org/a/very/long/address)"},
	{"iso-8859-7", "Καλημέρα σας, η λάμπα που λάβαμε την προηγούμενη εβδομάδα δεν ανάβει."},
	{"windows-1255", "שלום, המנורה שקיבלנו בשבוע שעבר אינה נדלקת. מה לעשות?"},
	{"windows-1252", "Die Prüfung der Geräte läuft für größere Häuser über Köln."},
	{"windows-1252", "ÄÖÜäöüß"},
	{"windows-1252", "Où êtes-vous ? Déjà reçu à Orléans, l’œuvre coûte 3 €."},
	{"windows-1252", "El niño comió piñas: ¿cuántas? ¡Muchísimas!"},
	{"windows-1252", "Blåbærsyltetøy på brødskive – så gøy, ÆØÅ"},
	{"windows-1252", "“Don’t” … he said – it’s “fine”"},
}

func TestDetectCharset(t *testing.T) {
	for _, tt := range detectTests {
		for name := range strings.FieldsSeq(tt.charsets) {
			raw, err := encoding.ReplaceUnsupported(findCharset(name).NewEncoder()).Bytes([]byte(tt.text))
			if err != nil {
				t.Fatal(name, err)
			}
			for _, declared := range []string{"", "x-unknown", "us-ascii", "utf-8"} {
				if got := convert(raw, declared); got != tt.text {
					t.Errorf("%s declared as %q: %q read as %q, detected %q", name, declared, tt.text, got, detectCharset(raw))
				}
			}
		}
	}
}

// TestUndeclaredMail reads mails whose header and body are 8-bit text without a
// word about the charset.
func TestUndeclaredMail(t *testing.T) {
	for _, tt := range detectTests {
		for name := range strings.FieldsSeq(tt.charsets) {
			if name == "iso-2022-jp" {
				continue
			}
			raw, _ := findCharset(name).NewEncoder().String("From: <a@example.org>\r\nSubject: " + tt.text + "\r\n\r\n" + tt.text + "\r\n")
			if msg := parseBytes([]byte(raw)); msg.Subject != tt.text || strings.TrimSpace(msg.Text) != tt.text {
				t.Errorf("%s: subject %q, text %q", name, msg.Subject, msg.Text)
			}
		}
	}
}

// TestContradicted reads Chinese and Russian text declared to be Latin, and
// trusts the declaration where it can be true.
func TestContradicted(t *testing.T) {
	for _, tt := range []struct{ charset, text string }{
		{"gb18030", "您好，上周收到的灯不亮了，请问怎么退换？谢谢。"}, {"windows-1251", "Здравствуйте! Лампа не работает."},
		{"windows-1252", "ÄÖÜäöüßéèê ÄÖÜäöüßéèê ÄÖÜ"}, {"windows-1252", "für größere Häuser"},
	} {
		raw, _ := findCharset(tt.charset).NewEncoder().Bytes([]byte(tt.text))
		if got := convert(raw, "iso-8859-1"); got != tt.text {
			t.Errorf("%s: %q read as %q", tt.charset, tt.text, got)
		}
	}
}
