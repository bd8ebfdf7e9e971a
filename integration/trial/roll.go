package trial

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/bellwether-zk/bellwether/client"
)

// A roll is who is listed in a directory, by whose wish, and what is told of that to those who look on: all that is judged alike of groups and
// of services.
type roll struct {
	dir    string
	textOf func(data []byte) string // of a node

	counting sync.Mutex // held by who takes a census

	mu       sync.Mutex
	wishes   []*wish
	censuses []census // oldest first
	accounts []*account
	claims   []claim
	agreed   int           // users who agree, in the end
	all      chan struct{} // closed when all do
}

func newRoll(textOf func(data []byte) string) *roll {
	return &roll{textOf: textOf, all: make(chan struct{})}
}

// A wish is a user's to be listed somewhere. Each text that its node may have tells whose wish it is, and is another one.
type wish struct {
	number, user int
	texts        int           // so many were written, or may have been
	given        time.Duration // up, or perhaps not made: since when its node may go, at least 1; 0: it must stay as long as its session lives
	died         bool          // given up by a crash
}

// wish notes a wish that may come true or not, until it is granted, and returns it with its text.
func (r *roll) wish(u *User) (*wish, string) {
	r.mu.Lock()
	w := &wish{number: len(r.wishes), user: u.Number, given: max(u.Now(), 1)}
	r.wishes = append(r.wishes, w)
	r.mu.Unlock()
	return w, r.text(w)
}

// text returns what is to be written next.
func (r *roll) text(w *wish) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	w.texts++
	return fmt.Sprint(w.number, " ", w.texts)
}

// grant tells that who has a wish knows that he is listed.
func (r *roll) grant(w *wish) {
	r.mu.Lock()
	defer r.mu.Unlock()
	w.given = 0
}

// give tells that a wish is given up, now.
func (r *roll) give(u *User, w *wish) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if w.given == 0 {
		w.given = max(u.Now(), 1)
	}
}

// die tells that who has a wish is about to crash.
func (r *roll) die(u *User, w *wish) {
	r.give(u, w)
	r.mu.Lock()
	defer r.mu.Unlock()
	w.died = true
}

// read tells what a text is of.
func (r *roll) read(text string) (w wish, n int, ok bool) {
	var number int
	if _, err := fmt.Sscanf(text, "%d %d", &number, &n); err != nil {
		return wish{}, 0, false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if number < 0 || number >= len(r.wishes) {
		return wish{}, 0, false
	}
	return *r.wishes[number], n, n <= r.wishes[number].texts
}

// A standing is what is, or was, listed at a path.
type standing struct {
	text           string
	token, session int64
	up, lost       bool // of services: it is to be chosen; it is not there, and the view says so
}

func (s standing) String() string {
	if s.token == 0 {
		return "nobody"
	}
	return fmt.Sprintf("%q with token %#x of session %#x", s.text, s.token, s.session)
}

// A census is what stood in the directory, as the witness read it behind a write of its own.
type census struct {
	at    time.Duration // by when
	zxid  int64         // of the write: whoever is not there and has a lesser token is gone
	there map[string]standing
}

// count reads what stands. A node that was written more often than was wished was written for nothing.
func (r *roll) count(ctx context.Context, t *Trial) (census, error) {
	stat, err := t.Witness.Set(ctx, root, nil, client.AnyVersion)
	if err != nil {
		return census{}, err
	}
	c := census{zxid: stat.Mzxid, there: map[string]standing{}}
	names, _, err := t.Witness.Children(ctx, r.dir)
	if err != nil && !errors.Is(err, client.ErrNoNode) {
		return census{}, err
	}
	for _, name := range names {
		path := client.Join(r.dir, name)
		data, stat, err := t.Witness.Get(ctx, path)
		if errors.Is(err, client.ErrNoNode) {
			continue
		}
		if err != nil {
			return census{}, err
		}
		text := r.textOf(data)
		c.there[path] = standing{text: text, token: stat.Czxid, session: stat.EphemeralOwner}
		if w, _, ok := r.read(text); ok && int(stat.Version) >= w.texts {
			t.Wrong("%s was written %d times, and its user %d had %d texts for it", path, stat.Version+1, w.user, w.texts)
		}
	}
	c.at = t.Now()
	return c, nil
}

// census takes one, unless somebody else does, or has lately.
func (r *roll) census(ctx context.Context, t *Trial) {
	if !r.counting.TryLock() {
		return
	}
	defer r.counting.Unlock()
	if last, ok := r.censusOf(t.Now()); ok && t.Now()-last.at < 100*time.Millisecond {
		return
	}
	if c, err := r.count(ctx, t); err == nil {
		r.mu.Lock()
		r.censuses = append(r.censuses, c)
		r.mu.Unlock()
	}
}

// censusOf returns the last one that was finished by a time.
func (r *roll) censusOf(at time.Duration) (census, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, c := range slices.Backward(r.censuses) {
		if c.at <= at {
			return c, true
		}
	}
	return census{}, false
}

// A viewer has a view of what stands.
type viewer interface {
	StaleSince() time.Time
	// standings are what it has, by path.
	standings() map[string]standing
}

// look requires that a view which says that it is current shows what has stood for long, and nobody who is long gone, unless it says so: by then
// a silent server would have been noticed.
func (r *roll) look(ctx context.Context, u *User, v viewer) {
	r.census(ctx, u.Trial)
	past, ok := r.censusOf(u.Now() - 3*u.run.Client.SessionTimeout)
	if !ok {
		return
	}
	if len(outdated(past, past, current(v))) == 0 {
		return
	}
	has := current(v)
	if now, err := r.count(ctx, u.Trial); err == nil {
		u.All(outdated(past, now, has))
	}
}

// current returns what a view has; nothing that can be wrong, if it says that it may be out of date.
func current(v viewer) map[string]standing {
	if !v.StaleSince().IsZero() {
		return nil
	}
	return v.standings()
}

// outdated finds who is missing in a view though he stood in the past and still does now, after it, and who is there though he was gone in the past.
func outdated(past, now census, view map[string]standing) (wrong []string) {
	if view == nil {
		return nil
	}
	for path, s := range past.there {
		if now.there[path] != s {
			continue
		}
		if has := view[path]; has.lost || has.text != s.text || has.token != s.token {
			wrong = append(wrong, fmt.Sprintf("a view has %v at %s, where %v has stood since %v", has, path, s, past.at))
		}
	}
	for path, has := range view {
		if !has.lost && has.token < past.zxid && past.there[path].token != has.token {
			wrong = append(wrong, fmt.Sprintf("a view still has %v at %s, which was gone at %v", has, path, past.at))
		}
	}
	return wrong
}

// An account is what a loop over a view was told.
type account struct {
	user  int
	told  []told
	known map[string]standing // by path, as told
}

// told is a change. A standing without a token is none.
type told struct {
	at       time.Duration
	path     string
	old, now standing
}

func (o told) String() string {
	return fmt.Sprintf("at %v of %s: %v, and before %v", o.at, o.path, o.now, o.old)
}

// account begins one of a user's.
func (r *roll) account(u *User) *account {
	a := &account{user: u.Number, known: map[string]standing{}}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.accounts = append(r.accounts, a)
	return a
}

// tell notes what a loop is told.
func (r *roll) tell(a *account, o told) {
	r.mu.Lock()
	defer r.mu.Unlock()
	o.at = max(o.at, 1) // as wishes are given up
	a.told = append(a.told, o)
	if o.now.token == 0 {
		delete(a.known, o.path)
	} else {
		a.known[o.path] = o.now
	}
}

// agree requires that a view and what was told of it become what stands, now that nobody changes anything: with the texts that are the user's
// own, by path, or nobody if that is nil. Then it waits until everybody agrees.
func (r *roll) agree(ctx context.Context, u *User, v viewer, a *account, own map[string]string) {
	ctx, cancel := context.WithTimeout(ctx, u.run.Patience/2) // and then there is time to leave
	defer cancel()
	for {
		differs, err := r.differs(ctx, u.Trial, v, a, own)
		if err == nil && differs == "" {
			break
		}
		if !pause(ctx, 100*time.Millisecond) {
			u.Wrong("user %d, who says he is stale since %v, has not what stands: %s %v", u.Number, v.StaleSince(), differs, err)
			break
		}
	}
	r.mu.Lock()
	if r.agreed++; r.agreed == len(u.users) {
		close(r.all)
	}
	r.mu.Unlock()
	select {
	case <-r.all:
	case <-ctx.Done():
	}
}

// differs tells the first difference.
func (r *roll) differs(ctx context.Context, t *Trial, v viewer, a *account, own map[string]string) (string, error) {
	now, err := r.count(ctx, t)
	if err != nil {
		return "", err
	}
	if own == nil && len(now.there) > 0 {
		return fmt.Sprintf("%v stand", now.there), nil
	}
	for path, text := range own {
		if now.there[path].text != text {
			return fmt.Sprintf("%s has %v instead of %q", path, now.there[path], text), nil
		}
	}
	has := v.standings()
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, path := range slices.Sorted(maps.Keys(now.there)) {
		stands := now.there[path]
		for _, of := range []standing{has[path], a.known[path]} {
			if of.text != stands.text || of.token != stands.token || of.session != stands.session || of.lost {
				return fmt.Sprintf("%s has %v, and a view %v, and was told %v", path, stands, has[path], a.known[path]), nil
			}
		}
	}
	if len(has) > len(now.there) || len(a.known) > len(now.there) {
		return fmt.Sprintf("%d stand, a view has %v, and was told %v", len(now.there), has, a.known), nil
	}
	if !v.StaleSince().IsZero() {
		return "it is stale", nil
	}
	return "", nil
}

// judge judges what was told.
func (r *roll) judge(t *Trial) {
	for _, c := range r.claims {
		if of := t.session(c.session); of.user != c.user || of.life != c.life {
			t.Wrong("user %d in his %d. life was told to have %s, and that was of a session of user %d in his %d. life", c.user, c.life, c.path, of.user, of.life)
		}
	}
	for _, a := range r.accounts {
		t.All(coherent(a.told))
		for _, o := range a.told {
			if wrong := r.unfounded(t, o); wrong != "" {
				t.Wrong("user %d was told %v: %s", a.user, o, wrong)
			}
		}
	}
}

// unfounded tells why something should not have been told: nobody wrote it there, or somebody is gone who had not given himself up, and whose
// session lives.
func (r *roll) unfounded(t *Trial, o told) string {
	for _, s := range []standing{o.old, o.now} {
		if s.token == 0 {
			continue
		}
		w, _, ok := r.read(s.text)
		owner := t.session(s.session)
		switch {
		case !ok:
			return fmt.Sprintf("nobody wrote %q", s.text)
		case owner.life == 0 || owner.user != w.user:
			return fmt.Sprintf("%q is user %d's, and the session is not", s.text, w.user)
		}
	}
	gone := o.old.token != 0 && !o.old.lost && (o.now.token != o.old.token || o.now.lost)
	if !gone {
		return ""
	}
	w, _, _ := r.read(o.old.text)
	if t.session(o.old.session).lost || w.given != 0 && w.given <= o.at {
		return ""
	}
	return fmt.Sprintf("nothing has happened to user %d's session, and he is said to be gone", w.user)
}

// coherent finds what one loop cannot have been told: of a change of what it does not know, of nothing, or of something older.
func coherent(all []told) (wrong []string) {
	known := map[string]standing{}
	newest := map[string]int64{}
	for _, o := range all {
		before := known[o.path]
		switch {
		case o.old != before:
			wrong = append(wrong, fmt.Sprintf("told %v, when %v was known", o, before))
		case o.old == o.now:
			wrong = append(wrong, fmt.Sprintf("told of nothing %v", o))
		case o.now.token == 0 || o.now.lost:
		case o.now.token < newest[o.path], o.now.token == newest[o.path] && o.old.token != o.now.token:
			wrong = append(wrong, fmt.Sprintf("told %v, when token %#x was known", o, newest[o.path]))
		case o.now.token == o.old.token && older(o.now.text, o.old.text):
			wrong = append(wrong, fmt.Sprintf("told of an older text %v", o))
		}
		newest[o.path] = max(newest[o.path], o.now.token)
		if known[o.path] = o.now; o.now.token == 0 {
			delete(known, o.path)
		}
	}
	return wrong
}

// older tells whether one text of a wish was written before another.
func older(a, b string) bool {
	var wish, other, n, m int
	_, err := fmt.Sscanf(a+" "+b, "%d %d %d %d", &wish, &n, &other, &m)
	return err == nil && wish == other && n < m
}

// A claim is what a user was told to be his own, and found to stand.
type claim struct {
	user, life int
	path       string
	session    int64
}

// claim notes what somebody has just been told is his node, if it still stands. It must be of a session of his present life.
func (r *roll) claim(ctx context.Context, u *User, path string, token int64) {
	if u.CatchUp(ctx, u.Witness) != nil {
		return
	}
	stat, there, err := u.Witness.Exists(ctx, path)
	if err != nil || !there || stat.Czxid != token {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.claims = append(r.claims, claim{u.Number, u.life.number, path, stat.EphemeralOwner})
}

// mustBeGone requires that what was given up does not stand any more.
func (r *roll) mustBeGone(ctx context.Context, u *User, path string, w *wish) {
	if u.CatchUp(ctx, u.Witness) != nil {
		return
	}
	data, _, err := u.Witness.Get(ctx, path)
	if err != nil {
		return
	}
	if stands, _, ok := r.read(r.textOf(data)); ok && stands.number == w.number {
		u.Wrong("user %d's %s is there with %q, and was given up", u.Number, path, r.textOf(data))
	}
}
