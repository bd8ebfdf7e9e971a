package link

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"time"
)

// accept gives each connection to admit until ctx ends or somebody closes the listener. Other errors, such as too many open files,
// are logged and tried again, at first after 5 ms, later after a second: a listener never dies silently.
func accept(ctx context.Context, l net.Listener, log *slog.Logger, admit func(net.Conn)) {
	var pause time.Duration
	for {
		nc, err := l.Accept()
		switch {
		case err == nil:
			pause = 0
			admit(nc)
			continue
		case ctx.Err() != nil:
			return
		case errors.Is(err, net.ErrClosed):
			log.Error("listener closed by somebody else", "listener", l.Addr().String())
			return
		}
		pause = min(max(5*time.Millisecond, 2*pause), time.Second)
		log.Warn("accept failed", "listener", l.Addr().String(), "error", err, "retry", pause)
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return
		}
	}
}

func orQuiet(log *slog.Logger) *slog.Logger {
	if log == nil {
		return slog.New(slog.DiscardHandler)
	}
	return log
}
