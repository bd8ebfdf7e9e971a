package ensembletest

import (
	"bytes"
	"log/slog"
	"os"
	"strings"
	"sync"
	"testing"
)

// tailLines is how many lines of the logs are kept.
const tailLines = 100

// A journal takes what servers log, a line each Write, and keeps the last ones.
type journal struct {
	show func(line string) // called for each line, one at a time; nil: nobody wants to see it

	mu   sync.Mutex
	tail []string // a ring once it is full
	next int      // where the oldest line is then
}

// newJournal shows lines through t, or on standard error if t is nil, or not at all.
func newJournal(t testing.TB, show bool) *journal {
	j := &journal{}
	switch {
	case !show:
	case t != nil:
		j.show = func(line string) { t.Helper(); t.Log(line) }
	default:
		j.show = func(line string) { _, _ = os.Stderr.WriteString(line + "\n") }
	}
	return j
}

// logger logs to the journal, and to other unless that is nil.
func (j *journal) logger(other *slog.Logger) *slog.Logger {
	level := slog.LevelInfo
	if j.show != nil {
		level = slog.LevelDebug
	}
	h := slog.Handler(slog.NewTextHandler(j, &slog.HandlerOptions{Level: level}))
	if other != nil {
		h = slog.NewMultiHandler(h, other.Handler())
	}
	return slog.New(h)
}

// Write takes one line.
func (j *journal) Write(p []byte) (int, error) {
	line := string(bytes.TrimRight(p, "\n"))
	j.mu.Lock()
	defer j.mu.Unlock()
	if len(j.tail) < tailLines {
		j.tail = append(j.tail, line)
	} else {
		j.tail[j.next] = line
		j.next = (j.next + 1) % tailLines
	}
	if j.show != nil {
		j.show(line)
	}
	return len(p), nil
}

// last is what was logged last, the oldest line first.
func (j *journal) last() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return strings.Join(append(append([]string(nil), j.tail[j.next:]...), j.tail[:j.next]...), "\n")
}

// A StartError tells why servers could not be started, and what they said.
type StartError struct {
	Err error
	Log string // the last lines of the servers' logs, perhaps none
}

// Error returns the reason and the lines.
func (e *StartError) Error() string {
	if e.Log == "" {
		return "ensembletest: " + e.Err.Error()
	}
	return "ensembletest: " + e.Err.Error() + "\nThe servers' last words:\n" + e.Log
}

// Unwrap returns the reason.
func (e *StartError) Unwrap() error { return e.Err }
