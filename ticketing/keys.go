package ticketing

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"time"

	"github.com/mxdesk/mxdesk/ticketing/store"
)

// The key layout. docs/store.md describes it row by row; a change here is a
// change of SchemaVersion.

func schemaKey() store.Key              { return store.K("meta", "schema") }
func projectSeqKey() store.Key          { return store.K("meta", "projects") }
func hashedKey() store.Key              { return store.K("meta", "hashed") }
func routingKey() store.Key             { return store.K("meta", "routing") }
func domainKey(name string) store.Key   { return store.K("domain", name) }
func aliasKey(addr string) store.Key    { return store.K("alias", addr) }
func agentKey(email string) store.Key   { return store.K("agent", email) }
func projectKey(id uint64) store.Key    { return store.K("project", id) }
func projectName(name string) store.Key { return store.K("project.name", name) }
func projectAlias(id uint64, a string) store.Key {
	return store.K("project.alias", id, a)
}

func ticketKey(project, iid uint64) store.Key { return store.K("ticket", project, iid) }
func ticketSeqKey(project uint64) store.Key   { return store.K("ticket.seq", project) }
func commentKey(project, iid, n uint64) store.Key {
	return store.K("comment", project, iid, n)
}
func participantKey(project, iid uint64, addr string) store.Key {
	return store.K("participant", project, iid, addr)
}
func tokenKey(token string) store.Key { return store.K("token", strings.ToLower(token)) }
func messageIDKey(project uint64, id string) store.Key {
	return store.K("msgid", project, term(id))
}
func seenKey(project uint64, identity []byte) store.Key {
	return store.K("seen", project, identity)
}
func seenAtKey(at time.Time, project uint64, identity []byte) store.Key {
	return store.K("seen.at", at, project, identity)
}

func outgoingKey(id string) store.Key { return store.K("out", id) }
func outgoingDueKey(due time.Time, id string) store.Key {
	return store.K("out.due", due, id)
}
func outgoingTicketKey(project, iid, comment uint64, id string) store.Key {
	return store.K("out.ticket", project, iid, comment, id)
}
func outgoingByKey(t, id string) store.Key { return store.K("out.by", term(t), id) }

func journalKey(id string) store.Key        { return store.K("journal", id) }
func journalRefusedKey(id string) store.Key { return store.K("journal.refused", id) }
func journalByKey(t, id string) store.Key   { return store.K("journal.by", term(t), id) }
func heldKey(id string) store.Key           { return store.K("held", id) }

func budgetKey(name, who string, window time.Time) store.Key {
	return store.K("budget", window, name, who)
}

// term makes a search term of something a person or a mail gave: case-folded,
// and hashed when it is too long for a key.
func term(s string) string {
	s = strings.ToLower(strings.TrimSpace(s))
	if len(s) <= 200 {
		return s
	}
	h := sha256.Sum256([]byte(s))
	return "sha256:" + hex.EncodeToString(h[:])
}
