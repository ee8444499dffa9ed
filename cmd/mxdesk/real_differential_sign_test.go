package main

import (
	"bytes"
	"cmp"
	"crypto"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"math/big"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
)

// The messages of the differential test are signed by code of its own, so that
// a mistake in the canonicalisation of auth is not made twice.

// signingKey signs for DKIM and ARC.
type signingKey struct {
	modulus, exponent *big.Int // of RSA
	edwards           ed25519.PrivateKey
}

// seeded is a source of numbers that are the same in every run.
func seeded(name string) *rand.ChaCha8 { return rand.NewChaCha8(sha256.Sum256([]byte(name))) }

// rsaKey makes the RSA key of that name, whose size may be too small for
// crypto/rsa.
func rsaKey(name string, bits int) signingKey {
	source := seeded(name)
	e, one := big.NewInt(65537), big.NewInt(1)
	prime := func() *big.Int {
		b := make([]byte, bits/16)
		for {
			source.Read(b)
			b[0], b[len(b)-1] = b[0]|0xc0, b[len(b)-1]|1
			p := new(big.Int).SetBytes(b)
			if p.ProbablyPrime(10) && new(big.Int).GCD(nil, nil, new(big.Int).Sub(p, one), e).Cmp(one) == 0 {
				return p
			}
		}
	}
	p, q := prime(), prime()
	phi := new(big.Int).Mul(new(big.Int).Sub(p, one), new(big.Int).Sub(q, one))
	return signingKey{modulus: new(big.Int).Mul(p, q), exponent: new(big.Int).ModInverse(e, phi)}
}

func edwardsKey(name string) signingKey {
	seed := sha256.Sum256([]byte(name))
	return signingKey{edwards: ed25519.NewKeyFromSeed(seed[:])}
}

func (k signingKey) algorithm() string {
	if k.edwards != nil {
		return "ed25519-sha256"
	}
	return "rsa-sha256"
}

// public is the text of p= in a key record.
func (k signingKey) public() string {
	if k.edwards != nil {
		return base64.StdEncoding.EncodeToString(k.edwards.Public().(ed25519.PublicKey))
	}
	spki, err := x509.MarshalPKIXPublicKey(&rsa.PublicKey{N: k.modulus, E: 65537})
	if err != nil {
		panic(err)
	}
	return base64.StdEncoding.EncodeToString(spki)
}

// sign returns b= for the octets.
func (k signingKey) sign(data []byte) string {
	hash := sha256.Sum256(data)
	if k.edwards != nil {
		b, err := k.edwards.Sign(nil, hash[:], crypto.Hash(0))
		if err != nil {
			panic(err)
		}
		return base64.StdEncoding.EncodeToString(b)
	}
	// https://www.rfc-editor.org/rfc/rfc8017#section-9.2
	info := append([]byte{0x30, 0x31, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01, 0x05, 0x00, 0x04, 0x20}, hash[:]...)
	size := (k.modulus.BitLen() + 7) / 8
	padding := bytes.Repeat([]byte{0xff}, size-3-len(info))
	m := new(big.Int).SetBytes(slices.Concat([]byte{0, 1}, padding, []byte{0}, info))
	return base64.StdEncoding.EncodeToString(m.Exp(m, k.exponent, k.modulus).FillBytes(make([]byte, size)))
}

var (
	wspRun  = regexp.MustCompile(`[ \t]+`)
	wspLast = regexp.MustCompile(`(?m)[ \t]+\r\n`)
)

// canonField is a header field, without its line end, in a canonical form.
//
// https://www.rfc-editor.org/rfc/rfc6376#section-3.4
func canonField(form, field string) string {
	if form != "relaxed" {
		return field
	}
	name, value, _ := strings.Cut(field, ":")
	value = wspRun.ReplaceAllString(strings.ReplaceAll(value, "\r\n", ""), " ")
	return strings.ToLower(strings.TrimRight(name, " \t")) + ":" + strings.Trim(value, " ")
}

func canonBody(form, body string) string {
	if form == "relaxed" {
		body = wspRun.ReplaceAllString(wspLast.ReplaceAllString(body, "\r\n"), " ")
	}
	trimmed := strings.TrimSuffix(body, "\r\n")
	for strings.HasSuffix(trimmed, "\r\n") {
		trimmed = strings.TrimSuffix(trimmed, "\r\n")
	}
	if trimmed == "" && form == "relaxed" {
		return ""
	}
	return trimmed + "\r\n"
}

var fieldStart = regexp.MustCompile(`\r\n[^ \t]`)

// splitMail returns the header fields without their line ends, and the body.
func splitMail(raw string) (fields []string, body string) {
	header, body, _ := strings.Cut(raw, "\r\n\r\n")
	for {
		at := fieldStart.FindStringIndex(header)
		if at == nil {
			return append(fields, header), body
		}
		fields, header = append(fields, header[:at[0]]), header[at[1]-1:]
	}
}

// signing says how to sign; what is empty stands at what most signers do.
type signing struct {
	key      signingKey
	selector string
	domain   string // default sign.example
	canon    string // c=; "-" leaves it out
	headers  string // h=
	extra    string // tags before bh=, like "x=1; "
	version  string // "v=1; " by default
	tail     string // tags behind b=
	hash     string // bh= as it is to be, default the right one
	alg      string // a=
	limit    int    // of the body, with extra "l=…"
	field    string // name of the field
}

// put puts a signature on top of a message.
func (s signing) put(raw string) string {
	field := cmp.Or(s.field, "DKIM-Signature")
	canon := cmp.Or(s.canon, "relaxed/relaxed")
	c := "c=" + canon + "; "
	if canon == "-" {
		c, canon = "", "simple/simple"
	}
	headerForm, bodyForm, _ := strings.Cut(canon, "/")
	fields, body := splitMail(raw)
	body = canonBody(bodyForm, body)
	if s.limit > 0 {
		body = body[:s.limit]
	}
	sum := sha256.Sum256([]byte(body))
	names := cmp.Or(s.headers, "from:to:subject:date")
	value := fmt.Sprintf("%s%sa=%s; d=%s; s=%s;\r\n\th=%s; %sbh=%s;\r\n\tb=", cmp.Or(s.version, "v=1; "), c,
		cmp.Or(s.alg, s.key.algorithm()), cmp.Or(s.domain, "sign.example"), s.selector, names, s.extra,
		cmp.Or(s.hash, base64.StdEncoding.EncodeToString(sum[:])))
	var data strings.Builder
	for _, f := range selectFields(fields, names) {
		data.WriteString(canonField(headerForm, f) + "\r\n")
	}
	data.WriteString(canonField(headerForm, field+": "+value+s.tail))
	return field + ": " + value + s.key.sign([]byte(data.String())) + s.tail + "\r\n" + raw
}

// https://www.rfc-editor.org/rfc/rfc6376#section-5.4.2
func selectFields(fields []string, names string) []string {
	used := map[int]bool{}
	var selected []string
	for name := range strings.SplitSeq(names, ":") {
		for i, f := range slices.Backward(fields) {
			n, _, _ := strings.Cut(f, ":")
			if !used[i] && strings.EqualFold(strings.TrimSpace(n), strings.TrimSpace(name)) {
				used[i] = true
				selected = append(selected, f)
				break
			}
		}
	}
	return selected
}

// sealing is one hop of ARC.
type sealing struct {
	key      signingKey
	selector string
	domain   string
	instance int
	cv       string
	canon    string
	headers  string
	results  string // of the hop, default "spf=pass"
	sealTags string // extra tags of the seal
	tags     string // extra tags of the message signature
	alg      string
}

// put puts a set on top of a message.
//
// https://www.rfc-editor.org/rfc/rfc8617#section-5.1
func (s sealing) put(raw string) string {
	domain := cmp.Or(s.domain, fmt.Sprintf("hop%d.example", s.instance))
	results := fmt.Sprintf("ARC-Authentication-Results: i=%d; mx.%s; %s", s.instance, domain, cmp.Or(s.results, "spf=pass smtp.mailfrom=author.example"))
	signed := signing{
		key: s.key, selector: s.selector, domain: domain, canon: s.canon, version: fmt.Sprintf("i=%d; ", s.instance),
		headers: cmp.Or(s.headers, "from:to:subject:date"), extra: s.tags, alg: s.alg, field: "ARC-Message-Signature",
	}.put(raw)
	signed = strings.TrimSuffix(signed, "\r\n"+raw)
	var data strings.Builder
	if s.cv != "fail" {
		fields, _ := splitMail(raw)
		for i := 1; i < s.instance; i++ {
			for _, name := range []string{"ARC-Authentication-Results", "ARC-Message-Signature", "ARC-Seal"} {
				for _, f := range fields {
					if strings.HasPrefix(f, name+": i="+fmt.Sprint(i)+";") {
						data.WriteString(canonField("relaxed", f) + "\r\n")
					}
				}
			}
		}
	}
	data.WriteString(canonField("relaxed", results) + "\r\n" + canonField("relaxed", signed) + "\r\n")
	seal := fmt.Sprintf("ARC-Seal: i=%d; a=%s; cv=%s; d=%s; s=%s; %st=1750000000;\r\n\tb=", s.instance, cmp.Or(s.alg, s.key.algorithm()), s.cv, domain, s.selector, s.sealTags)
	data.WriteString(canonField("relaxed", seal))
	return seal + s.key.sign([]byte(data.String())) + "\r\n" + signed + "\r\n" + results + "\r\n" + raw
}
