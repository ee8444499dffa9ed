package main

import (
	"fmt"
	"math/rand/v2"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestRealKillUpgrade kills the server while it upgrades an older data folder,
// ROUNDS times at any moment, and lets it start then: nothing is wrong, and what
// it holds is what an upgrade that was left alone makes of it.
func TestRealKillUpgrade(t *testing.T) {
	bin := needs(t)
	want, took := "", time.Duration(0)
	kills, amid := 0, 0
	for i := range rounds() + 1 {
		d := newDesk(t, bin, "")
		d.Data = unpackDesk(t, "schema-1")
		d.Flags = []string{"--data", d.Data}
		if i > 0 {
			for range 1 + rand.IntN(3) {
				d.run(d.bin, append([]string{"serve", "--config", d.config()}, d.Flags...))
				pause(0, took)
				d.stop(syscall.SIGKILL)
				if kills++; !strings.HasSuffix(d.out.String(), "\nready\n") {
					amid++
				}
			}
		}
		began := time.Now()
		d.start()
		took = max(took, time.Since(began))
		d.stop(syscall.SIGTERM)
		got := d.verify(d.Data).Counts
		// Times are as long as their fractions: octets of keys are not compared.
		if text := fmt.Sprintf("%d keys, %d blobs of %d octets", got.Keys, got.Blobs, got.BlobBytes); want == "" {
			want = text
		} else if text != want {
			t.Errorf("round %d: %s, undisturbed %s", i, text, want)
		}
		copies, err := filepath.Glob(filepath.Join(d.Data, "schema-1-*.mxdesk"))
		if err != nil || len(copies) == 0 {
			t.Fatalf("no copy from before the upgrade: %v", err)
		}
		for _, c := range copies {
			if out, err := exec.Command(bin, "restore", c, "--check").CombinedOutput(); err != nil {
				t.Errorf("%s: %s", filepath.Base(c), strings.TrimSpace(string(out)))
			}
		}
	}
	t.Logf("%d kills, %d before the server was ready", kills, amid)
}
