package api

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/mxdesk/mxdesk/auth/keyring"
	"github.com/mxdesk/mxdesk/ticketing"
)

var keysMade = time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)

// deskKeys are one key in each state.
func deskKeys() []keyring.Key {
	long := "v=DKIM1; k=rsa; p=" + strings.Repeat("A", 392)
	return []keyring.Key{
		{Domain: "desk.test", Selector: "rsa1", Algorithm: keyring.RSA, Bits: 2048, State: keyring.Retired, Since: keysMade, Until: keysMade.AddDate(0, 0, 7), Record: long},
		{Domain: "desk.test", Selector: "rsa0", Algorithm: keyring.RSA, Bits: 2048, State: keyring.Gone, Since: keysMade, Record: "v=DKIM1; p="},
		{Domain: "desk.test", Selector: "rsa2", Algorithm: keyring.RSA, Bits: 2048, State: keyring.Active, Since: keysMade, Record: long},
		{Domain: "desk.test", Selector: "ed3", Algorithm: keyring.Ed25519, Bits: 256, State: keyring.Next, Since: keysMade, Record: "v=DKIM1; k=ed25519; p=x"},
	}
}

func (o *office) Generate(_ context.Context, domain string, bits int) ([]keyring.Key, error) {
	return []keyring.Key{{Domain: domain, Selector: "rsa1", Bits: bits}}, nil
}

func (o *office) Domains(context.Context) ([]string, error) {
	return []string{"broken.test", "desk.test"}, nil
}

func (o *office) Keys(_ context.Context, domain string) ([]keyring.Key, error) {
	if domain == "broken.test" {
		return nil, &ticketing.Error{Kind: ticketing.KindInternal, Reason: "keys-broken", Message: "the keys of broken.test cannot be used"}
	}
	if domain != "desk.test" {
		return nil, &ticketing.Error{Kind: ticketing.KindNotFound, Reason: "keys-not-found", Message: "there are no keys"}
	}
	return deskKeys(), nil
}

func (o *office) Check(_ context.Context, keys []keyring.Key) []keyring.Publication {
	out := make([]keyring.Publication, len(keys))
	for i := range out {
		out[i] = keyring.Missing
	}
	return out
}

func (o *office) Rotate(ctx context.Context, domain string, p keyring.RotateOptions) (keyring.Rotation, error) {
	keys, err := o.Keys(ctx, domain)
	switch {
	case err != nil:
		return keyring.Rotation{}, err
	case p.Bits != 0:
		return keyring.Rotation{Step: keyring.Made, Next: keys[3:]}, nil
	case p.Unasked:
		return keyring.Rotation{Step: keyring.Turned, Next: keys[2:3], Retired: keys[:1]}, nil
	}
	return keyring.Rotation{Step: keyring.Waiting, Next: keys[2:], Published: []keyring.Publication{keyring.Published, keyring.Unknown}}, nil
}

func (o *office) Abort(ctx context.Context, domain string) (keyring.Rotation, error) {
	keys, err := o.Keys(ctx, domain)
	if err != nil {
		return keyring.Rotation{}, err
	}
	return keyring.Rotation{Step: keyring.Dropped, Next: keys[3:]}, nil
}

func TestRotationSaysWhatIsNext(t *testing.T) {
	o := newOffice(t)
	for body, want := range map[string][]string{
		`{"domain":"desk.test"}`:              {"rsa2._domainkey.desk.test is published, ed3._domainkey.desk.test could not be looked up", "mxdesk dkim dns desk.test", "--now"},
		`{"domain":"desk.test","bits":2048}`:  {"next keys of desk.test are ed3", "Publish"},
		`{"domain":"desk.test","now":true}`:   {"desk.test signs with rsa2 from now on", "records of rsa1 published until 2026-11-29T10:00:00Z"},
		`{"domain":"desk.test","abort":true}`: {"ed3, are thrown away"},
	} {
		_, lines := o.post("dkim.rotate", body)
		message, _ := lines[0]["message"].(string)
		for _, w := range want {
			if !strings.Contains(message, w) {
				t.Errorf("%s: %q does not say %q", body, message, w)
			}
		}
	}
}

func TestKeysAsScriptsSeeThem(t *testing.T) {
	o := newOffice(t)
	_, lines := o.post("dkim.list", `{}`)
	first, second := lines[0], lines[1]
	parts, _ := first["strings"].([]any)
	if len(parts) != 2 || parts[0].(string)+parts[1].(string) != first["value"] || len(parts[0].(string)) != 255 {
		t.Errorf("strings = %v", first["strings"])
	}
	if first["until"] != "2026-11-29T10:00:00Z" || first["state"] != "retired" || first["algorithm"] != "rsa" {
		t.Errorf("first = %v", first)
	}
	for _, key := range []string{"until", "dns"} {
		if _, ok := second[key]; ok {
			t.Errorf("%s = %v where there is none", key, second[key])
		}
	}
	_, lines = o.post("dkim.dns", `{}`)
	for _, l := range lines {
		if l["state"] == "gone" {
			t.Errorf("%v is to be published", l)
		}
	}
}

// Broken keys of one domain do not hide those of the others.
func TestBrokenKeysStandBesideOthers(t *testing.T) {
	o := newOffice(t)
	for call, keys := range map[string]int{"dkim.list": 4, "dkim.dns": 3} {
		code, lines := o.post(call, `{}`)
		if code != 200 || len(lines) != keys+1 {
			t.Fatalf("%s: %d, %v", call, code, lines)
		}
		last := lines[keys]
		if last["domain"] != "broken.test" || last["state"] != "broken" || last["error"] != "the keys of broken.test cannot be used" {
			t.Errorf("%s: %v", call, last)
		}
	}
	if code, lines := o.post("dkim.list", `{"domain":"broken.test"}`); code != 500 {
		t.Errorf("asked for alone: %d, %v", code, lines)
	}
}
