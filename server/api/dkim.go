package api

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/mxdesk/mxdesk/auth/keyring"
	"github.com/mxdesk/mxdesk/ticketing"
)

// DKIMRequest names a domain and what is to happen with its DKIM keys.
type DKIMRequest struct {
	Domain string `json:"domain,omitempty"` // "" lists all
	Bits   int    `json:"bits,omitempty"`   // of a new RSA key; 0 = the usual
	Check  bool   `json:"check,omitempty"`  // ask the DNS
	Now    bool   `json:"now,omitempty"`    // change keys without asking the DNS
	Abort  bool   `json:"abort,omitempty"`  // throw the next keys away
}

// Broken is the state of a DKIMKey that stands for all keys of a domain, where
// they cannot be used.
const Broken keyring.State = "broken"

// DKIMKey is a DKIM key of a domain and its TXT record.
type DKIMKey struct {
	Domain    string              `json:"domain"`
	Selector  string              `json:"selector"`
	Algorithm string              `json:"algorithm"`
	Bits      int                 `json:"bits"`
	State     keyring.State       `json:"state"`
	Since     time.Time           `json:"since,omitzero"`
	Until     time.Time           `json:"until,omitzero"`
	Name      string              `json:"name"`
	Value     string              `json:"value"`
	Strings   []string            `json:"strings"` // the value, cut for a zone file
	DNS       keyring.Publication `json:"dns,omitempty"`
	Error     string              `json:"error,omitempty"` // with Broken
}

// DKIMRotation is what a step of a rotation came to.
type DKIMRotation struct {
	Domain  string       `json:"domain"`
	Step    keyring.Step `json:"step"`
	Message string       `json:"message"`
	Keys    []DKIMKey    `json:"keys"` // made, signing now, or dropped
	Retired []DKIMKey    `json:"retired"`
}

func keyViews(keys []keyring.Key) []DKIMKey {
	out := make([]DKIMKey, len(keys))
	for i, k := range keys {
		out[i] = DKIMKey{
			Domain: k.Domain, Selector: k.Selector, Algorithm: k.Algorithm, Bits: k.Bits, State: k.State, Since: k.Since, Until: k.Until,
			Name: k.Name(), Value: k.Record, Strings: k.Strings(),
		}
	}
	return out
}

// present leaves out the keys whose records may go.
func present(keys []keyring.Key) []keyring.Key {
	return slices.DeleteFunc(slices.Clone(keys), func(k keyring.Key) bool { return k.State == keyring.Gone })
}

func (a *api) dkimKeygen(ctx context.Context, req DKIMRequest) ([]DKIMKey, error) {
	if req.Bits == 0 {
		req.Bits = keyring.DefaultBits
	}
	keys, err := a.Keys.Generate(ctx, req.Domain, req.Bits)
	return keyViews(keys), err
}

func (a *api) dkimList(ctx context.Context, req DKIMRequest) ([]DKIMKey, error) {
	keys, broken, err := a.keysOf(ctx, req.Domain)
	if err != nil {
		return nil, err
	}
	out := keyViews(keys)
	if req.Check {
		for i, p := range a.Keys.Check(ctx, keys) {
			out[i].DNS = p
		}
	}
	return append(out, broken...), nil
}

// keysOf lists the keys of a domain, or for "" those of all, and names the
// domains whose keys are broken.
func (a *api) keysOf(ctx context.Context, domain string) (keys []keyring.Key, broken []DKIMKey, err error) {
	if domain != "" {
		keys, err = a.Keys.Keys(ctx, domain)
		return keys, nil, err
	}
	domains, err := a.Keys.Domains(ctx)
	if err != nil {
		return nil, nil, err
	}
	for _, d := range domains {
		ks, err := a.Keys.Keys(ctx, d)
		if err != nil {
			a.Log.Error("dkim keys cannot be used", "domain", d, "error", err)
			broken = append(broken, DKIMKey{Domain: d, State: Broken, Error: ticketing.AsError(err).Message})
		}
		keys = append(keys, ks...)
	}
	return keys, broken, nil
}

func (a *api) dkimDNS(ctx context.Context, req DKIMRequest) ([]DKIMKey, error) {
	keys, broken, err := a.keysOf(ctx, req.Domain)
	return append(keyViews(present(keys)), broken...), err
}

func (a *api) dkimRotate(ctx context.Context, req DKIMRequest) ([]DKIMRotation, error) {
	var r keyring.Rotation
	var err error
	if req.Abort {
		r, err = a.Keys.Abort(ctx, req.Domain)
	} else {
		r, err = a.Keys.Rotate(ctx, req.Domain, keyring.RotateOptions{Unasked: req.Now, Bits: req.Bits})
	}
	if err != nil {
		return nil, err
	}
	domain := r.Next[0].Domain
	if r.Step == keyring.Waiting {
		return nil, &ticketing.Error{Kind: ticketing.KindConflict, Reason: "keys-not-published", Message: waiting(domain, r)}
	}
	return []DKIMRotation{{
		Domain: domain, Step: r.Step, Message: rotated(domain, r), Keys: keyViews(r.Next), Retired: keyViews(r.Retired),
	}}, nil
}

// waiting says what keeps the next keys from signing.
func waiting(domain string, r keyring.Rotation) string {
	words := map[keyring.Publication]string{
		keyring.Published: "is published", keyring.Missing: "is missing", keyring.Revoked: "has an empty p=",
		keyring.Differs: "has another record, or several", keyring.Unknown: "could not be looked up",
	}
	found := make([]string, len(r.Next))
	for i, k := range r.Next {
		found[i] = k.Name() + " " + words[r.Published[i]]
	}
	return fmt.Sprintf("the next keys of %s do not sign yet: %s. Publish what \"mxdesk dkim dns %[1]s\" prints and run this again (the server looks every hour, too), "+
		"or go on without asking the DNS with --now", domain, strings.Join(found, ", "))
}

// rotated says what a step did and what comes next.
func rotated(domain string, r keyring.Rotation) string {
	next := selectors(r.Next)
	switch r.Step {
	case keyring.Made:
		return fmt.Sprintf("the next keys of %s are %s; they sign nothing yet. Publish their records, then run this again (the server looks every hour, too)", domain, next)
	case keyring.Turned:
		return fmt.Sprintf("%s signs with %s from now on; keep the records of %s published until %s",
			domain, next, selectors(r.Retired), r.Retired[0].Until.Format(time.RFC3339))
	}
	return fmt.Sprintf("the next keys of %s, %s, are thrown away; remove their records if you have published them", domain, next)
}

func selectors(keys []keyring.Key) string {
	names := make([]string, len(keys))
	for i, k := range keys {
		names[i] = k.Selector
	}
	return strings.Join(names, " and ")
}
