package load

import (
	"bytes"
	"context"
	"fmt"
	"os/exec"
	"strconv"
	"time"
)

// sourceTimeout bounds one run of smtp-source.
const sourceTimeout = 2 * time.Minute

// Source sends n mails with Postfix's smtp-source, which tells neither
// latencies nor a count: it ends with an error at the first mail that is not
// answered 250. Its clock covers its start and its connections.
func Source(ctx context.Context, t Target, to string, size int64, n int, s Shape) (Result, error) {
	args := []string{
		"-s", strconv.Itoa(min(s.Sessions, n)), "-m", strconv.Itoa(n), "-l", strconv.FormatInt(size, 10),
		"-M", Helo, "-f", "source@plain.test", "-t", to,
	}
	if s.Keep {
		args = append(args, "-d")
	}
	if t.LMTP {
		args = append(args, "-L")
	}
	ctx, cancel := context.WithTimeout(ctx, sourceTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, "smtp-source", append(args, t.Addr)...)
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	start := time.Now()
	err := cmd.Run()
	r := Result{Elapsed: time.Since(start)}
	if err != nil {
		return r, fmt.Errorf("smtp-source: %w: %.500s", err, said.Bytes())
	}
	r.Accepted = n
	r.CPU = cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	return r, nil
}
