package dkim

import (
	"crypto"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"math/big"
	"strings"
	"testing"
)

func pkcs1Record(k crypto.Signer) string {
	der := x509.MarshalPKCS1PublicKey(k.Public().(*rsa.PublicKey))
	return "k=rsa; p=" + base64.StdEncoding.EncodeToString(der)
}

// TestKeyRecords verifies one good signature against many records.
func TestKeyRecords(t *testing.T) {
	ed := strings.TrimPrefix(publish(t, edKey), "v=DKIM1; k=ed25519; p=")
	other := "k=ed25519; p=" + base64.StdEncoding.EncodeToString(make([]byte, 32))
	tests := []struct {
		name    string
		records []string
		want    string
		reason  string
	}{
		{"plain", []string{"k=ed25519; p=" + ed}, Pass, ""},
		{"white space in p", []string{"k=ed25519; p= " + ed[:9] + " \t" + ed[9:20] + "\n" + ed[20:] + " ;"}, Pass, ""},
		{"no padding", []string{"k=ed25519; p=" + strings.TrimRight(ed, "=")}, Pass, ""},
		{"notes and unknown tags", []string{"v=DKIM1; g=*; n=a=20note; k=ed25519; zz=1; p=" + ed}, Pass, ""},
		{"hashes", []string{"h=sha1:sha256; k=ed25519; p=" + ed}, Pass, ""},
		{"only sha1", []string{"h=sha1; k=ed25519; p=" + ed}, PermError, "key not for sha256"},
		{"services", []string{"s=other : email; k=ed25519; p=" + ed}, Pass, ""},
		{"any service", []string{"s=*; k=ed25519; p=" + ed}, Pass, ""},
		{"other service", []string{"s=tlsrpt; k=ed25519; p=" + ed}, PermError, "key not for email"},
		{"revoked", []string{"k=ed25519; p="}, PermError, "key revoked"},
		{"no p", []string{"k=ed25519"}, PermError, "key record without key"},
		{"v not first", []string{"k=ed25519; v=DKIM1; p=" + ed}, PermError, "key record of another version"},
		{"v other", []string{"v=DKIM2; k=ed25519; p=" + ed}, PermError, "key record of another version"},
		{"k unknown", []string{"k=ecdsa; p=" + ed}, PermError, "unknown key type"},
		{"k default is rsa", []string{"p=" + ed}, PermError, "key malformed"},
		{"short key", []string{"k=ed25519; p=" + ed[:20]}, PermError, "key malformed"},
		{"not base64", []string{"k=ed25519; p=*"}, PermError, "key malformed"},
		{"no tags", []string{"hello"}, PermError, "key record malformed"},
		{"duplicate tags", []string{"k=ed25519; p=" + ed + "; p=" + ed}, PermError, "key record malformed"},
		{"too long", []string{"k=ed25519; p=" + ed + "; n=" + strings.Repeat("n", maxRecord)}, PermError, "key record too long"},
		{"other key", []string{other}, Fail, "signature did not verify"},
		{"second of two", []string{other, "k=ed25519; p=" + ed}, Pass, ""},
		{"first of two", []string{"k=ed25519; p=" + ed, "p="}, Pass, ""},
		{"beside other text", []string{"v=spf1 -all", "k=ed25519; p=" + ed}, Pass, ""},
		{"beside rsa", []string{publish(t, rsa2048()), "k=ed25519; p=" + ed}, Pass, ""},
		{"mismatch beside junk", []string{"junk", other, "p="}, Fail, "signature did not verify"},
		{"last one looked at", append(repeat(other, maxRecords-1), "k=ed25519; p="+ed), Pass, ""},
		{"one more", append(repeat(other, maxRecords), "k=ed25519; p="+ed), Fail, "signature did not verify"},
		{"name server failure", []string{"TEMPERROR"}, TempError, "key lookup failed"},
		{"no data", []string{"NODATA"}, PermError, "no key for signature"},
		{"empty answer", []string{}, PermError, "no key for signature"},
	}
	signed := forge(t, edKey, goodTags, plainMail)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := verify(t, map[string][]string{"sel._domainkey.example.org": tt.records}, signed)[0]
			if got.Result != tt.want || got.Reason != tt.reason {
				t.Errorf("%s (%s), want %s (%s)", got.Result, got.Reason, tt.want, tt.reason)
			}
		})
	}
}

func repeat(s string, n int) []string {
	list := make([]string, n)
	for i := range list {
		list[i] = s
	}
	return list
}

func TestKeyFlags(t *testing.T) {
	ed := publish(t, edKey)
	tests := []struct {
		tags, flags string
		want        string
		testing     bool
	}{
		{goodTags, "; t=y", Pass, true},
		{goodTags, "; t=s", Pass, false},
		{goodTags, "; t= y : s", Pass, true},
		{goodTags + "; i=@EXAMPLE.org", "; t=s", Pass, false},
		{goodTags + "; i=@sub.example.org", "; t=y", Pass, true},
		{goodTags + "; i=@sub.example.org", "; t=s", PermError, false},
		{goodTags + "; i=@sub.example.org", "; t=y:s", PermError, true},
	}
	for _, tt := range tests {
		zone := map[string][]string{"sel._domainkey.example.org": {ed + tt.flags}}
		got := verify(t, zone, forge(t, edKey, tt.tags, plainMail))[0]
		if got.Result != tt.want || got.Testing != tt.testing {
			t.Errorf("%s with %s: %s (%s), testing %v", tt.flags, tt.tags, got.Result, got.Reason, got.Testing)
		}
	}
}

// TestRSASizes covers keys around the bounds. The keys of odd sizes never
// verify anything here: what counts is that their size decides.
//
// https://www.rfc-editor.org/rfc/rfc8301#section-3.2
func TestRSASizes(t *testing.T) {
	tags := strings.Replace(goodTags, "ed25519", "rsa", 1)
	tests := []struct {
		name, record string
		key          crypto.Signer
		want         string
		weak         bool
	}{
		{"2048", publish(t, rsa2048()), rsa2048(), Pass, false},
		{"1024", publish(t, rsa1024()), rsa1024(), Pass, true},
		{"pkcs1", pkcs1Record(rsa2048()), rsa2048(), Pass, false},
		{"1023", "", rsa2048(), PermError, true},
		{"512", "", rsa2048(), PermError, true},
		{"8192", "", rsa2048(), Fail, false},
		{"8193", "", rsa2048(), Policy, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			record := tt.record
			if record == "" {
				var bits int
				fmt.Sscan(tt.name, &bits)
				record = sizedRecord(t, bits)
			}
			zone := map[string][]string{"sel._domainkey.example.org": {record}}
			got := verify(t, zone, forge(t, tt.key, tags, plainMail))[0]
			if got.Result != tt.want || got.Weak != tt.weak {
				t.Errorf("%s (%s), weak %v", got.Result, got.Reason, got.Weak)
			}
		})
	}
}

// sizedRecord publishes a made-up modulus of that many bits.
func sizedRecord(t *testing.T, bits int) string {
	t.Helper()
	n := new(big.Int).Lsh(big.NewInt(1), uint(bits-1))
	n.SetBit(n, 0, 1)
	der, err := x509.MarshalPKIXPublicKey(&rsa.PublicKey{N: n, E: 65537})
	if err != nil {
		t.Fatal(err)
	}
	return "p=" + base64.StdEncoding.EncodeToString(der)
}

// FuzzRecord: the key of a record that is taken can be published again, and a
// signature that nobody made is none of its.
func FuzzRecord(f *testing.F) {
	for _, s := range []string{
		rfc8463Ed, rfc8463RSA, "p=", "v=DKIM1; k=rsa; t=y:s; h=sha256; s=email; p=AAAA", "k=ed25519;p=" + strings.Repeat("A", 43),
		publish(f, rsa1024()), "v=DKIM1; t=s; h=sha1 : sha256; s=*:x; p=\r\n\t" + publish(f, rsa1024())[len("v=DKIM1; k=rsa; p="):],
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		r, err := ParseRecord(text)
		if err != nil {
			if result, reason := explain(err); result != PermError || reason == "" {
				t.Fatalf("%q: %v", text, err)
			}
			return
		}
		if len(text) > maxRecord {
			t.Fatalf("record of %d octets is taken", len(text))
		}
		b := Base{Algorithm: r.Type + "-sha256", Signature: make([]byte, 128)}
		if err := r.check(b, [32]byte{1}); err == nil {
			t.Fatalf("%q verifies nothing", text)
		}
		record, err := DNSRecord(published{r.public})
		if err != nil {
			return // a modulus that the encoder refuses
		}
		again, err := ParseRecord(record)
		if err != nil || again.Bits != r.Bits || again.Type != r.Type {
			t.Fatalf("%q: %+v, but %q: %+v, %v", text, r, record, again, err)
		}
	})
}

// published is a key of which only the public half is known.
type published struct{ public crypto.PublicKey }

func (p published) Public() crypto.PublicKey { return p.public }

func (published) Sign(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) {
	return nil, errors.New("no private key")
}
