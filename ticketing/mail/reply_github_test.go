package mail

import (
	"fmt"
	"strings"
	"testing"
)

// githubReplies says, for mails of the GitHub suite, with which line (of those
// that are not blank, from 0) the reply begins and how many it has.
var githubReplies = map[string][2]int{
	"correct_sig.txt": {0, 1}, "email_1_1.txt": {0, 5}, "email_1_3.txt": {0, 3}, "email_1_4.txt": {0, 1}, "email_1_5.txt": {0, 12},
	"email_1_6.txt": {0, 1}, "email_1_7.txt": {0, 1}, "email_2_1.txt": {0, 1}, "email_2_2.txt": {0, 1}, "email_2_3.txt": {0, 1},
	"email_BlackBerry.txt": {0, 1}, "email_iPhone.txt": {0, 1}, "email_multi_word_sent_from_my_mobile_device.txt": {0, 1},
	"email_sent_from_my_not_signature.txt": {0, 2}, "email_sig_delimiter_in_middle_of_line.txt": {0, 4}, "email_one_is_not_on.txt": {0, 3},
	"email_bullets.txt": {0, 5}, "greedy_on.txt": {0, 4}, "pathological.txt": {0, 2}, "email_1_8.txt": {1, 14},
}

func TestTrimReplyGitHub(t *testing.T) {
	dir := corpus(t, "reply/github")
	agreed := 0
	for name, want := range githubReplies {
		text := readFile(t, dir, name)
		reply, quoted := trimReply(text)
		got, all := visible(reply), visible(text)
		if len(got) != want[1] || strings.Join(got, "\n") != strings.Join(all[want[0]:want[0]+want[1]], "\n") {
			t.Errorf("%s: %d lines, want %d from %d: %q", name, len(got), want[1], want[0], got)
		} else {
			agreed++
		}
		wantPartition(t, name, text, reply, quoted)
	}
	// Answers between quotes stay, with the quotes they answer.
	reply, _ := trimReply(readFile(t, dir, "email_1_2.txt"))
	if !strings.HasPrefix(reply, "Hi,") || strings.Contains(reply, "18:02") || !strings.HasSuffix(reply, "individually.\"") {
		t.Errorf("email_1_2.txt: %q", reply)
	} else {
		agreed++
	}
	t.Attr("conformance", fmt.Sprintf("reply/github | replies cut from quotes | %d/%d", agreed, len(githubReplies)+1))
}

// TestTrimReplyCost tries texts that are all beginnings of quotes. What costs
// more than linear time runs into the time limit of the test program.
func TestTrimReplyCost(t *testing.T) {
	const size = 128 << 10
	for name, line := range map[string]string{
		"colons": "On 1 Jan 2020 somebody somewhere said:\n", "labels": "From: a@example.org\n", "wide": strings.Repeat("On 1 Jan ", 500) + "wrote:\n",
		"quotes": strings.Repeat(">", 200) + "\n", "words": "sent from somewhere by someone who wrote\n", "dashes": "---------------- x ----------------\n",
	} {
		text := strings.Repeat(line, size/len(line))
		reply, quoted := trimReply(text)
		wantPartition(t, name, text, reply, quoted)
		findForward("Fwd: x", text, nil)
	}
}
