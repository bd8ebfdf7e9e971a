package front_test

import (
	"io"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bellwether-zk/bellwether/ensemble/internal/front"
	"github.com/bellwether-zk/bellwether/ensemble/internal/jute"
	"github.com/bellwether-zk/bellwether/ensemble/internal/wire"
)

// FuzzConnection sends any bytes, cut anyhow, on a fresh connection or one with a session, while writes are committed. Nothing
// panics, whatever comes back after a handshake is whole frames, nothing of it stays behind, and another client is served.
func FuzzConnection(f *testing.F) {
	b, start := wire.BeginFrame(nil)
	greeting := wire.EndFrame((&wire.ConnectRequest{Timeout: 4000}).AppendJute(b), start)
	f.Add(false, byte(255), []byte("ruok"))
	f.Add(false, byte(1), []byte("stmk\x00\x00\x00\x00\x00\x00\x00\x00"))
	f.Add(false, byte(7), append(greeting, set(1, "/a", "1")...))
	f.Add(true, byte(255), append(set(1, "/a", "1"), append(get(2, "/a"), set(3, "/a", "3")...)...))
	f.Add(true, byte(5), ask(set(1, "/a", "1"), 2, wire.OpAuth, &wire.AuthRequest{Scheme: "digest"}))
	f.Add(true, byte(9), ask(ping(), 2, wire.OpMulti, &wire.MultiRequest{Ops: []wire.MultiOp{{Op: wire.OpCheck, Record: &wire.CheckRequest{Path: "/a"}}}}))
	f.Add(true, byte(200), ask(ask(nil, 2, wire.OpCloseSession, nil), 3, wire.OpCheck, nil))
	f.Add(true, byte(3), []byte("\xff\xff\xff\xff"))
	f.Add(true, byte(3), []byte("\x00\x00\x00\x05abcde"))
	f.Fuzz(func(t *testing.T, joined bool, cut byte, data []byte) {
		synctest.Test(t, func(t *testing.T) {
			var log strings.Builder
			h := serve(t, front.Options{
				MaxLane: 5, MaxOutput: 2000, LargeRequest: 100, MaxLargeRequests: 1000,
				Log: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelError})),
			})
			c := h.dial()
			if joined {
				c.handshake(&wire.ConnectRequest{Timeout: 4000})
			}
			received := make(chan []byte, 1)
			go func() { // ends with the connection
				all, _ := io.ReadAll(c)
				received <- all
			}()
			for len(data) > 0 {
				n := min(len(data), int(cut)+1)
				if _, err := c.Write(data[:n]); err != nil {
					break
				}
				data = data[n:]
				synctest.Wait()
				h.backend.commit(h.backend.pending())
			}
			_ = c.Conn.(interface{ CloseWrite() error }).CloseWrite()
			time.Sleep(time.Minute)
			all := <-received
			for joined && len(all) > 0 {
				d := jute.NewDecoder(all)
				frame := d.Buffer()
				require.NoError(t, d.Err(), "%x", all)
				require.GreaterOrEqual(t, len(frame), wire.ReplyHeaderLen)
				all = d.Rest()
			}
			require.Zero(t, h.server.Totals().Connections)
			require.Zero(t, h.server.Totals().Outstanding)
			require.Empty(t, log.String())
			other := h.join()
			other.send(ping())
			other.reply()
		})
	})
}
