package main

import (
	"cmp"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/mxdesk/mxdesk/ticketing"
)

// mailCase is one mail and how it came.
type mailCase struct {
	Name, IP, Helo, Sender string
	Raw                    string

	file string
}

// world is what the mails are about: the DNS and keys.
type world struct {
	keys
	zone  strings.Builder
	cases []mailCase
}

// record adds a record to the zone.
func (w *world) record(name, kind, data string) {
	fmt.Fprintf(&w.zone, "%s %s %s\n", strings.TrimSuffix(name, ".")+".", kind, data)
}

// records adds lines of name, type and data.
func (w *world) records(lines string) {
	for line := range strings.Lines(lines) {
		if f := strings.SplitN(strings.TrimSpace(line), " ", 3); len(f) == 3 {
			w.record(f[0], f[1], f[2])
		}
	}
}

// txt adds a TXT record, in strings of at most 255 octets.
func (w *world) txt(name, text string) {
	var parts []string
	for part := range slices.Chunk([]byte(text), 250) {
		parts = append(parts, `"`+strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(string(part))+`"`)
	}
	w.record(name, "TXT", cmp.Or(strings.Join(parts, " "), `""`))
}

// add adds a case; one that is about no client comes from nobody in particular.
func (w *world) add(c mailCase) {
	c.IP, c.Helo = cmp.Or(c.IP, envelopeIP), cmp.Or(c.Helo, "mx.client.example")
	w.cases = append(w.cases, c)
}

// newWorld makes all cases, the same ones every time.
func newWorld() *world {
	w := &world{keys: newKeys()}
	dkimCases(w)
	spfCases(w)
	dmarcCases(w)
	arcCases(w)
	slices.SortFunc(w.cases, func(a, b mailCase) int { return cmp.Compare(a.Name, b.Name) })
	return w
}

// opinion is what somebody says about one mechanism of one case.
type opinion struct{ name, peer, mechanism string }

type opinions map[opinion]string

func (o opinions) add(name, peer, mechanism, said string) {
	o[opinion{name, peer, mechanism}] = cmp.Or(said, "-")
}

// TestRealDifferential has the same mails judged by mxdesk and by python3-spf,
// python3-dkim, opendkim and opendmarc, which all ask the same name server.
// Where they differ, testdata/differential.tsv has the clause that decides.
func TestRealDifferential(t *testing.T) {
	bin := needs(t, "opendkim", "opendmarc", "miltertest", "/usr/bin/python3")
	w := newWorld()
	if len(w.cases) < 200 {
		t.Errorf("%d cases", len(w.cases))
	}
	i := newIsland(t, bin, w.zone.String(), "lost.example")
	for n := range w.cases {
		w.cases[n].file = writeText(t, filepath.Join(i.dir, fmt.Sprintf("%03d.eml", n)), w.cases[n].Raw)
	}
	ours, results := i.mxdesk(w.cases)
	theirs := i.python(w.cases)
	maps.Copy(theirs, i.opendkim(w.cases))
	maps.Copy(theirs, i.opendmarc(w.cases, func(c mailCase) string { return results[c.Name] }))
	compareOpinions(t, w.cases, ours, theirs)
}

// mxdesk judges the cases with the binary. It returns the opinions by case and
// mechanism, and our Authentication-Results of each.
func (i *island) mxdesk(cases []mailCase) (said opinions, results map[string]string) {
	i.t.Helper()
	said, results = opinions{}, map[string]string{}
	type envelope struct{ ip, helo, sender string }
	byFile, files := map[string]mailCase{}, map[envelope][]string{}
	for _, c := range cases {
		e := envelope{c.IP, c.Helo, c.Sender}
		byFile[c.file], files[e] = c, append(files[e], c.file)
	}
	for e, list := range files {
		args := []string{i.bin, "verify", "--json", "--dns-server", islandServer, "--hostname", "desk.test", "--ip", e.ip, "--helo", e.helo, "--mail-from", e.sender}
		for _, v := range decodeLines[verified](i.t, i.do(append(args, list...)...)) {
			name := byFile[v.File].Name
			results[name] = v.AuthenticationResults
			said.add(name, "", "spf", v.SPF.Result)
			said.add(name, "", "arc", v.ARC.Result)
			said.add(name, "", "dkim", signatureWords(v.DKIM))
			said.add(name, "", "dmarc", v.DMARC.Result)
			said.add(name, "", "disposition", v.DMARC.Disposition)
		}
	}
	return said, results
}

// signatureWords is the result of each signature. The words for one that does
// not hold are left to whoever checks: they all count as fail.
//
// https://www.rfc-editor.org/rfc/rfc8601#section-2.7.1
func signatureWords(list []ticketing.DKIMResult) string {
	var words []string
	for _, r := range list {
		switch r.Result {
		case "pass", "temperror":
			words = append(words, r.Result)
		default:
			words = append(words, "fail")
		}
	}
	return strings.Join(words, " ")
}

// disagreement is a line of the table of the differential test.
type disagreement struct {
	opinion
	theirs, ours   string
	clause, reason string // who is right, and why
}

// disagreements reads the table.
func disagreements(t *testing.T) []disagreement {
	t.Helper()
	var list []disagreement
	for line := range strings.Lines(readFile(t, "testdata/differential.tsv")) {
		f := strings.Split(strings.TrimSpace(line), "\t")
		if len(f) != 7 {
			t.Fatalf("differential.tsv: %d columns: %s", len(f), line)
		}
		list = append(list, disagreement{opinion{f[0], f[1], f[2]}, f[3], f[4], f[5], f[6]})
	}
	return list[1:]
}

// compareOpinions wants every disagreement in the table, and no other there.
func compareOpinions(t *testing.T, cases []mailCase, ours, theirs opinions) {
	t.Helper()
	listed := map[opinion]disagreement{}
	for _, d := range disagreements(t) {
		listed[d.opinion] = d
	}
	compared, differing := map[string]int{}, map[string]int{}
	for k, their := range theirs {
		kind := k.peer + ", " + k.mechanism
		compared[kind]++
		our := ours[opinion{k.name, "", k.mechanism}]
		d, known := listed[k]
		delete(listed, k)
		switch {
		case known && (d.theirs != their || d.ours != our):
			t.Errorf("%s: %s says %s about %s and we say %s; the table has %s and %s", k.name, k.peer, their, k.mechanism, our, d.theirs, d.ours)
		case !known && our != their:
			t.Errorf("not in the table: %s\t%s\t%s\t%s\t%s", k.name, k.peer, k.mechanism, their, our)
		}
		if our != their {
			differing[kind]++
		}
	}
	for k := range listed {
		t.Errorf("in the table, and nobody says so: %v", k)
	}
	for _, kind := range slices.Sorted(maps.Keys(compared)) {
		t.Logf("%s: %d of %d differ", kind, differing[kind], compared[kind])
		if compared[kind] != len(cases) {
			t.Errorf("%s: %d opinions of %d cases", kind, compared[kind], len(cases))
		}
	}
}
