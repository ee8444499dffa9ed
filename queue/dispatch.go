package queue

import (
	"slices"
	"time"
)

// Connections to one destination.
const (
	firstCouriers = 5   // at once, before any delivery succeeded
	maxOnLine     = 100 // transactions on one connection
)

// destination is what shares connections: a domain in mx mode, else the relay.
// It exists while it has copies waiting or couriers. Guarded by Queue.mu.
type destination struct {
	name     string
	waiting  []claimed
	couriers int
	limit    int            // of couriers; grows with every delivery
	idle     []chan claimed // couriers with an open connection and nothing to do
}

// room tells how many copies may be claimed. It stays 0 until a quarter of the
// memory is free, so that copies are not claimed one by one under load.
func (q *Queue) room() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.full = q.free() == 0; q.full {
		return 0
	}
	return q.free()
}

// free is room with the lock held.
func (q *Queue) free() int {
	if n := q.o.MaxClaimed - q.held; n >= max(q.o.MaxClaimed/4, 1) {
		return n
	}
	return 0
}

// dispatch gives a copy to the couriers of a destination. It returns false when
// too many are waiting for the same destination.
func (q *Queue) dispatch(name string, c claimed) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	d := q.destinations[name]
	if d == nil {
		d = &destination{name: name, limit: min(firstCouriers, q.o.PerDestination)}
		q.destinations[name] = d
	}
	// A single relay may use all the room, one domain of many half of it.
	if q.route.Mode == MX && len(d.waiting) >= max(q.o.MaxClaimed/2, 1) {
		return false
	}
	q.held++
	if n := len(d.idle); n > 0 {
		ch := d.idle[n-1]
		d.idle = d.idle[:n-1]
		ch <- c // has room for one
		return true
	}
	d.waiting = append(d.waiting, c)
	q.staff(d)
	return true
}

// staff starts couriers for what waits. Where all are taken, one that idles
// elsewhere is sent home; leave gives its slot away.
func (q *Queue) staff(d *destination) {
	for range min(len(d.waiting), d.limit-d.couriers) {
		if q.running >= q.o.Concurrency {
			q.evictIdle()
			return
		}
		q.running++
		d.couriers++
		q.couriers.Go(func() { q.courier(d) })
	}
}

// evictIdle sends one idle courier home.
func (q *Queue) evictIdle() {
	for _, d := range q.destinations {
		if n := len(d.idle); n > 0 {
			close(d.idle[n-1])
			d.idle = d.idle[:n-1]
			return
		}
	}
}

// nextCopy returns the next copy for a courier of d, waiting for one while its
// connection is open. After false the courier is to hang up and leave.
func (q *Queue) nextCopy(d *destination, line *line) (claimed, bool) {
	q.mu.Lock()
	if line.sent() >= maxOnLine && q.othersWait(d) {
		q.mu.Unlock()
		return claimed{}, false
	}
	if len(d.waiting) > 0 {
		c := d.waiting[0]
		d.waiting[0] = claimed{}
		d.waiting = d.waiting[1:]
		q.mu.Unlock()
		return c, true
	}
	if q.stopping || !line.open() || q.othersWait(d) {
		q.mu.Unlock()
		return claimed{}, false
	}
	ch := make(chan claimed, 1)
	d.idle = append(d.idle, ch)
	q.mu.Unlock()
	return q.idle(d, ch)
}

// idle waits for a copy on ch, for Options.Idle.
func (q *Queue) idle(d *destination, ch chan claimed) (claimed, bool) {
	timer := time.NewTimer(q.o.Idle)
	defer timer.Stop()
	select {
	case c, ok := <-ch:
		if ok {
			return c, true
		}
	case <-timer.C:
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if i := slices.Index(d.idle, ch); i >= 0 {
		d.idle = slices.Delete(d.idle, i, i+1)
	} else if c, ok := <-ch; ok { // handed over in the last moment
		return c, true
	}
	return claimed{}, false
}

// othersWait tells whether a destination other than d has copies and no courier.
func (q *Queue) othersWait(d *destination) bool {
	if q.running < q.o.Concurrency {
		return false
	}
	for _, other := range q.destinations {
		if other != d && len(other.waiting) > 0 && other.couriers == 0 {
			return true
		}
	}
	return false
}

// leave takes a courier off a destination and gives its slot to whoever needs
// one, those without any courier first.
func (q *Queue) leave(d *destination) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.running--
	d.couriers--
	if d.couriers == 0 && len(d.waiting) == 0 {
		delete(q.destinations, d.name)
	}
	for _, unserved := range []bool{true, false} {
		for _, other := range q.destinations {
			if q.running < q.o.Concurrency && unserved == (other.couriers == 0) {
				q.staff(other)
			}
		}
	}
}

// done lets a copy go.
func (q *Queue) done(d *destination, delivered bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if delivered && d.limit < q.o.PerDestination {
		d.limit++
		q.staff(d)
	}
	if q.held--; q.full && q.free() > 0 {
		q.full = false
		select {
		case q.freed <- struct{}{}:
		default:
		}
	}
}

// drain takes all that waits for a destination.
func (q *Queue) drain(d *destination) []claimed {
	q.mu.Lock()
	defer q.mu.Unlock()
	all := d.waiting
	d.waiting = nil
	return all
}

// stop sends idle couriers home; the others give back what waits.
func (q *Queue) stop() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.stopping = true
	for _, d := range q.destinations {
		for _, ch := range d.idle {
			close(ch)
		}
		d.idle = nil
	}
}
