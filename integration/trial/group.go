package trial

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/bellwether-zk/bellwether/client"
	"github.com/bellwether-zk/bellwether/recipes/group"
)

// fellowship is a group to which all users belong, each for long under a name of his own, and as a guest for a short time under new names,
// and under one that all want. Everybody looks on.
type fellowship struct {
	*roll
	join joiner
}

// membership is a member's own.
type membership interface {
	Set(ctx context.Context, payload []byte) error
	Leave(ctx context.Context) error
	Status() group.Status
	Path() string
}

func newFellowship() Recipe { return fellows(join) }

func fellows(join joiner) *fellowship {
	return &fellowship{roll: newRoll(func(data []byte) string { return string(data) }), join: join}
}

// joiner makes a user a member.
type joiner func(ctx context.Context, c *client.Client, g *group.Group, id, payload string) (membership, error)

func join(ctx context.Context, _ *client.Client, g *group.Group, id, payload string) (membership, error) {
	return g.Join(ctx, id, []byte(payload))
}

func (f *fellowship) Begin(_ context.Context, t *Trial) error {
	f.dir = t.Dir + "/group"
	return nil
}

// A fellow is a user of a group, in one of his lives.
type fellow struct {
	group    *group.Group
	view     *group.View
	account  *account
	loop     sync.WaitGroup
	resident *member   // nil: he is not there now
	left     []*member // who have not quite
}

// A member is a membership and whose it is.
type member struct {
	membership
	*wish
	text string // as it should be
}

func (f *fellowship) Turn(ctx context.Context, u *User) error {
	mine, ok := u.Kept.(*fellow)
	if !ok {
		mine = &fellow{}
		u.Kept = mine
		u.AtEnd(func(ctx context.Context) { f.end(ctx, u, mine) })
	}
	if err := f.settle(ctx, u, mine); err != nil {
		return err
	}
	f.look(ctx, u, groupView{mine.view})
	var err error
	switch n := u.IntN(60); {
	case n < 10:
		err = f.set(ctx, mine.resident)
	case u.Calm() || n > 15:
		err = f.visit(ctx, u, mine)
	case n == 10:
		f.crash(ctx, u, mine)
	case n == 11:
		err = f.leave(ctx, u, mine, mine.resident)
		mine.resident = nil
	default:
		u.wire.Drop()
	}
	pause(ctx, u.UpTo(stay))
	return err
}

// settle has the user look on, and be there.
func (f *fellowship) settle(ctx context.Context, u *User, mine *fellow) (err error) {
	if mine.view == nil {
		// Who was here before is there for a session's timeout after his death, or longer if the leader dies too.
		mine.group = group.New(u.Client, f.dir, &group.Options{Patience: u.run.Patience})
		v, err := mine.group.Observe(ctx)
		if err != nil {
			return err
		}
		mine.view, mine.account = v, f.account(u)
		mine.loop.Go(func() { f.follow(u, v, mine.account) }) // ends with the view
	}
	if mine.resident == nil {
		mine.resident, err = f.enter(ctx, u, mine, u.ID())
	}
	return err
}

// enter makes the user a member.
func (f *fellowship) enter(ctx context.Context, u *User, mine *fellow, id string) (*member, error) {
	w, text := f.wish(u)
	m, err := f.join(ctx, u.Client, mine.group, id, text)
	if err != nil {
		return nil, err
	}
	f.grant(w)
	f.claim(ctx, u, m.Path(), m.Status().Token)
	return &member{m, w, text}, nil
}

func (f *fellowship) set(ctx context.Context, m *member) error {
	m.text = f.text(m.wish)
	return m.Set(ctx, []byte(m.text))
}

// visit is to be a guest for a moment.
func (f *fellowship) visit(ctx context.Context, u *User, mine *fellow) error {
	id := fmt.Sprint(u.ID(), " as guest ", u.Int64())
	if u.IntN(4) == 0 {
		id = "chair"
	}
	guest, err := f.enter(ctx, u, mine, id)
	if err != nil {
		return err
	}
	if u.IntN(2) == 0 {
		err = f.set(ctx, guest)
	}
	pause(ctx, u.UpTo(stay))
	return errors.Join(err, f.leave(ctx, u, mine, guest))
}

// leave gives a membership up. If that takes long it is seen to in the end.
func (f *fellowship) leave(ctx context.Context, u *User, mine *fellow, m *member) error {
	f.give(u, m.wish)
	d := u.run.Client.SessionTimeout
	if u.IntN(8) == 0 {
		d = time.Millisecond
	}
	own, cancel := context.WithTimeout(context.WithoutCancel(ctx), d)
	defer cancel()
	err := m.Leave(own)
	if err != nil {
		mine.left = append(mine.left, m)
		return err
	}
	f.mustBeGone(ctx, u, m.Path(), m.wish)
	return nil
}

// crash ends the user's process, and all that he had there.
func (f *fellowship) crash(ctx context.Context, u *User, mine *fellow) {
	f.die(u, mine.resident.wish)
	u.Crash(ctx)
	mine.view.Close()
	mine.loop.Wait()
	mine.view, mine.resident, mine.left = nil, nil, nil
}

// end requires that everybody's view is the same, and of nobody when all have left.
func (f *fellowship) end(ctx context.Context, u *User, mine *fellow) {
	if err := f.settle(ctx, u, mine); err != nil {
		u.Wrong("user %d does not come to the end: %v", u.Number, err)
		return
	}
	v := groupView{mine.view}
	f.agree(ctx, u, v, mine.account, map[string]string{mine.resident.Path(): mine.resident.text})
	f.give(u, mine.resident.wish)
	for _, m := range append(mine.left, mine.resident) {
		if err := m.Leave(ctx); err != nil {
			u.Wrong("user %d leaves: %v", u.Number, err)
		}
		f.mustBeGone(ctx, u, m.Path(), m.wish)
	}
	f.agree(ctx, u, v, mine.account, nil)
	mine.view.Close()
	mine.loop.Wait()
}

// follow notes what a view is told.
func (f *fellowship) follow(u *User, v *group.View, a *account) {
	for e := range v.Events(context.Background()) {
		o := told{at: u.Now(), path: e.Member.Path}
		switch e.Kind {
		case group.Joined:
			o.now = standingOf(e.Member)
		case group.Updated:
			o.old, o.now = standingOf(e.Old), standingOf(e.Member)
		case group.Left:
			o.old = standingOf(e.Member)
		default:
			continue
		}
		f.tell(a, o)
	}
}

func standingOf(m group.Member) standing {
	return standing{text: string(m.Payload), token: m.Token, session: m.Session}
}

// groupView is a view of a group as what is judged.
type groupView struct{ *group.View }

func (v groupView) standings() map[string]standing {
	all := map[string]standing{}
	for _, m := range v.Members() {
		all[m.Path] = standingOf(m)
	}
	return all
}

func (f *fellowship) Judge(_ context.Context, t *Trial) error {
	f.judge(t)
	return nil
}
