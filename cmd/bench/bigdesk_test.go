package main

import (
	"io"
	"slices"
	"testing"
	"time"
)

// Everything that is measured is found in a store that was filled.
func TestBigDesk(t *testing.T) {
	ctx := t.Context()
	d, err := openDesk(ctx, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	p := &progress{w: io.Discard, start: time.Now()}
	const size = 60
	_, made, err := d.fill(ctx, size, p)
	if err != nil || made != size {
		t.Fatalf("made %d, %v", made, err)
	}
	var s stage
	if err := d.reads(ctx, &s, size); err != nil {
		t.Error(err)
	}
	if err := d.trace(ctx, messageID(size+1)); err == nil {
		t.Error("a mail was traced that never came")
	}
	if err := d.ticketOf(ctx, messageID(size+1)); err == nil {
		t.Error("a ticket was found for a mail that never came")
	}
	if err := d.list(ctx, 51); err == nil {
		t.Error("a list of 50 passed for 51")
	}
	d.next.Store(0)
	if err := d.receive(ctx); err == nil {
		t.Error("a mail that came again passed for a new ticket")
	}
	if err := d.close(); err != nil {
		t.Error(err)
	}
}

func TestStages(t *testing.T) {
	for most, want := range map[int][]int{500: {500}, 1000: {1000}, 100_000: {1000, 100_000}, 1_000_000: {1000, 100_000, 1_000_000}} {
		if got := stages(most); !slices.Equal(got, want) {
			t.Errorf("stages up to %d: %v", most, got)
		}
	}
}
