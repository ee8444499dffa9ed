package dns

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// scripted is a source with answers and times to live of the test's choice.
type scripted struct {
	asked atomic.Int32
	delay time.Duration
	reply reply
	err   error
}

func (s *scripted) find(ctx context.Context, q question) (reply, error) {
	s.asked.Add(1)
	select {
	case <-time.After(s.delay):
	case <-ctx.Done():
		return reply{}, q.fail(ErrTemporary, "deadline")
	}
	return s.reply, s.err
}

// cacheOf returns a cache in front of s.
func cacheOf(s *scripted, o CacheOptions) *Cache {
	c := NewCache(&Zone{}, o)
	c.source = s.find
	return c
}

func TestCacheLifetimes(t *testing.T) {
	o := CacheOptions{MinTTL: 10 * time.Second, MaxTTL: time.Minute, NegativeTTL: 30 * time.Second}
	for label, c := range map[string]struct {
		ttl  time.Duration
		err  error
		want time.Duration
	}{
		"as told":          {20 * time.Second, nil, 20 * time.Second},
		"at least":         {time.Second, nil, 10 * time.Second},
		"not told":         {ttlUnknown, nil, 10 * time.Second},
		"at most":          {time.Hour, nil, time.Minute},
		"no name":          {20 * time.Second, ErrNotFound, 20 * time.Second},
		"no data, at most": {time.Hour, ErrNoData, 30 * time.Second},
		"failure":          {time.Hour, ErrTemporary, temporaryTTL},
	} {
		t.Run(label, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &scripted{reply: reply{texts: []string{"x"}, authentic: true, ttl: c.ttl}, err: c.err}
				cache := cacheOf(s, o)
				for _, step := range []struct {
					wait  time.Duration
					asked int32
				}{{0, 1}, {c.want - time.Nanosecond, 1}, {time.Nanosecond, 2}} {
					time.Sleep(step.wait)
					_, authentic, err := cache.TXT(t.Context(), "a.test")
					if !errors.Is(err, c.err) || !authentic {
						t.Errorf("authentic %v, %v", authentic, err)
					}
					if got := s.asked.Load(); got != step.asked {
						t.Errorf("asked %d times, want %d", got, step.asked)
					}
				}
			})
		})
	}
}

func TestCacheKeepsQuestionsApart(t *testing.T) {
	cache := NewCache(mustZone(t, zoneText), CacheOptions{})
	for range 2 {
		for kind, want := range map[string]string{"TXT": "[one two three]", "A": "[192.0.2.1 192.0.2.2]", "AAAA": "[2001:db8::1]"} {
			for _, name := range []string{"example.com", "EXAMPLE.com."} {
				if got, err := ask(t.Context(), cache, kind, name); got != want {
					t.Errorf("%s: got %q, %v", kind, got, err)
				}
			}
		}
		if got, err := ask(t.Context(), cache, "MX", "example.com"); !strings.Contains(got, "mx1") {
			t.Errorf("MX: got %q, %v", got, err)
		}
		for _, addr := range []string{"192.0.2.1", "2001:db8::1"} {
			if got, err := ask(t.Context(), cache, "PTR", addr); err != nil {
				t.Errorf("PTR %s: got %q, %v", addr, got, err)
			}
		}
		if _, err := ask(t.Context(), cache, "A", "missing.test"); !errors.Is(err, ErrNotFound) {
			t.Errorf("got %v", err)
		}
	}
	if s := cache.Stats(); s.Misses != 7 || s.Hits != 13 || s.Entries != 7 {
		t.Errorf("%+v", s)
	}
}

func TestCacheAnswersBelongToTheCaller(t *testing.T) {
	cache := NewCache(mustZone(t, zoneText), CacheOptions{})
	first, _, _ := cache.MX(t.Context(), "example.com")
	first[0].Host = "changed"
	if again, _, _ := cache.MX(t.Context(), "example.com"); again[0].Host != "mx1.example.com" {
		t.Errorf("the cache changed: %v", again)
	}
}

func TestCacheCoalesces(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &scripted{delay: time.Second, reply: reply{addrs: []netip.Addr{netip.MustParseAddr("192.0.2.1")}}}
		cache := cacheOf(s, CacheOptions{})
		hasty, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
		defer cancel()
		var wg sync.WaitGroup
		wg.Go(func() { // the one who begins the lookup gives up first
			if _, _, err := cache.A(hasty, "a.test"); !errors.Is(err, ErrTemporary) {
				t.Errorf("hasty caller: %v", err)
			}
		})
		synctest.Wait()
		for range 9 {
			wg.Go(func() {
				if addrs, _, err := cache.A(t.Context(), "a.test"); err != nil || len(addrs) != 1 {
					t.Errorf("got %v, %v", addrs, err)
				}
			})
		}
		wg.Wait()
		if st := cache.Stats(); s.asked.Load() != 1 || st.Misses != 1 || st.Coalesced != 9 {
			t.Errorf("asked %d times, %+v", s.asked.Load(), st)
		}
	})
}

func TestCacheEndsStuckLookups(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cache := cacheOf(&scripted{delay: time.Hour}, CacheOptions{})
		started := time.Now()
		_, _, err := cache.A(t.Context(), "a.test")
		if !errors.Is(err, ErrTemporary) || time.Since(started) != lookupTimeout {
			t.Errorf("got %v after %v", err, time.Since(started))
		}
	})
}

func TestCacheBoundsLookupsUnderWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cache := cacheOf(&scripted{delay: time.Second, reply: reply{texts: []string{"x"}}}, CacheOptions{})
		var wg sync.WaitGroup
		var refused atomic.Int32
		for i := range maxUnderWay + 5 {
			wg.Go(func() {
				if _, _, err := cache.TXT(t.Context(), fmt.Sprintf("n%d.test", i)); errors.Is(err, ErrBusy) {
					refused.Add(1)
				}
			})
		}
		wg.Wait()
		if st := cache.Stats(); refused.Load() != 5 || st.Refused != 5 || st.Misses != maxUnderWay {
			t.Errorf("refused %d, %+v", refused.Load(), st)
		}
	})
}

func TestCacheBounds(t *testing.T) {
	for label, o := range map[string]CacheOptions{
		"entries": {MaxEntries: 3},
		"bytes":   {MaxBytes: 3*(entryOverhead+16+100) + 50},
	} {
		t.Run(label, func(t *testing.T) {
			s := &scripted{reply: reply{texts: []string{strings.Repeat("x", 100)}, ttl: time.Minute}}
			cache := cacheOf(s, o)
			for _, name := range []string{"a.test", "b.test", "c.test", "a.test", "d.test"} {
				if _, _, err := cache.TXT(t.Context(), name); err != nil {
					t.Fatal(err)
				}
			}
			st := cache.Stats()
			if st.Entries != 3 || st.Evicted != 1 || st.Bytes == 0 || st.Bytes > 3*(entryOverhead+16+100)+50 {
				t.Errorf("%+v", st)
			}
			// b was used least recently; asking for it comes last, as it evicts another.
			for _, name := range []string{"a.test", "c.test", "d.test", "b.test"} {
				before := s.asked.Load()
				_, _, _ = cache.TXT(t.Context(), name)
				if hit := s.asked.Load() == before; hit != (name != "b.test") {
					t.Errorf("%s: hit %v", name, hit)
				}
			}
		})
	}
	t.Run("one entry too large", func(t *testing.T) {
		s := &scripted{reply: reply{texts: []string{strings.Repeat("x", 1000)}, ttl: time.Minute}}
		cache := cacheOf(s, CacheOptions{MaxBytes: 500})
		if _, _, err := cache.TXT(t.Context(), "a.test"); err != nil {
			t.Error(err)
		}
		if st := cache.Stats(); st.Entries != 0 || st.Bytes != 0 {
			t.Errorf("%+v", st)
		}
	})
}

func TestCacheInFrontOfClient(t *testing.T) {
	client := New(Options{Servers: []string{listen(t, answering(t, 0, "a.test. 77 A 192.0.2.1"))}})
	now := time.Unix(1000, 0)
	cache := NewCache(client, CacheOptions{Now: func() time.Time { return now }})
	for _, step := range []struct {
		wait   time.Duration
		misses uint64
	}{{0, 1}, {76 * time.Second, 1}, {time.Second, 2}} {
		now = now.Add(step.wait)
		if _, _, err := cache.A(t.Context(), "a.test"); err != nil {
			t.Fatal(err)
		}
		if got := cache.Stats().Misses; got != step.misses {
			t.Errorf("after %v: %d misses, want %d", step.wait, got, step.misses)
		}
	}
}

// crashing panics in every lookup.
type crashing struct{ Resolver }

func (crashing) TXT(context.Context, string) ([]string, bool, error) { panic("boom") }

// A panic behind the cache ends one lookup, not the program.
func TestCacheSurvivesPanics(t *testing.T) {
	var log bytes.Buffer
	c := NewCache(crashing{}, CacheOptions{Logger: slog.New(slog.NewTextHandler(&log, nil))})
	if _, _, err := c.TXT(t.Context(), "a.test"); !errors.Is(err, ErrBusy) || !errors.Is(err, ErrTemporary) {
		t.Errorf("error = %v", err)
	}
	if !strings.Contains(log.String(), "boom") {
		t.Errorf("log = %q", log.String())
	}
}
