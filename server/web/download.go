package web

import (
	"bufio"
	"fmt"
	"io"
	"mime"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/mxdesk/mxdesk/ticketing"
	"github.com/mxdesk/mxdesk/ticketing/mail"
	"github.com/mxdesk/mxdesk/ticketing/store"
)

// harmless are the media types that a download keeps when its first octets
// agree. Everything else is just octets.
var harmless = []string{"image/png", "image/jpeg", "image/gif", "image/webp", "application/pdf", "application/zip"}

func (s *site) downloadOriginal(w http.ResponseWriter, r *http.Request, _ *ticketing.Agent) error {
	e, raw, err := s.openComment(r)
	if err != nil {
		return err
	}
	defer raw.Close()
	name := fmt.Sprintf("%s-%s-%d.eml", r.PathValue("project"), r.PathValue("iid"), e.ID)
	s.download(w, r, name, "text/plain; charset=utf-8", io.NewSectionReader(raw, 0, raw.Size()))
	return nil
}

func (s *site) downloadAttachment(w http.ResponseWriter, r *http.Request, _ *ticketing.Agent) error {
	e, raw, err := s.openComment(r)
	if err != nil {
		return err
	}
	defer raw.Close()
	n, err := strconv.Atoi(r.PathValue("attachment"))
	if err != nil || n < 1 || n > len(e.Attachments) {
		return errNoPage()
	}
	a := e.Attachments[n-1]
	content := bufio.NewReaderSize(mail.OpenPart(raw, raw.Size(), a), 64<<10)
	s.download(w, r, a.Name, checkedType(a.Type, content), content)
	return nil
}

// openComment opens the raw mail of the comment that the path names.
func (s *site) openComment(r *http.Request) (*ticketing.Comment, store.BlobReader, error) {
	th, err := s.thread(r)
	if err != nil {
		return nil, nil, err
	}
	id, err := strconv.ParseUint(r.PathValue("comment"), 10, 63)
	if err != nil {
		return nil, nil, errNoPage()
	}
	i := slices.IndexFunc(th.Entries, func(e ticketing.Entry) bool { return e.ID == id })
	if i < 0 || th.Entries[i].Raw == nil {
		return nil, nil, errNoPage()
	}
	c := &th.Entries[i].Comment
	raw, err := s.desk.OpenRaw(r.Context(), *c.Raw)
	return c, raw, err
}

// checkedType is the type that a mail gives an attachment if it is harmless
// and the content looks like it.
func checkedType(claimed string, content *bufio.Reader) string {
	head, _ := content.Peek(512) // what there is; an error comes again when it is read
	if slices.Contains(harmless, claimed) && http.DetectContentType(head) == claimed {
		return claimed
	}
	return "application/octet-stream"
}

// download streams something a stranger wrote. A browser saves it and does
// nothing else with it.
func (s *site) download(w http.ResponseWriter, r *http.Request, name, contentType string, content io.Reader) {
	h := w.Header()
	h.Set("Content-Type", contentType)
	h.Set("Content-Disposition", disposition(name))
	h.Set("Content-Security-Policy", "sandbox; default-src 'none'; frame-ancestors 'none'")
	if r.Method == http.MethodHead {
		return
	}
	if _, err := io.Copy(w, content); err != nil {
		s.o.Log.Warn("download cut short", "route", r.Pattern, "error", err)
		panic(http.ErrAbortHandler) // the client must not take it for whole
	}
}

// disposition names a download; the name came by mail.
//
// https://www.rfc-editor.org/rfc/rfc6266#section-4
func disposition(name string) string {
	name = strings.Map(func(r rune) rune {
		if deceives(r) || strings.ContainsRune(`/\`, r) {
			return '_'
		}
		return r
	}, strings.ToValidUTF8(name, "_"))
	if name == "" {
		name = "file"
	}
	return mime.FormatMediaType("attachment", map[string]string{"filename": name})
}
