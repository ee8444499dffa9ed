package mail

import "strings"

// labelKind says which header field a label of a quoted header block names.
type labelKind byte

const (
	labelNone labelKind = iota
	labelFrom
	labelDate
	labelTo
	labelCc
	labelSubject
	labelReplyTo
)

// labelWords holds the labels that mail programs write above a quoted or
// forwarded mail, in lower case, separated by bars.
var labelWords = map[labelKind]string{
	labelFrom: "from|von|absender|de|expéditeur|expediteur|de la part de|remitente|remetente|da|mittente|van|afzender|od|nadawca|" +
		"odesílatel|odosielateľ|odesilatel|pošiljatelj|pošiljatelj/ica|šalje|pošiljatel|fra|avsender|afsender|från|avsändare|feladó|de la|expeditor|expeditorul|" +
		"lähettäjä|kimden|gönderen|от|от кого|отправитель|подател|від|від кого|відправник|από|αποστολέας|发件人|寄件者|寄件人|發件人|差出人|送信元|送信者|" +
		"보낸 사람|보낸사람|발신|từ|người gửi|dari|pengirim|מאת|من|المرسل|saatja|nuo|no|จาก|remitent|frá",
	labelDate: "date|sent|datum|gesendet|gesendet am|envoyé|envoyé le|date d'envoi|le|fecha|enviado|enviado el|enviado em|enviada|enviada em|enviada el|data|" +
		"inviato|inviato il|verzonden|verzonden op|wysłano|wysłane|data wysłania|odesláno|odoslané|dátum|elküldve|küldve|trimis|trimis la|data trimiterii|sendt|dato|" +
		"skickat|skickad|lähetetty|päiväys|päivämäärä|pvm|tarih|gönderildi|gönderme tarihi|gönderilme tarihi|дата|дата отправки|отправлено|надіслано|відправлено|изпратено|" +
		"poslano|poslato|ημερομηνία|στάλθηκε|εστάλη|发送时间|发送日期|日期|发件时间|寄件日期|傳送時間|已傳送|已发送|送信日時|送信日|日時|日付|" +
		"보낸 날짜|날짜|보낸날짜|발송일|ngày|đã gửi|ngày gửi|tanggal|dikirim|terkirim|תאריך|נשלח|التاريخ|تاريخ|تم الإرسال|kuupäev|datums|วันที่|enviat|enviat el",
	labelTo: "to|an|empfänger|à|pour|destinataire|destinataires|para|destinatario|destinatário|a|aan|ontvanger|do|adresat|odbiorca|komu|příjemce|pre|príjemca|" +
		"prima|primatelj|za|til|mottaker|modtager|till|mottagare|címzett|címzettek|către|catre|destinatar|destinatarul|vastaanottaja|vast.ott.|kime|alıcı|kime gönderildi|" +
		"кому|получатель|до|одержувач|προς|παραλήπτης|收件人|收件者|宛先|送信先|받는 사람|받는사람|수신|tới|đến|người nhận|kepada|ke|untuk|אל|אֶל|إلى|kellele|kam|ถึง|per a|do/na",
	labelCc: "cc|copie|copie à|cópia|copia|con copia|copia a|copia per conoscenza|kopie|kopie (cc)|kopia|kopia till|kópia|dw|do wiadomości|do wiad.|másolat|másolatot kap|kopi|kopi til|kopio|" +
		"bilgi|копия|копія|κοιν|κοιν.|κοινοποίηση|抄送|副本|ccs|참조|đồng gửi|tembusan|עותק|نسخة|bcc|cci|bcc:|udw|скрытая копия|in kopie|cc:",
	labelSubject: "subject|betreff|objet|sujet|asunto|assunto|oggetto|onderwerp|temat|předmět|predmet|naslov|zadeva|emne|ämne|tárgy|subiect|subiectul|" +
		"aihe|otsikko|konu|тема|относно|θέμα|主题|主旨|主題|标题|件名|제목|chủ đề|tiêu đề|perihal|subjek|judul|נושא|الموضوع|موضوع|teema|tēma|tema|assumpte|เรื่อง",
	labelReplyTo: "reply-to|reply to|antwort an|antworten an|répondre à|repondre a|réponse à|responder a|responder para|risposta|rispondi a|antwoord aan|antwoordadres|odpověď komu|odpovědět|odpovědět komu|" +
		"odpowiedz do|odpowiedź do|odpovedať|svar til|svara till|vastaus|vastausosoite|vastaa|yanıt|yanıtla|yanıt adresi|odgovori|odgovor prima|válaszcím|válasz|válaszcím:|răspuns către|răspundeți la|răspunde la|ответить|кому отвечать|кому ответить|" +
		"кому відповісти|відповісти|відповідати на|απάντηση προς|απάντηση σε|回复至|回复|答复|回覆|返信先|회신 대상|trả lời|reply-to:|השב אל|رد على|balas ke",
}

// quoteVerbs are the words that end, or stand inside, the line above a quote
// ("On … wrote:"). Those of scripts without word gaps are in quoteVerbsJoined.
const quoteVerbs = `wrote|writes|said|says|has written|schrieb|schreibt|geschrieben|schrieben sie|a écrit|a ecrit|a écrit|nous a dit|écrivait|` +
	`escribió|escribio|ha escrito|escreveu|ha scritto|scrive|schreef|geschreven|verzond|pisze|napisana przez|napisał\(a\)|napisała|napisał|napisal\(a\)|napisal|napsal\(a\)|napsala|napsal|` +
	`píše|napísala|napísal|napísal\(a\)|írta|a scris|написал\(а\)|написала|написал|пишет|пише|написав|написав\(-ла\)|написа|skrev|skreiv|kirjoitti|` +
	`yazdı|yazmış|je napisao|je napisala|je napisao/la|έγραψε|đã viết|viết|kirjutas|rakstīja|rašė|va escriure|menulis|כתב|כתבה|כתב/ה|كتب|sent`

const quoteVerbsJoined = `写道|寫道|写到|のメッセージ|書きました|작성|썼습니다|쓴 글`

// quoteOpeners are the words with which the line above a quote begins.
const quoteOpeners = `on|at|in message|am|um|le|el|em|il|il giorno|op|w dniu|dnia|dne|dňa|den|på|pe|ma|ti|ke|to|la|su|pt|în|στις|dana|vào|` +
	`в|у|а|pada|el dia|el día|tarihinde|بتاريخ|في|ב|בתאריך`

// originalWords stand between dashes above the quoted mail of a reply, or of a
// forward by a program that uses the same words for both.
const originalWords = `original message|mail original|e-mail original|original email|original e-mail|ursprüngliche mail|ursprüngliche e-mail|original-nachricht|originalnachricht|ursprüngliche nachricht|original mail|message d'origine|message original|message initial|mensaje original|` +
	`mensagem original|messaggio originale|oorspronkelijk bericht|origineel bericht|wiadomość oryginalna|oryginalna wiadomość|původní zpráva|pôvodná správa|` +
	`izvorna poruka|originalna poruka|izvirno sporočilo|oprindelig meddelelse|oprindelig besked|opprinnelig melding|original melding|originalmeddelande|ursprungligt meddelande|ursprungsmeddelande|` +
	`alkuperäinen viesti|eredeti üzenet|mesaj original|mesajul original|orijinal mesaj|özgün ileti|orjinal mesaj|исходное сообщение|оригинальное сообщение|первоначальное сообщение|` +
	`початкове повідомлення|вихідне повідомлення|оригінальне повідомлення|оригинално съобщение|αρχικό μήνυμα|原始邮件|原始郵件|元のメッセージ|원본 메시지|원본 메일|tin nhắn gốc|thư gốc|thông điệp gốc|` +
	`pesan asli|הודעה מקורית|الرسالة الأصلية|missatge original|reply message|antwort nachricht|réponse message`

// forwardWords begin a forwarded mail, between dashes or at the end of a line
// of their own before a colon.
const forwardWords = `forwarded message|begin forwarded message|forwarded mail|forwarded by|fwd message|weitergeleitete nachricht|anfang der weitergeleiteten nachricht|` +
	`anfang der weitergeleiteten e-mail|weitergeleitete mail|weitergeleitete e-mail|message transféré|message transmis|début du message transféré|début du message réexpédié|` +
	`message réexpédié|début du message transmis|mensaje reenviado|inicio del mensaje reenviado|mensagem encaminhada|mensagem reencaminhada|início da mensagem encaminhada|início da mensagem reencaminhada|` +
	`messaggio inoltrato|inizio messaggio inoltrato|inizio del messaggio inoltrato|doorgestuurd bericht|begin doorgestuurd bericht|begin van doorgestuurd bericht|przekazana wiadomość|treść przekazanej wiadomości|` +
	`początek przekazywanej wiadomości|początek przekazanej wiadomości|wiadomość przekazana|wiadomość przekazana dalej|přeposlaná zpráva|začátek přeposílané zprávy|přeposlaný e-mail|předaná zpráva|preposlaná správa|začiatok preposlanej správy|` +
	`proslijeđena poruka|započni proslijeđenu poruku|početak proslijeđene poruke|prosleđena poruka|posredovano sporočilo|videresendt meddelelse|videresendt besked|start på videresendt besked|` +
	`videresendt melding|start på videresendt melding|videresendt e-post|vidarebefordrat meddelande|vidarebefordrat mejl|vidarebefordrat brev|vidarebefordrat e-postmeddelande|början på vidarebefordrat meddelande|börja på vidarebefordrat mejl|välitetty viesti|edelleenlähetetty viesti|` +
	`välitetty viesti alkaa|edelleen lähetetty viesti|továbbított üzenet|továbbított levél kezdete|továbbított levél|továbbított üzenet kezdete|mesaj redirecționat|începe mesajul redirecționat|mesaj redirectionat|mesaj înaintat|mesaj transmis mai departe|` +
	`iletilen mesaj|iletilmiş mesaj|iletilen ileti|iletilmiş ileti|i̇letilen mesaj|i̇letilmiş ileti|i̇letilen ileti|i̇leti başlangıcı|ileti başlangıcı|yönlendirilen mesaj|yönlendirilmiş ileti|пересылаемое сообщение|перенаправленное сообщение|пересланное сообщение|начало переадресованного сообщения|начало пересылаемого сообщения|` +
	`переадресованное сообщение|переслане повідомлення|перенаправлене повідомлення|початок листа, що пересилається|початок переадресованого повідомлення|переадресоване повідомлення|препратено съобщение|προωθημένο μήνυμα|έναρξη προωθημένου μηνύματος|` +
	`转发的邮件|转发邮件|轉寄郵件|轉寄的郵件|以下是转发的邮件|开始转发邮件|開始轉寄郵件|已转发邮件|已转发的消息|轉寄的訊息|メッセージを転送|転送されたメッセージ|転送メッセージ|전달된 메시지|전달된 메시지 시작|전달 메시지|전달된 메일|thư đã chuyển tiếp|thư được chuyển tiếp|bắt đầu thư được chuyển tiếp|` +
	`tin nhắn đã chuyển tiếp|pesan terusan|pesan yang diteruskan|mulai pesan yang diteruskan|הודעה שהועברה|תחילת ההודעה שהועברה|الرسالة المعاد توجيهها|بداية الرسالة المعاد توجيهها|رسالة معاد توجيهها|missatge reenviat|inici del missatge reenviat|edastatud kiri|pārsūtīts ziņojums|persiųstas laiškas`

// deviceWords make a line that a phone or program adds: the whole line must
// match one of these once links are taken out.
const deviceWords = `(?:sent|scheduled) (?:from|via|with|by|on|using) (?:[^,.;!?]|\.[a-z]){1,60}(?:, an? [^.!?]{1,40}(?:phone|tablet|device)|[,.]+ *(?:please )?(?:excuse|pardon|forgive|sorry|apologies)[^.!?]*)?` +
	`|(?:someone )?from (?:my )?(?:mobile|iphone|ipad|android|phone|blackberry)[^,.;!?]{0,20}` +
	`|get outlook for [a-z ]{1,20}|get \[?outlook for [a-z ]{1,20}\]?|download outlook for [a-z ]{1,20}|outlook for (?:ios|android|mac)(?: [\pL]{1,12})?` +
	`|envoyé (?:de|depuis|à partir de|avec|via) [^,.;!?]{1,60}|obtenez outlook pour [^,.;!?]{1,20}|télécharger outlook [^,.;!?]{1,30}` +
	`|von (?:meinem|mein) [^,.;!?]{1,40} gesendet|gesendet (?:von|mit|aus) [^,;!?]{1,60}|diese nachricht wurde (?:von|mit) [^,;!?]{1,60} gesendet|holen sie sich outlook für [^,.;!?]{1,20}|outlook für (?:ios|android) beziehen` +
	`|enviado (?:desde|do|de|pelo|via|a partir do) [^,.;!?]{1,60}|enviat des [^,.;!?]{1,60}|obtener outlook para [^,.;!?]{1,20}|obter o outlook para [^,.;!?]{1,20}` +
	`|inviato (?:da|dal|con|tramite) [^,.;!?]{1,60}|scarica outlook per [^,.;!?]{1,20}|ottieni outlook per [^,.;!?]{1,20}` +
	`|(?:verzonden|verstuurd|gestuurd) (?:vanaf|met|vanuit|via|van) [^,.;!?]{1,60}|outlook voor (?:ios|android) downloaden|download outlook voor [^,.;!?]{1,20}` +
	`|sendt fra [^,.;!?]{1,60}|skickat från [^,.;!?]{1,60}|från min [^,.;!?]{1,30}|hent outlook (?:for|til) [^,.;!?]{1,20}|hämta outlook för [^,.;!?]{1,20}` +
	`|lähetetty (?:laitteesta|minun|sähköpostista)? ?[^,.;!?]{1,60}|wysłane z [^,.;!?]{1,60}|wysłano z [^,.;!?]{1,60}|pobierz (?:aplikację )?outlook dla [^,.;!?]{1,30}` +
	`|odesláno z [^,.;!?]{1,60}|odoslané z [^,.;!?]{1,60}|küldve (?:az?|egy)? ?[^,.;!?]{1,60}|trimis de pe [^,.;!?]{1,60}` +
	`|[^,.;!?]{1,40}(?:'?den|'?dan|'?ten|'?tan|ımdan|imden) gönderildi|отправлено (?:с|из|через) [^,;!?]{1,60}|надіслано (?:з|із) [^,;!?]{1,60}|відправлено (?:з|із) [^,;!?]{1,60}` +
	`|poslano (?:s|sa|iz|z) [^,.;!?]{1,60}|στάλθηκε από [^,.;!?]{1,60}|從我的 [^,.;!?]{1,30} 傳送|发自我的 ?[^,.;!?]{1,30}|从我的 ?[^,.;!?]{1,30} ?发送|來自我的 ?[^,.;!?]{1,30}` +
	`|[^,.;!?]{1,30}から送信|나의 [^,.;!?]{1,30}에서 보냄|đã gửi từ [^,.;!?]{1,40}|gửi từ [^,.;!?]{1,40}|dikirim dari [^,.;!?]{1,40}|נשלח מ[^,.;!?]{1,40}|أُ?رسلت من [^,.;!?]{1,40}`

// words splits one of the tables above.
func words(table string) []string { return strings.Split(table, "|") }
