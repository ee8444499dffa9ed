package peer

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// stat is what /proc says of one process.
type stat struct {
	pid, parent int
	started     uint64 // tells a process from a later one with its number
	cpu         int64  // ticks, those of ended children included
	zombie      bool   // it has ended, and nobody has asked how
}

// tick is the unit of processor times in /proc on every Linux.
const tick = 10 * time.Millisecond

// parseStat reads /proc/<pid>/stat. The name of the program, in parentheses,
// may hold anything.
func parseStat(pid int, b []byte) (stat, error) {
	end := bytes.LastIndexByte(b, ')')
	f := strings.Fields(string(b[end+1:]))
	if end < 0 || len(f) < 20 {
		return stat{}, fmt.Errorf("/proc/%d/stat: %q", pid, b)
	}
	s := stat{pid: pid, zombie: f[0] == "Z"}
	var err error
	number := func(i int) (n int64) {
		if err == nil {
			n, err = strconv.ParseInt(f[i], 10, 64)
		}
		return n
	}
	s.parent = int(number(1))
	s.cpu = number(11) + number(12) + number(13) + number(14)
	s.started = uint64(number(19))
	return s, err
}

func readStat(pid int) (stat, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return stat{}, err
	}
	return parseStat(pid, b)
}

// startOf tells when a process was started, and whether it still runs.
func startOf(pid int) (uint64, bool) {
	s, err := readStat(pid)
	return s.started, err == nil && !s.zombie
}

// descendants are the process and all below it. Processes that end meanwhile
// are left out.
func descendants(root int) []stat {
	dirs, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		return nil
	}
	children := make(map[int][]stat)
	var out []stat
	for _, d := range dirs {
		pid, err := strconv.Atoi(filepath.Base(d))
		if err != nil {
			continue
		}
		s, err := readStat(pid)
		if err != nil {
			continue
		}
		if pid == root {
			out = append(out, s)
		}
		children[s.parent] = append(children[s.parent], s)
	}
	for i := 0; i < len(out); i++ {
		out = append(out, children[out[i].pid]...)
	}
	return out
}

// CPU is the processor time that the servers with these process ids and their
// children have used.
func CPU(roots []int) time.Duration {
	var ticks int64
	for _, root := range roots {
		for _, s := range descendants(root) {
			ticks += s.cpu
		}
	}
	return time.Duration(ticks) * tick
}

// Memory is what processes hold, in octets.
type Memory struct {
	RSS  int64 // resident; pages that processes share count for each
	PSS  int64 // resident; a shared page counts once, divided among its users
	Anon int64 // the part of RSS that no file stands behind
	Peak int64 // highest RSS so far, the sum over the processes
}

// MemoryOf adds up the memory of the servers with these process ids and of
// their children.
func MemoryOf(roots []int) Memory {
	var m Memory
	for _, root := range roots {
		for _, s := range descendants(root) {
			rollup := fields(fmt.Sprintf("/proc/%d/smaps_rollup", s.pid))
			status := fields(fmt.Sprintf("/proc/%d/status", s.pid))
			m.PSS += rollup["Pss"]
			m.RSS += status["VmRSS"]
			m.Anon += status["RssAnon"]
			m.Peak += status["VmHWM"]
		}
	}
	return m
}

// fields reads the lines "name: n kB" of a file in /proc, in octets.
func fields(file string) map[string]int64 {
	b, err := os.ReadFile(file)
	if err != nil {
		return nil // it has ended
	}
	out := make(map[string]int64)
	for line := range strings.Lines(string(b)) {
		name, rest, ok := strings.Cut(line, ":")
		f := strings.Fields(rest)
		if !ok || len(f) != 2 || f[1] != "kB" {
			continue
		}
		if n, err := strconv.ParseInt(f[0], 10, 64); err == nil {
			out[name] = n << 10
		}
	}
	return out
}
