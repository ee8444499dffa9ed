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

// Reseal puts right checksums on a stream whose records were edited; nil leaves
// a record out.
func Reseal(stream []byte, edit func(kind byte, payload []byte) []byte) []byte {
	var b bytes.Buffer
	w, r := &frameWriter{w: &b}, &frameReader{r: bytes.NewReader(stream)}
	w.line(streamLine)
	for r.line(streamLine); ; {
		kind, payload, err := r.next()
		if err != nil {
			return b.Bytes()
		}
		if payload = edit(kind, bytes.Clone(payload)); payload != nil {
			w.write(kind, payload)
		}
	}
}
