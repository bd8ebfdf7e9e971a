package queue

import (
	"context"
	"net/url"
	"time"

	"github.com/bellwether-zk/bellwether/client"
)

// keyPath is where an item's key stands: as long as the item is not done, and then for Options.KeepKeys.
func (q *Queue) keyPath(key string) string { return q.keys.join("key-" + url.PathEscape(key)) }

// createKey is the part that fails if there is the key.
func (q *Queue) createKey(key string) part {
	return part{Op: client.CreateOp(q.keyPath(key), nil, q.createOptions(client.Persistent)), dir: &q.keys}
}

// removeKey are the parts that let the key in again, at once; none if there is none.
func (q *Queue) removeKey(key string) []part {
	if key == "" {
		return nil
	}
	return []part{{Op: client.DeleteOp(q.keyPath(key), client.AnyVersion), optional: true}}
}

// finishKey are the parts of an item that is done. A key that is kept is written, so that its version is not 0 and its time the present one.
func (q *Queue) finishKey(key string) []part {
	if key == "" || q.opts.KeepKeys <= 0 {
		return q.removeKey(key)
	}
	return []part{{Op: client.SetOp(q.keyPath(key), nil, client.AnyVersion), optional: true}}
}

// sweepKeys removes the keys whose time is over, if nobody of this process has looked for half of that time.
func (q *Queue) sweepKeys(s *client.Session) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.opts.KeepKeys <= 0 || time.Since(q.swept) < q.opts.KeepKeys/2 {
		return
	}
	q.swept = time.Now()
	_ = s.Go(func(life context.Context) { // ends when all is looked at, or the session is over
		view := q.client.In(s)
		names, err := q.keys.children(life, view)
		for i := 0; i < len(names) && err == nil; i++ {
			var (
				stat  client.Stat
				there bool
			)
			stat, there, err = view.Exists(life, q.keys.join(names[i]))
			if err == nil && there && stat.Version > 0 && time.Since(stat.Mtime) > q.opts.KeepKeys {
				_ = view.Delete(life, q.keys.join(names[i]), stat.Version) // else it is for the next time
			}
		}
	})
}
