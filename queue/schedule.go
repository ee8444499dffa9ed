package queue

import "time"

// lifetime is how long a copy without a deadline of its own is tried.
//
// https://www.rfc-editor.org/rfc/rfc5321#section-4.5.4.1
const lifetime = 5 * 24 * time.Hour

// retryAfter is the pause after the first, second, … attempt; the last one
// repeats.
var retryAfter = [...]time.Duration{
	5 * time.Minute, 10 * time.Minute, 20 * time.Minute, 40 * time.Minute, time.Hour,
	2 * time.Hour, 3 * time.Hour, 4 * time.Hour,
}

// jitter is the largest part of a pause by which it is made longer or shorter,
// so that copies that failed together do not come back together.
const jitter = 0.1

// next tells when a copy is tried again after its attempt number tries (from
// 1) has failed at now, or that it is given up because deadline has passed. The
// last attempt falls on the deadline. rand is uniform in [0,1).
func next(tries int, deadline, now time.Time, rand float64) (due time.Time, ok bool) {
	if !now.Before(deadline) {
		return time.Time{}, false
	}
	pause := retryAfter[min(max(tries, 1), len(retryAfter))-1]
	pause += time.Duration(float64(pause) * jitter * (2*rand - 1))
	if due = now.Add(pause); due.After(deadline) {
		due = deadline
	}
	return due, true
}
