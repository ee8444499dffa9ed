package mail

import (
	"strings"
	"testing"
)

// TestCheapTests checks that the cheap tests let everything pass that the
// patterns behind them accept.
func TestCheapTests(t *testing.T) {
	for _, line := range []string{
		"Sent from my iPhone", "Scheduled with Boomerang", "*Sent* from my phone", "<Get Outlook for iOS>", "Get Outlook for Android", "Envoyé de mon iPhone", "Obtenez Outlook pour iOS",
		"Von meinem iPhone gesendet", "Gesendet von Mail für Windows", "Diese Nachricht wurde von meinem Telefon gesendet", "Holen Sie sich Outlook für iOS", "Outlook für Android beziehen",
		"Enviado desde mi iPhone", "Enviat des del mòbil", "Obtener Outlook para iOS", "Obter o Outlook para Android", "Inviato da iPhone", "Scarica Outlook per iOS", "Verstuurd vanaf mijn iPhone",
		"Download Outlook voor iOS", "Sendt fra min iPhone", "Skickat från min iPhone", "Från min iPhone", "Hent Outlook til iOS", "Hämta Outlook för iOS", "Lähetetty iPhonesta", "Wysłane z iPhone'a",
		"Pobierz aplikację Outlook dla systemu iOS", "Odesláno z iPhonu", "Odoslané z iPhonu", "Küldve az iPhone-omról", "Trimis de pe iPhone-ul meu", "iPhone'umdan gönderildi", "Отправлено с iPhone",
		"Надіслано з iPhone", "Poslano s mog iPhonea", "Στάλθηκε από το iPhone", "從我的 iPhone 傳送", "发自我的 iPhone", "来自 x 从我的 iPhone 发送", "iPhoneから送信", "나의 iPhone에서 보냄", "Đã gửi từ iPhone",
		"Dikirim dari iPhone saya", "נשלח מה-iPhone שלי", "أرسلت من iPhone",
	} {
		if deviceLine.MatchString(brackets.Replace(line)) && lineKind(plainLine(line)) != kindSignature {
			t.Errorf("%q is not taken for the line of a device", line)
		}
	}
	for _, text := range []string{
		"On x Ann wrote:", "Ann WROTE", "rewrote it", "wrotes", "Le x, Ann a écrit :", "a écrite", "napisał(a):", "Ann <a@b> napisal(a)", "je napisao/la", "schrieben Sie:", "于周一写道：", "님이 작성:", "he said, she thought",
		"unsaid", "כתב/ה", "hat geschrieben:", "aécrit", "on has  written", "", "…",
	} {
		if got, want := hasVerb(text), verbs.MatchString(text); got != want {
			t.Errorf("hasVerb(%q) = %v, the pattern says %v", text, got, want)
		}
	}
	for text, want := range map[string]bool{
		"Ann wrote": true, "Ann wrote: ": true, "Ann wrote it": false, "napisał(a):": true, "ezt írta": true, "schrieben Sie": true, "rewrote": false, "写道": true,
		strings.Repeat("é", 40) + " a écrit": true, "kirjoitti 25.10.": false,
	} {
		if got := endsWithVerb(text); got != want {
			t.Errorf("endsWithVerb(%q) = %v", text, got)
		}
	}
}
