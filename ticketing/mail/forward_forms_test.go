package mail

import (
	"testing"

	"github.com/mxdesk/mxdesk/ticketing"
)

// TestForwardAuthors reads the forms in which programs write the author.
func TestForwardAuthors(t *testing.T) {
	const address = "ann@example.org"
	for value, want := range map[string]ticketing.Person{
		`"Ode, Ann" <ann@example.org>`:                        {Name: "Ode, Ann", Address: address},
		`Ode, Ann <ann@example.org>`:                          {Name: "Ode, Ann", Address: address},
		`ann@example.org`:                                     {Address: address},
		`"ann@example.org" <ann@example.org>`:                 {Address: address},
		`Ann Ode <ann@example.org<mailto:ann@example.org>>`:   {Name: "Ann Ode", Address: address},
		`Ann Ode<mailto:ann@example.org>`:                     {Name: "Ann Ode", Address: address},
		`Ann Ode [mailto:ann@example.org]`:                    {Name: "Ann Ode", Address: address},
		`Ann Ode <[ann@example.org](mailto:ann@example.org)>`: {Name: "Ann Ode", Address: address},
		`[Ann Ode](mailto:ann@example.org)`:                   {Name: "Ann Ode", Address: address},
		`Ann Ode (ann@example.org)`:                           {Name: "Ann Ode", Address: address},
		`**Ann Ode** <ann@Example.org>`:                       {Name: "Ann Ode", Address: address},
		`"Ann Ode" < ann@example.org >`:                       {Name: "Ann Ode", Address: address},
		`Ann (Lamps) Ode <ann@example.org>`:                   {Name: "Ann (Lamps) Ode", Address: address},
		`'Ann Ode' <ann@example.org>`:                         {Name: "Ann Ode", Address: address},
		`"'Ann Ode' via Desk" <ann@example.org>`:              {Name: "'Ann Ode' via Desk", Address: address},
		`Ann @ Lamps <ann@example.org>`:                       {Name: "Ann @ Lamps", Address: address},
		`Ann Ode </o=EXAMPLE/cn=ann>`:                         {Name: "Ann Ode"},
		`Ann Ode`:                                             {Name: "Ann Ode"},
	} {
		f := findForward("Fwd: Lamp", "---------- Forwarded message ---------\nFrom: "+value+"\nDate: today\nSubject: Lamp\nTo: x@example.net; Bob\n\nDark.", nil)
		if f == nil || f.From != want || f.Text != "Dark." {
			t.Errorf("%s: %+v", value, f)
		}
	}
}

// TestForwardForms reads beginnings that one program or language has for itself.
func TestForwardForms(t *testing.T) {
	for _, tt := range []struct{ subject, text, date string }{
		{"VS: Lamp", "\"Ann Ode\" <ann@example.org> skrev følgende den 01.11.2021, 17:09:\n\n    Dark.\n", "01.11.2021, 17:09"},
		{"Fwd: Lamp", "01.11.2021 o 17:09 používateľ \"Ann Ode\" (<ann@example.org>) napísal:\n\n    Dark.\n", "01.11.2021 o 17:09"},
		{"Fwd: Lamp", "Op 01-11-2021 17:09 heeft Ann Ode <ann@example.org> geschreven:\n\nDark.", "01-11-2021 17:09"},
		{"Fwd: Lamp", "Am Mo., 1. Nov. 2021 um 17:09 Uhr schrieb Ann Ode <ann@example.org>:\n\nDark.", "Mo., 1. Nov. 2021 um 17:09 Uhr"},
		{"Fwd: Lamp", "On Nov 1, 2021, at 17:09, Ann Ode <ann@example.org> wrote:\n\n> Dark.\n", "Nov 1, 2021, at 17:09"},
		{"Fwd: Lamp", "On Mon, Nov 1, 2021 at 5:09 PM Ann Ode <ann@example.org> wrote:\n\n> Dark.\n", "Mon, Nov 1, 2021 at 5:09 PM"},
		{"Lamp", "note\n\n________________________________\nFrom: Ann Ode <ann@example.org>\nSent: Monday\nTo: Bob <bob@example.net>; C <c@example.net>\nSubject: Lamp\n\nDark.", "Monday"},
		{"Fwd: Lamp", "-------- Välitetty viesti / Fwd.Msg --------\nAihe: \tLamp\nPäiväys: \ttänään\nLähettäjä: \tAnn Ode <ann@example.org>\n\nDark.", "tänään"},
		{"Fwd: Lamp", "-------- Пересланное сообщение --------\n01.11.2021, 17:09, \"Ann Ode\" <ann@example.org>:\n\nDark.\n-------- Конец пересланного сообщения --------\n", "01.11.2021, 17:09"},
		{"Fwd: Lamp", "------- Forwarded Message -------\nFrom: Ann Ode <ann@example.org>\nDate: Monday\nSubject: Lamp\nTo: Bob <bob@example.net>\n\n> Dark.\n", "Monday"},
		{"转发：Lamp", "------------------ 原始邮件 ------------------\n发件人: \"Ann Ode\" <ann@example.org>;\n发送时间: 今天\n收件人: \"Bob\"<bob@example.net>;\n主题: Lamp\n\nDark.", "今天"},
	} {
		want := ticketing.Forwarded{From: ticketing.Person{Name: "Ann Ode", Address: "ann@example.org"}, Subject: "Lamp", Date: tt.date, Text: "Dark."}
		if got := findForward(tt.subject, tt.text, nil); got == nil || *got != want {
			t.Errorf("%s: %q:\n got %+v\nwant %+v", tt.subject, tt.text, got, want)
		}
	}
	// Replies have the same rule and the same words, and a prefix of their own.
	for _, tt := range []struct{ subject, text string }{
		{"Re: Lamp", "Yes.\n\n________________________________\nFrom: Ann Ode <ann@example.org>\nSent: Monday\nTo: Bob\nSubject: Lamp\n\nDark."},
		{"Re: Lamp", "Yes.\n\n------------------ Original ------------------\nFrom: Ann Ode <ann@example.org>\nDate: x\nSubject: Lamp\n\nDark."},
		{"VS: Lamp", "Ann Ode <ann@example.org> kirjoitti 1.11.2021 klo 17.09:\n\n> Dark.\n"},
	} {
		if got := findForward(tt.subject, tt.text, nil); got != nil {
			t.Errorf("%s: %+v", tt.subject, got)
		}
	}
}

// TestForwardHTML reads forwards that come as HTML only.
func TestForwardHTML(t *testing.T) {
	for name, source := range map[string]string{
		"thunderbird": `<p>note</p><div class="moz-forward-container"><br>-------- Forwarded Message --------<table><tr><th>Subject: </th><td>Lamp</td></tr><tr><th>Date: </th><td>Monday</td></tr><tr><th>From: </th><td>Ann Ode <a href="mailto:ann@example.org">&lt;ann@example.org&gt;</a></td></tr></table><br><p>Dark.</p></div>`,
		"gmail":       `<div>note<br><div class="gmail_quote"><div class="gmail_attr">---------- Forwarded message ---------<br>From: <strong>Ann Ode</strong> &lt;<a href="mailto:ann@example.org">ann@example.org</a>&gt;<br>Date: Monday<br>Subject: Lamp<br>To: Bob<br></div><br><div>Dark.</div></div></div>`,
		"outlook":     `<p>note</p><hr><div id="divRplyFwdMsg"><b>From:</b> Ann Ode &lt;ann@example.org&gt;<br><b>Sent:</b> Monday<br><b>To:</b> Bob<br><b>Subject:</b> Lamp</div><div>Dark.</div>`,
		"iphone":      `<div>note</div><div><br>Begin forwarded message:<br></div><blockquote type="cite"><b>From:</b> Ann Ode &lt;ann@example.org&gt;<br><b>Date:</b> Monday<br><b>To:</b> Bob<br><b>Subject:</b> <b>Lamp</b><br><br></blockquote><blockquote type="cite">Dark.</blockquote>`,
	} {
		msg := parseBytes([]byte("Subject: Fwd: Lamp\r\nContent-Type: text/html; charset=utf-8\r\n\r\n" + source))
		reply, _ := msg.Reply()
		want := ticketing.Forwarded{From: ticketing.Person{Name: "Ann Ode", Address: "ann@example.org"}, Subject: "Lamp", Date: "Monday", Text: "Dark."}
		if msg.Forwarded == nil || *msg.Forwarded != want || reply != "note" {
			t.Errorf("%s: %+v, reply %q", name, msg.Forwarded, reply)
		}
	}
}
