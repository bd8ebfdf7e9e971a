package trial

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/bellwether-zk/bellwether/client"
	"github.com/bellwether-zk/bellwether/recipes/queue"
)

// line is a queue into which everybody puts items, and of which everybody does some. To do an item is to make a node named after it.
type line struct {
	mu    sync.Mutex
	puts  int
	known map[string]bool // what was put, or, if false, may have been
}

func newLine() Recipe { return &line{known: map[string]bool{}} }

var queueOptions = &queue.Options{MaxAttempts: -1}

func (l *line) Begin(ctx context.Context, t *Trial) error {
	_, err := t.Witness.Create(ctx, t.Dir+"/done", nil, nil)
	return err
}

func (l *line) Turn(ctx context.Context, u *User) error {
	q := queue.New(u.Client, u.Dir+"/queue", queueOptions)
	if err := l.put(ctx, q); err != nil {
		return err
	}
	d, err := q.Take(ctx)
	if err != nil {
		return err
	}
	in := u.Enter(delivered{d}, Span{What: string(d.Data()), Token: d.Token()})
	u.Stay(delivered{d}, stay)
	in.Leave()
	own, cancel := context.WithTimeout(context.WithoutCancel(ctx), u.run.Client.SessionTimeout)
	defer cancel()
	switch {
	case !u.Calm() && u.IntN(8) == 0:
		err = d.Nack(own, u.UpTo(100*time.Millisecond), errors.New("not now"))
	case !u.Calm() && u.IntN(8) == 0:
		err = d.Release(own)
	default:
		err = d.Ack(own, client.CreateOp(done(u.Trial, string(d.Data())), nil, nil))
	}
	switch {
	case errors.Is(err, client.ErrNodeExists):
		u.Wrong("user %d does %s, which was done", u.Number, d.Data())
	case errors.Is(err, queue.ErrLost):
		u.Wrong("user %d had %s taken away by nobody: %v", u.Number, d.Data(), err)
	}
	return err
}

// put puts an item of its own name.
func (l *line) put(ctx context.Context, q *queue.Queue) error {
	l.mu.Lock()
	l.puts++
	name := fmt.Sprint("item-", l.puts)
	l.known[name] = false
	l.mu.Unlock()
	err := q.Put(ctx, queue.Item{Data: []byte(name)})
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case err == nil:
		l.known[name] = true
	case !errors.Is(err, client.ErrUnknown):
		delete(l.known, name)
	}
	return err
}

func done(t *Trial, item string) string { return t.Dir + "/done/" + item }

// delivered is a delivery as what is held.
type delivered struct{ *queue.Delivery }

// Judge takes what is left, and requires that each item was done or is left, once, and that nobody had one while another did.
func (l *line) Judge(ctx context.Context, t *Trial) error {
	seen := map[string]int{}
	c, err := t.Connect(ctx) // which leaves nothing behind when it goes
	if err != nil {
		return err
	}
	defer c.Close()
	q := queue.New(c, t.Dir+"/queue", queueOptions)
	for {
		state, err := q.Inspect(ctx)
		if err != nil {
			return err
		}
		if len(state.Items) == 0 {
			break
		}
		d, err := q.Take(ctx) // of those, too, that are there for later, or claimed in a session that is not over yet
		if err != nil {
			return err
		}
		seen[string(d.Data())]++
		if err := d.Ack(ctx); err != nil {
			return err
		}
	}
	names, _, err := t.Witness.Children(ctx, t.Dir+"/done")
	if err != nil {
		return err
	}
	for _, name := range names {
		seen[name]++
	}
	t.All(delivery(l.known, seen))
	for name := range l.known {
		for _, w := range Ordered(t.Spans(name)) {
			t.Wrong("%s", strings.TrimSpace(w))
		}
	}
	return nil
}

// delivery finds items that were put and are not seen once.
func delivery(known map[string]bool, seen map[string]int) (wrong []string) {
	for name, put := range known {
		if n := seen[name]; n > 1 || put && n == 0 {
			wrong = append(wrong, fmt.Sprintf("%s, which was put (%t), is there or was done %d times", name, put, n))
		}
	}
	for name := range seen {
		if _, ok := known[name]; !ok {
			wrong = append(wrong, fmt.Sprintf("%s is there or was done, and was never put", name))
		}
	}
	return wrong
}
