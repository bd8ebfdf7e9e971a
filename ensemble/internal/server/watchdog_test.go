package server

import (
	"bytes"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bellwether-zk/bellwether/ensemble/internal/disk"
	"github.com/bellwether-zk/bellwether/ensemble/internal/wire"
	"github.com/bellwether-zk/bellwether/ensemble/internal/znode"
)

// A logbook is what was logged, without times.
type logbook struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logbook) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

// take returns what was logged since it was asked last.
func (l *logbook) take() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	defer l.text.Reset()
	return l.text.String()
}

func (l *logbook) logger() *slog.Logger {
	return slog.New(slog.NewTextHandler(l, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}}))
}

// A disk that hangs is told of while it does, once, also where nobody else could notice.
func TestWatchdogTellsOfADiskThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var logged logbook
		r := newRig(t, disk.NewMem(nil), func(c *Config) { c.Log = logged.logger() })
		time.Sleep(time.Minute)
		u := r.mustDial()
		logged.take()
		release := r.stall(disk.OpSync)
		u.Send(wire.OpCreate, create("/a", znode.ModePersistent))
		require.NoError(t, u.Flush(t.Context()))
		time.Sleep(stallAfter - time.Millisecond)
		require.Empty(t, logged.take())
		time.Sleep(watchEvery + time.Millisecond)
		require.Regexp(t, `^level=WARN msg=hangs server=1 stage=disk for=[45]\S*s\n$`, logged.take())
		time.Sleep(time.Minute)
		require.Empty(t, logged.take(), "once is enough")
		release()
		time.Sleep(watchEvery)
		synctest.Wait()
		require.Contains(t, logged.take(), "level=INFO msg=\"goes on\" server=1 stage=disk\n")
	})
}

// The same for the goroutine that decides.
func TestWatchdogTellsOfACoreThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var logged logbook
		r := newRig(t, disk.NewMem(nil), func(c *Config) { c.Log = logged.logger() })
		time.Sleep(time.Minute)
		logged.take()
		r.inCore(func() { time.Sleep(stallAfter + watchEvery*3/2) }) // it ends between two looks
		require.Contains(t, logged.take(), "level=WARN msg=hangs server=1 stage=core for=")
		time.Sleep(watchEvery)
		synctest.Wait()
		require.Equal(t, fmt.Sprintln(`level=INFO msg="goes on" server=1 stage=core`), logged.take())
	})
}
