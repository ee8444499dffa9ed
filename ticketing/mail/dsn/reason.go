package dsn

import "strings"

// Reason names the cause of a failed delivery in one word, from an enhanced
// status code (RFC 3463), an SMTP reply code and the words of a reply, each of
// which may be empty. hard means that the address itself is dead: its user or
// host is unknown, it has moved, or its domain takes no mail. Without anything
// to go by the reason is "undefined", and "onhold" when the words are not known.
func Reason(status, replyCode, text string) (reason string, hard bool) {
	text = strings.ToLower(strings.ReplaceAll(clip(text, maxFolded), "’", "'"))
	text = strings.Join(strings.Fields(text), " ")
	reason = reasonOf(status, replyCode, text)
	if reason == "hostunknown" && strings.HasPrefix(status, "4") {
		return "networkerror", false
	}
	temporary := strings.HasPrefix(status, "4") || status == "" && strings.HasPrefix(replyCode, "4")
	switch reason {
	case "userunknown", "hostunknown", "hasmoved", "notaccept":
		hard = !temporary
	}
	return reason, hard
}

func reasonOf(status, replyCode, text string) string {
	if strings.HasPrefix(status, "2.") {
		return "delivered"
	}
	if r := byStatusRange(status); r != "" {
		return r
	}
	if r, ok := statusFirst[status]; ok && !(status == "5.7.27" && strings.Contains(text, "spf")) {
		return r
	}
	if r := byProvider(text); r != "" {
		return r
	}
	for _, rule := range reasonRules {
		if rule.matches(text) {
			return rule.reason
		}
	}
	if r, ok := statusReasons[status]; ok {
		return r
	}
	if len(status) > 1 {
		if r, ok := statusReasons["x"+status[1:]]; ok {
			return r
		}
	}
	if r, ok := replyReasons[replyCode]; ok {
		return r
	}
	if text == "" && status == "" && replyCode == "" {
		return "undefined"
	}
	return "onhold"
}

// rule names a reason by words; all that are joined by `+` must be there.
type rule struct {
	reason string
	words  []string
}

func (r rule) matches(text string) bool {
	for _, w := range r.words {
		if containsAll(text, w) {
			return true
		}
	}
	return false
}

func containsAll(text, words string) bool {
	for word := range strings.SplitSeq(words, " + ") {
		if !strings.Contains(text, word) {
			return false
		}
	}
	return true
}
