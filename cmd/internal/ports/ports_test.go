package ports

import (
	"net"
	"testing"
)

// So many that a pair would be alike by chance nearly always.
func TestReserveGivesNoneTwice(t *testing.T) {
	seen := map[string]bool{}
	for range 500 {
		addr, release, err := Reserve()
		if err != nil {
			t.Fatal(err)
		}
		defer release()
		if seen[addr] {
			t.Errorf("%s was given before", addr)
		}
		seen[addr] = true
	}
	for addr := range seen {
		l, err := net.Listen("tcp", addr)
		if err != nil {
			t.Error(err)
			continue
		}
		l.Close()
	}
}
