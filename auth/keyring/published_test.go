package keyring

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/mxdesk/mxdesk/auth/dkim"
	"github.com/mxdesk/mxdesk/auth/dns"
)

func TestCompare(t *testing.T) {
	rsaKey, edKey, err := dkim.GenerateKeys(2048)
	if err != nil {
		t.Fatal(err)
	}
	_, otherKey, err := dkim.GenerateKeys(2048)
	if err != nil {
		t.Fatal(err)
	}
	var k, ed, other Key
	if err := errors.Join(k.describe(rsaKey), ed.describe(edKey), other.describe(otherKey)); err != nil {
		t.Fatal(err)
	}
	gone := Key{State: Gone, Record: revoked}
	_, p, _ := strings.Cut(k.Record, "p=")
	for _, tt := range []struct {
		name  string
		key   Key
		texts []string
		err   error
		want  Publication
	}{
		{"as printed", k, []string{k.Record}, nil, Published},
		{"as printed, ed25519", ed, []string{ed.Record}, nil, Published},
		{"written differently", k, []string{"p=" + p[:100] + " " + p[100:] + " ; s=email"}, nil, Published},
		{"another key", ed, []string{other.Record}, nil, Differs},
		{"records swapped", k, []string{ed.Record}, nil, Differs},
		{"cut at 255", k, []string{k.Record[:255]}, nil, Differs},
		{"not for mail", k, []string{k.Record + "; s=tlsrpt"}, nil, Differs},
		{"not for sha256", k, []string{k.Record + "; h=sha1"}, nil, Differs},
		{"rubbish", k, []string{"hello"}, nil, Differs},
		{"twice", k, []string{k.Record, k.Record}, nil, Differs},
		{"beside another", k, []string{k.Record, "v=spf1 -all"}, nil, Differs},
		{"revoked", k, []string{"v=DKIM1; p="}, nil, Revoked},
		{"no name", k, nil, dns.ErrNotFound, Missing},
		{"no record", k, nil, dns.ErrNoData, Missing},
		{"empty answer", k, nil, nil, Missing},
		{"name server down", k, nil, dns.ErrTemporary, Unknown},
		{"gone, still there", gone, []string{k.Record}, nil, Published},
		{"gone, revoked", gone, []string{revoked}, nil, Revoked},
		{"gone, removed", gone, nil, dns.ErrNotFound, Missing},
	} {
		if got := compare(tt.key, tt.texts, tt.err); got != tt.want {
			t.Errorf("%s: %s, want %s", tt.name, got, tt.want)
		}
	}
}

// stuck is a name server that answers for one name only.
type stuck struct{ dns.Resolver }

func (stuck) TXT(ctx context.Context, name string) ([]string, bool, error) {
	if strings.HasPrefix(name, "good.") {
		return []string{"rubbish"}, false, nil
	}
	<-ctx.Done()
	return nil, false, ctx.Err()
}

func TestCheckEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := New(Options{Resolver: stuck{}})
		keys := make([]Key, 100)
		keys[99].Selector = "good"
		want := slices.Repeat([]Publication{Unknown}, 100)
		want[99] = Differs
		if got := k.Check(t.Context(), keys); !slices.Equal(got, want) {
			t.Errorf("%v", got)
		}
	})
}
