package backup

import "bytes"

// Seal makes a stream of records of these kinds, the payload cut up among them.
func Seal(kinds, payload []byte) []byte {
	var b bytes.Buffer
	w := &frameWriter{w: &b}
	w.line(streamLine)
	for i, k := range kinds {
		n := len(payload) / (len(kinds) - i)
		w.write(k, payload[:n])
		payload = payload[n:]
	}
	return b.Bytes()
}
