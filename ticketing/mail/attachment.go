package mail

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/url"
	"path"
	"strings"
	"unicode"

	"github.com/mxdesk/mxdesk/ticketing"
)

const maxFileName = 200 // octets

// OpenPart decodes an attachment out of the raw mail that it was found in.
func OpenPart(r io.ReaderAt, size int64, a ticketing.Attachment) io.Reader {
	offset := min(max(a.Offset, 0), size)
	length := min(max(a.Length, 0), size-offset)
	return decode(io.NewSectionReader(r, offset, length), a.Encoding)
}

// attachments describes the parts that are not text. refs are the Content-IDs
// that the HTML body shows.
func attachments(p *parsed, files []*part, refs map[string]bool) []ticketing.Attachment {
	var list []ticketing.Attachment
	taken := make(map[string]int)
	for _, f := range files {
		a := ticketing.Attachment{
			Name: uniqueName(fileName(f), taken), Type: f.mediaType,
			ContentID: oneLine(f.contentID), Part: f.path,
			Offset: f.offset, Length: f.length, Encoding: f.encoding,
		}
		shown := f.contentID != "" && refs[f.contentID]
		a.Inline = shown || f.disposition == "inline" || f.disposition == "" && f.contentID != "" && isMedia(f.mediaType)
		measure(p.raw, p.size, &a)
		list = append(list, a)
	}
	return list
}

func isMedia(mediaType string) bool {
	major, _, _ := strings.Cut(mediaType, "/")
	return major == "image" || major == "audio" || major == "video"
}

// measure fills in size and hash of the decoded octets, which stream by.
func measure(r io.ReaderAt, size int64, a *ticketing.Attachment) {
	hash := sha256.New()
	a.Size, _ = io.Copy(hash, OpenPart(r, size, *a))
	a.SHA256 = hex.EncodeToString(hash.Sum(nil))
}

// contentRefs finds the Content-IDs that HTML refers to.
func contentRefs(source string) map[string]bool {
	refs := make(map[string]bool)
	for rest := source; ; {
		i := strings.Index(rest, "cid:")
		if i < 0 {
			return refs
		}
		rest = rest[i+len("cid:"):]
		end := strings.IndexAny(rest, "\"'<>) \t\r\n")
		if end < 0 {
			return refs
		}
		id := rest[:end]
		refs[id] = true
		if plain, err := url.PathUnescape(id); err == nil {
			refs[plain] = true
		}
		rest = rest[end:]
	}
}

// name finds the file name that the header of a part gives, "" when none.
func (p *part) name() {
	_, disposition := parseParams(p.header.get("Content-Disposition"))
	_, contentType := parseParams(p.header.get("Content-Type"))
	for _, name := range []string{disposition["filename"], disposition["name"], contentType["name"], contentType["filename"]} {
		if name = safeName(decodeWords(name)); name != "" {
			p.filename = name
			return
		}
	}
	location := p.header.get("Content-Location")
	if location != "" && p.mediaType != "text/html" && p.mediaType != "text/plain" {
		if plain, err := url.PathUnescape(location); err == nil {
			location = plain
		}
		p.filename = safeName(decodeWords(location))
	}
}

// fileName is the name of a part, made up where the mail gives none.
func fileName(p *part) string {
	if p.filename != "" {
		return p.filename
	}
	if e := p.embedded(); e != nil {
		subject := strings.NewReplacer("/", "-", `\`, "-").Replace(e.header.decoded("Subject"))
		if subject = safeName(cutRunes(subject, 100)); subject != "" {
			return subject + ".eml"
		}
		return "message.eml"
	}
	id, _, _ := strings.Cut(p.contentID, "@")
	if name := safeName(id); knownExtension(path.Ext(name)) {
		return name
	}
	base := safeName(p.header.decoded("Content-Description"))
	ext := extensionOf(p.mediaType)
	switch {
	case base != "" && path.Ext(base) != "":
		return base
	case base != "":
		return base + ext
	}
	return baseNameOf(p.mediaType) + ext
}

// safeName keeps the last element of a path, without characters that deceive
// or that file systems refuse.
func safeName(name string) string {
	name = oneLine(name)
	if i := strings.LastIndexAny(name, `/\`); i >= 0 && i+1 < len(name) {
		name = name[i+1:]
	}
	name = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || !unicode.IsPrint(r) && r != ' ' || strings.ContainsRune(`<>:"|?*/\`, r) {
			return -1
		}
		return r
	}, name)
	name = strings.TrimSpace(strings.Trim(name, ". "))
	if len(name) <= maxFileName {
		return name
	}
	ext := path.Ext(name)
	if len(ext) > 20 {
		ext = ""
	}
	return strings.ToValidUTF8(name[:maxFileName-len(ext)], "") + ext
}

// uniqueName puts a number to a name that another attachment has already.
// taken holds, for each name, how often it was asked for.
func uniqueName(name string, taken map[string]int) string {
	unique, ext := name, path.Ext(name)
	for taken[strings.ToLower(unique)] > 0 {
		taken[strings.ToLower(name)]++
		unique = fmt.Sprintf("%s (%d)%s", strings.TrimSuffix(name, ext), taken[strings.ToLower(name)], ext)
	}
	taken[strings.ToLower(unique)]++
	return unique
}

// extensions are those of the types that come without a name.
var extensions = map[string]string{
	"image/jpeg": ".jpg", "image/jpg": ".jpg", "image/png": ".png", "image/gif": ".gif", "image/webp": ".webp",
	"image/svg+xml": ".svg", "image/heic": ".heic", "image/tiff": ".tif", "image/bmp": ".bmp",
	"text/plain": ".txt", "text/html": ".html", "text/calendar": ".ics", "text/csv": ".csv", "text/vcard": ".vcf",
	"text/x-vcard": ".vcf", "text/xml": ".xml", "text/rfc822-headers": ".txt", "text/enriched": ".txt",
	"application/pdf": ".pdf", "application/zip": ".zip", "application/gzip": ".gz", "application/ms-tnef": ".dat",
	"application/json": ".json", "application/xml": ".xml", "application/pkcs7-mime": ".p7m", "application/x-pkcs7-mime": ".p7m",
	"message/delivery-status": ".txt", "message/disposition-notification": ".txt",
	"audio/mpeg": ".mp3", "audio/wav": ".wav", "audio/x-wav": ".wav", "video/mp4": ".mp4",
}

func extensionOf(mediaType string) string { return extensions[mediaType] }

func knownExtension(ext string) bool {
	for _, known := range extensions {
		if strings.EqualFold(ext, known) {
			return true
		}
	}
	return false
}

// baseNameOf is the name, without extension, of a part that has none.
func baseNameOf(mediaType string) string {
	switch mediaType {
	case "text/calendar":
		return "invite"
	case "application/ms-tnef":
		return "winmail"
	case "application/pkcs7-mime", "application/x-pkcs7-mime":
		return "smime"
	case "message/delivery-status":
		return "delivery-status"
	case "message/disposition-notification":
		return "disposition-notification"
	case "text/rfc822-headers":
		return "headers"
	}
	if major, _, _ := strings.Cut(mediaType, "/"); isMedia(mediaType) {
		return major
	}
	return "file"
}
