//go:build race

package auth

// raceDetector tells that the tests run under the race detector, which empties
// pools at random: what is allocated then is not what is allocated in use.
const raceDetector = true
