//go:build race

package auth

// raceDetector tells that the tests run under the race detector, which empties
// pools at random and takes its time: what is allocated and used then is not
// what it is in use. The bounds are held by a run without it.
const raceDetector = true
