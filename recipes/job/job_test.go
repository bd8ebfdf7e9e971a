package job_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/bellwether-zk/bellwether/client"
	"github.com/bellwether-zk/bellwether/ensemble/ensembletest"
	"github.com/bellwether-zk/bellwether/ensemble/ensembletest/proxy"
	"github.com/bellwether-zk/bellwether/recipes/job"
	"github.com/bellwether-zk/bellwether/recipes/ticket"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const path = "/jobs/one"

var errStopped = errors.New("stopped")

// A process runs the job until it is stopped.
type process struct {
	t      *testing.T
	client *client.Client
	job    *job.Job
	stop   context.CancelCauseFunc
	ended  chan error
}

func start(t *testing.T, e *ensembletest.Ensemble, opts *job.Options, s job.Schedule, f func(context.Context, *job.Execution) error) *process {
	c := e.Connect(t)
	p := &process{t: t, client: c, job: job.New(c, path, s, opts), ended: make(chan error, 1)}
	ctx, stop := context.WithCancelCause(t.Context())
	p.stop = stop
	go func() { p.ended <- p.job.Run(ctx, f) }() // ends with the test, at the latest
	synctest.Wait()
	return p
}

func (p *process) mustStop() {
	p.t.Helper()
	p.stop(errStopped)
	require.ErrorIs(p.t, <-p.ended, errStopped)
}

func mustInspect(t *testing.T, j *job.Job) job.State {
	t.Helper()
	status, err := j.Inspect(t.Context())
	require.NoError(t, err)
	return status
}

// A log of what was run.
type runs struct {
	mu   sync.Mutex
	list []run
}

type run struct {
	by        string
	scheduled time.Time
	at        time.Time
	*job.Execution
}

func (l *runs) by(name string, do func(ctx context.Context, x *job.Execution) error) func(context.Context, *job.Execution) error {
	return func(ctx context.Context, x *job.Execution) error {
		l.mu.Lock()
		l.list = append(l.list, run{name, x.Scheduled(), time.Now(), x})
		l.mu.Unlock()
		return do(ctx, x)
	}
}

func (l *runs) all() []run {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]run(nil), l.list...)
}

func quick(context.Context, *job.Execution) error { return nil }

// hold lasts until its context ends.
func hold(ctx context.Context, _ *job.Execution) error {
	<-ctx.Done()
	return context.Cause(ctx)
}

// Each time is run once, on time, by one of three; when that one leaves another goes on, and none is left out.
func TestEachTimeOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := ensembletest.Start(t, 3, nil)
		var ran runs
		var all []*process
		for _, name := range []string{"anna", "ben", "carl"} {
			all = append(all, start(t, e, &job.Options{ID: name}, job.Every(time.Minute), ran.by(name, quick)))
		}
		time.Sleep(10*time.Minute + time.Second)
		all[0].mustStop()
		time.Sleep(10 * time.Minute)
		all[1].client.Close()
		require.ErrorIs(t, <-all[1].ended, client.ErrClosed)
		time.Sleep(10 * time.Minute)
		status := mustInspect(t, all[2].job)
		require.Len(t, status.Candidates, 1)
		require.Equal(t, "carl", status.Candidates[0].ID)
		all[2].mustStop()

		list := ran.all()
		require.Len(t, list, 30)
		for i, one := range list {
			require.Equal(t, []string{"anna", "ben", "carl"}[i/10], one.by)
			require.Less(t, one.at.Sub(one.scheduled), 10*time.Millisecond)
			require.GreaterOrEqual(t, one.at.Sub(one.scheduled), time.Duration(0))
			require.Zero(t, one.Missed())
			require.Equal(t, 1, one.Attempt())
			if i > 0 {
				require.Equal(t, list[i-1].scheduled.Add(time.Minute), one.scheduled)
				require.Greater(t, one.Token(), list[i-1].Token())
			}
		}
		last := status.Last
		require.Equal(t, job.Record{
			Scheduled: list[29].scheduled, Attempt: 1, By: "carl", Token: list[29].Token(), Outcome: job.Done,
			Started: last.Started, Ended: last.Ended,
		}, last)
		require.WithinDuration(t, list[29].at, last.Started, 10*time.Millisecond)
		require.WithinDuration(t, list[29].at, last.Ended, 10*time.Millisecond)
		require.Equal(t, last.Scheduled.Add(time.Minute), status.Next)

		witness := e.Connect(t)
		names, _, err := witness.Children(t.Context(), path)
		require.NoError(t, err)
		require.ElementsMatch(t, []string{"last", "leader"}, names)
		names, _, err = witness.Children(t.Context(), path+"/leader")
		require.NoError(t, err)
		require.Empty(t, names)
	})
}

// What comes of runs is recorded.
func TestOutcomes(t *testing.T) {
	boom := errors.New("boom " + strings.Repeat("x", 5000))
	for name, c := range map[string]struct {
		f    func(context.Context, *job.Execution) error
		end  func(t *testing.T, e *ensembletest.Ensemble, p *process)
		want job.Outcome
		err  string
	}{
		"done":            {f: quick, want: job.Done},
		"failed":          {f: func(context.Context, *job.Execution) error { return boom }, want: job.Failed, err: boom.Error()[:1024]},
		"overran":         {f: hold, want: job.Overran},
		"stopped":         {f: hold, end: func(_ *testing.T, _ *ensembletest.Ensemble, p *process) { p.mustStop() }, want: job.Stopped, err: "stopped"},
		"still running":   {f: hold, end: func(*testing.T, *ensembletest.Ensemble, *process) {}, want: job.Running},
		"done in the end": {f: func(ctx context.Context, _ *job.Execution) error { <-ctx.Done(); return nil }, end: func(_ *testing.T, _ *ensembletest.Ensemble, p *process) { p.mustStop() }, want: job.Done},
		"done behind the session": {f: func(ctx context.Context, _ *job.Execution) error { <-ctx.Done(); return nil },
			end: func(t *testing.T, e *ensembletest.Ensemble, p *process) {
				require.NoError(t, e.Expire(t.Context(), p.client))
				synctest.Wait()
			}, want: job.Done},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				e := ensembletest.Start(t, 1, nil)
				opts := &job.Options{ID: "anna", AtMost: 10 * time.Second}
				p := start(t, e, opts, job.Every(time.Minute), c.f)
				time.Sleep(time.Minute + time.Second)
				if c.end == nil {
					time.Sleep(10 * time.Second)
				} else {
					c.end(t, e, p)
				}
				status, err := job.New(e.Connect(t), path, job.Every(time.Minute), nil).Inspect(t.Context())
				require.NoError(t, err)
				require.Equal(t, c.want, status.Last.Outcome)
				require.Equal(t, c.err, status.Last.Error)
				require.Equal(t, "anna", status.Last.By)
				require.NotZero(t, status.Last.Token)
				require.NotZero(t, status.Last.Started)
				require.Equal(t, c.want == job.Running, status.Last.Ended.IsZero())
				p.stop(errStopped) // if it is not
			})
		})
	}
}

// When a process dies in the middle of a run nobody knows what came of it; that is said, and it is run again only on request.
func TestProcessDies(t *testing.T) {
	for attempts, want := range map[int]int{0: 0, 1: 0, 2: 1} {
		synctest.Test(t, func(t *testing.T) {
			e := ensembletest.Start(t, 3, nil)
			var ran runs
			var log bytes.Buffer
			var logging sync.Mutex
			release := make(chan struct{})
			opts := func(id string) *job.Options {
				return &job.Options{ID: id, Attempts: attempts, Logger: slog.New(slog.NewTextHandler(&guarded{&log, &logging}, nil))}
			}
			anna := start(t, e, opts("anna"), job.Every(time.Minute), ran.by("anna", func(ctx context.Context, x *job.Execution) error {
				<-release // it is dead as far as others can tell
				return nil
			}))
			ben := start(t, e, opts("ben"), job.Every(time.Minute), ran.by("ben", quick))
			time.Sleep(50 * time.Second)
			time.Sleep(10*time.Second + time.Millisecond)
			e.CutClient(anna.client)
			time.Sleep(45 * time.Second)
			status := mustInspect(t, ben.job)
			first := ran.all()[0]
			require.Equal(t, "anna", first.by)
			require.Error(t, first.Context().Err())
			if want == 0 {
				require.Len(t, ran.all(), 1)
				require.Equal(t, job.Unknown, status.Last.Outcome)
				require.Equal(t, "anna", status.Last.By)
				require.Equal(t, first.Token(), status.Last.Token)
				require.Equal(t, first.Started(), status.Last.Started)
				require.NotZero(t, status.Last.Ended)
			} else {
				require.Len(t, ran.all(), 2)
				require.Equal(t, job.Done, status.Last.Outcome)
				require.Equal(t, 2, status.Last.Attempt)
				require.Equal(t, first.scheduled, ran.all()[1].scheduled)
				require.Greater(t, ran.all()[1].Token(), first.Token())
			}
			logging.Lock()
			require.Contains(t, log.String(), "nobody knows")
			logging.Unlock()
			e.Heal()
			close(release)
			time.Sleep(time.Minute)
			list := ran.all()
			require.Equal(t, first.scheduled.Add(time.Minute), list[len(list)-1].scheduled, "the next time is the next")
			anna.mustStop()
			ben.mustStop()
		})
	}
}

// What a run came to that was taken for unknown, or is followed by another one, is told by whoever comes late only if it is still the last.
func TestLateEnd(t *testing.T) {
	for attempts, want := range map[int]job.Outcome{1: job.Done, 2: job.Running} {
		synctest.Test(t, func(t *testing.T) {
			e := ensembletest.Start(t, 3, nil)
			var ran runs
			release := make(chan struct{})
			opts := &job.Options{Attempts: attempts}
			anna := start(t, e, opts, job.Every(time.Minute), ran.by("anna", func(context.Context, *job.Execution) error {
				<-release
				return nil
			}))
			ben := start(t, e, opts, job.Every(time.Minute), ran.by("ben", hold))
			time.Sleep(time.Minute + time.Second)
			require.NoError(t, e.Expire(t.Context(), anna.client))
			time.Sleep(3 * time.Second)
			require.Len(t, ran.all(), attempts)
			close(release)
			time.Sleep(time.Second)
			last := mustInspect(t, ben.job).Last
			require.Equal(t, want, last.Outcome)
			require.Equal(t, attempts, last.Attempt)
			time.Sleep(time.Minute)
			require.Len(t, ran.all(), 2)
			ben.mustStop()
			anna.mustStop()
		})
	}
}

// guarded is a writer for several goroutines.
type guarded struct {
	to *bytes.Buffer
	mu *sync.Mutex
}

func (g *guarded) Write(b []byte) (int, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.to.Write(b)
}

// Times that come while nobody is there are late.
func TestLate(t *testing.T) {
	for name, c := range map[string]struct {
		opts job.Options
		want []int // minutes
	}{
		"the last":       {job.Options{}, []int{1, 10, 11}},
		"each":           {job.Options{EachMissed: true}, []int{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11}},
		"not too late":   {job.Options{MaxLate: 10 * time.Second}, []int{1, 11}},
		"each that can":  {job.Options{MaxLate: 2*time.Minute + 50*time.Second, EachMissed: true}, []int{1, 8, 9, 10, 11}},
		"not so quickly": {job.Options{EachMissed: true, AtLeast: 20 * time.Second}, []int{1, 2, 3}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				e := ensembletest.Start(t, 1, nil)
				begun := time.Now().Truncate(time.Minute)
				var ran runs
				p := start(t, e, &c.opts, job.Every(time.Minute), ran.by("", quick))
				time.Sleep(70 * time.Second)
				p.mustStop()
				time.Sleep(9*time.Minute + 30*time.Second) // 10:40
				p = start(t, e, &c.opts, job.Every(time.Minute), ran.by("", quick))
				time.Sleep(30 * time.Second)
				p.mustStop()
				var minutes []int
				for _, one := range ran.all() {
					minutes = append(minutes, int(one.scheduled.Sub(begun)/time.Minute))
				}
				require.Equal(t, c.want, minutes)
			})
		})
	}
}

// A run that lasts too long does not keep the others from going on, and nothing else is run beside it in its process.
func TestAtMost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := ensembletest.Start(t, 3, nil)
		var ran runs
		release := make(chan struct{})
		opts := &job.Options{AtMost: 10 * time.Second}
		anna := start(t, e, opts, job.Every(time.Minute), ran.by("anna", func(ctx context.Context, _ *job.Execution) error {
			<-release // it does not care
			return nil
		}))
		ben := start(t, e, opts, job.Every(time.Minute), ran.by("ben", quick))
		time.Sleep(time.Minute + 5*time.Second)
		first := ran.all()[0]
		require.NoError(t, first.Context().Err())
		guard := func() error {
			_, err := anna.client.Multi(t.Context(), first.Guard(), client.CreateOp(path+"/x", nil, nil), client.DeleteOp(path+"/x", client.AnyVersion))
			return err
		}
		require.NoError(t, guard())
		end, ok := first.Context().Deadline()
		require.True(t, ok)
		require.WithinDuration(t, first.at.Add(10*time.Second), end, time.Second)
		time.Sleep(6 * time.Second)
		require.ErrorIs(t, context.Cause(first.Context()), job.ErrOverran)
		require.ErrorIs(t, guard(), client.ErrBadVersion)
		require.Equal(t, job.Overran, mustInspect(t, ben.job).Last.Outcome)
		time.Sleep(10 * time.Minute)
		list := ran.all()
		require.Len(t, list, 11)
		for _, one := range list[1:] {
			require.Equal(t, "ben", one.by)
		}
		close(release)
		ben.mustStop()
		time.Sleep(time.Minute)
		list = ran.all()
		require.Equal(t, "anna", list[len(list)-1].by, "it stands for the lead again")
		anna.mustStop()
	})
}

// The context's Err asks the clocks, and its cause is what came first.
func TestContextOfARun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := ensembletest.Start(t, 1, nil)
		type key struct{}
		c := e.Connect(t)
		ctx, cancel := context.WithTimeout(context.WithValue(t.Context(), key{}, "value"), 65*time.Second)
		defer cancel()
		var cause error
		err := job.New(c, path, job.Every(time.Minute), &job.Options{AtMost: 10 * time.Second}).Run(ctx,
			func(ctx context.Context, x *job.Execution) error {
				require.Equal(t, "value", ctx.Value(key{}))
				require.True(t, ctx == x.Context())
				require.WithinDuration(t, x.Scheduled(), x.Started(), 10*time.Millisecond)
				<-ctx.Done()
				require.Error(t, ctx.Err())
				cause = context.Cause(ctx)
				return ctx.Err()
			})
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.ErrorIs(t, cause, context.DeadlineExceeded)
		require.NotErrorIs(t, cause, job.ErrOverran)
		require.Equal(t, job.Stopped, mustInspect(t, job.New(e.Connect(t), path, job.Every(time.Minute), nil)).Last.Outcome)
	})
}

// Every answer to what a run writes may be lost, and every request, and the run takes place once.
func TestLostAnswers(t *testing.T) {
	for name, lose := range map[string]func(p *proxy.Proxy, skip int) *proxy.Fault{
		"request of the beginning": func(p *proxy.Proxy, n int) *proxy.Fault { return p.Lose(proxy.Request(proxy.OpMulti, "").Skip(n)) },
		"answer to the beginning":  func(p *proxy.Proxy, n int) *proxy.Fault { return p.Lose(proxy.Reply(proxy.OpMulti, "").Skip(n)) },
		"answer, again and again": func(p *proxy.Proxy, n int) *proxy.Fault {
			return p.Lose(proxy.Reply(proxy.OpMulti, "").Skip(n).Times(3))
		},
		"request, again and again": func(p *proxy.Proxy, n int) *proxy.Fault {
			return p.Lose(proxy.Request(proxy.OpMulti, "").Skip(n).Times(3))
		},
		"answer to the end":  func(p *proxy.Proxy, _ int) *proxy.Fault { return p.Lose(proxy.Reply(proxy.OpSetData, path+"/last")) },
		"request of the end": func(p *proxy.Proxy, _ int) *proxy.Fault { return p.Lose(proxy.Request(proxy.OpSetData, path+"/last")) },
		"a read behind it": func(p *proxy.Proxy, n int) *proxy.Fault {
			p.Lose(proxy.Reply(proxy.OpGetData, path+"/last"))
			return p.Lose(proxy.Reply(proxy.OpMulti, "").Skip(n))
		},
		"the creation of the record": func(p *proxy.Proxy, _ int) *proxy.Fault { return p.Lose(proxy.Reply(proxy.OpCreate, path+"/last")) },
	} {
		for skip := range 3 {
			t.Run(name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					e := ensembletest.Start(t, 3, nil)
					c := e.Connect(t)
					var ran runs
					fault := lose(e.Proxy(c), skip)
					ctx, stop := context.WithCancelCause(t.Context())
					ended := make(chan error)
					begun := time.Now().Truncate(time.Minute)
					j := job.New(c, path, job.Every(time.Minute), nil)
					go func() { ended <- j.Run(ctx, ran.by("", quick)) }() // ends when it is stopped
					time.Sleep(3*time.Minute + 30*time.Second)
					status := mustInspect(t, j)
					stop(errStopped)
					require.ErrorIs(t, <-ended, errStopped)
					require.Positive(t, fault.Strikes())
					list := ran.all()
					require.Len(t, list, 3)
					for i, one := range list {
						require.Equal(t, begun.Add(time.Duration(i+1)*time.Minute).UTC(), one.scheduled)
					}
					require.Equal(t, job.Done, status.Last.Outcome)
				})
			})
		}
	}
}

// A run that could not begin, because the lead was lost while its beginning was in doubt, is another's.
func TestBeginningInDoubt(t *testing.T) {
	for _, match := range []proxy.Match{proxy.Request(proxy.OpMulti, ""), proxy.Reply(proxy.OpMulti, "")} {
		for _, how := range []string{"stopped", "expired", "cut off"} {
			t.Run(how, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					e := ensembletest.Start(t, 3, nil)
					var ran runs
					anna := start(t, e, nil, job.Every(time.Minute), ran.by("anna", quick))
					ben := start(t, e, nil, job.Every(time.Minute), ran.by("ben", quick))
					time.Sleep(30 * time.Second)
					p := e.Proxy(anna.client)
					frozen := p.Freeze(match.Always())
					<-frozen.Struck() // the beginning of the first run
					switch how {
					case "stopped":
						time.AfterFunc(time.Second, frozen.End)
						anna.mustStop()
					case "expired":
						require.NoError(t, e.Expire(t.Context(), anna.client))
						time.AfterFunc(time.Second, frozen.End)
					case "cut off":
						e.CutClient(anna.client)
						time.Sleep(30 * time.Second)
						frozen.End()
						e.Heal()
					}
					time.Sleep(20 * time.Second)
					first := mustInspect(t, ben.job).Last
					list := ran.all()
					switch {
					case len(list) == 0:
						// Cut off for so long it cannot take back what it began; and says nothing that is not so.
						require.Equal(t, "cut off", how)
						require.Equal(t, job.Unknown, first.Outcome)
					default:
						require.Len(t, list, 1)
						require.Equal(t, job.Done, first.Outcome)
					}
					time.Sleep(time.Minute)
					require.Len(t, ran.all(), len(list)+1)
					if how != "stopped" {
						anna.mustStop()
					}
					ben.mustStop()
				})
			})
		}
	}
}

// What cannot work ends Run, and leaves nothing.
func TestRunFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		e := ensembletest.Start(t, 1, nil)
		c := e.Connect(t)
		none := func(context.Context, *job.Execution) error { t.Error("called"); return nil }
		require.ErrorIs(t, job.New(c, path, nil, nil).Run(ctx, none), client.ErrBadArguments)
		require.ErrorIs(t, job.New(c, path, job.Every(0), nil).Run(ctx, none), client.ErrBadArguments)
		require.NoError(t, job.New(c, path, never{}, nil).Run(ctx, none), "there is nothing to do")
		require.ErrorIs(t, job.New(c, "jobs", job.Every(1), nil).Run(ctx, none), client.ErrInvalidPath)

		for _, foreign := range []string{"", "{}", `{"version":2}`, "text"} {
			_, err := c.Set(ctx, path+"/last", []byte(foreign), client.AnyVersion)
			require.NoError(t, err)
			require.ErrorIs(t, job.New(c, path, job.Every(time.Second), nil).Run(ctx, none), job.ErrRecord)
			_, err = job.New(c, path, job.Every(time.Second), nil).Inspect(ctx)
			require.ErrorIs(t, err, job.ErrRecord)
			data, _, err := c.Get(ctx, path+"/last")
			require.NoError(t, err)
			require.Equal(t, foreign, string(data), "it is left as it is")
		}
		require.NoError(t, c.Delete(ctx, path+"/last", client.AnyVersion))
		_, err := c.Create(ctx, path+"/last", []byte(`{"version":1}`), &client.CreateOptions{ACL: client.WorldACL(client.PermRead)})
		require.NoError(t, err)
		require.ErrorIs(t, job.New(c, path, job.Every(time.Second), nil).Run(ctx, none), client.ErrNoAuth)
		names, _, err := c.Children(ctx, path+"/leader")
		require.NoError(t, err)
		require.Empty(t, names)
		status, err := job.New(c, "/none", job.Every(time.Second), nil).Inspect(ctx)
		require.NoError(t, err)
		require.Zero(t, status)

		// A view is bound to its session.
		ended := make(chan error)
		view := c.In(c.Session())
		go func() { ended <- job.New(view, "/jobs/two", job.Every(time.Hour), nil).Run(ctx, none) }() // ends with the session
		synctest.Wait()
		require.NoError(t, e.Expire(ctx, c))
		require.ErrorIs(t, <-ended, client.ErrSessionExpired)
	})
}

type never struct{}

func (never) Next(time.Time) time.Time { return time.Time{} }

// A function that panics gives the lead up on its way.
func TestPanic(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := ensembletest.Start(t, 1, nil)
		var ran runs
		func() {
			defer func() { require.Equal(t, "oh", recover()) }()
			c := e.Connect(t)
			_ = job.New(c, path, job.Every(time.Minute), nil).Run(t.Context(), func(context.Context, *job.Execution) error { panic("oh") })
		}()
		ben := start(t, e, nil, job.Every(time.Minute), ran.by("ben", quick))
		require.Equal(t, job.Unknown, mustInspect(t, ben.job).Last.Outcome)
		time.Sleep(time.Minute + time.Second)
		require.Len(t, ran.all(), 1)
		ben.mustStop()
	})
}

// The record may be deleted, and the directory be swept, at any moment.
func TestTheRecordVanishes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := ensembletest.Start(t, 3, nil)
		var ran runs
		admin := e.Connect(t)
		forget := func() { require.NoError(t, admin.Delete(t.Context(), path+"/last", client.AnyVersion)) }
		anna := start(t, e, nil, job.Every(time.Minute), ran.by("", func(_ context.Context, x *job.Execution) error {
			if x.Scheduled().Minute() == 2 {
				forget()
			}
			return nil
		}))
		time.Sleep(90 * time.Second)
		forget()
		time.Sleep(3 * time.Minute)
		anna.mustStop()
		require.Len(t, ran.all(), 3, "the one before the record was made anew is forgotten")
	})
}

// Who has lost the lead and has not been told does not run the job beside the one who leads, and stands for the lead again.
func TestLeadIsLostUnheard(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := ensembletest.Start(t, 1, nil)
		var ran runs
		anna := start(t, e, nil, job.Every(time.Minute), ran.by("anna", quick))
		ben := start(t, e, nil, job.Every(time.Minute), ran.by("ben", quick))
		time.Sleep(70 * time.Second)
		e.Proxy(anna.client).Swallow(proxy.Event("").Always())
		require.NoError(t, ben.client.Delete(t.Context(), mustInspect(t, ben.job).Candidates[0].Path, client.AnyVersion))
		time.Sleep(time.Minute)
		status := mustInspect(t, ben.job)
		require.Len(t, status.Candidates, 2)
		ben.mustStop()
		e.Proxy(anna.client).Heal()
		e.Drop(anna.client) // what it was not told it finds out
		time.Sleep(time.Minute)
		list := ran.all()
		require.Len(t, list, 3)
		for i, by := range []string{"anna", "ben", "anna"} {
			require.Equal(t, by, list[i].by)
		}
		anna.mustStop()
	})
}

// Hours may pass between two runs: then the servers' clock is looked at before one begins.
func TestRareRuns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := ensembletest.Start(t, 1, &ensembletest.Options{Client: client.Options{SessionTimeout: 40 * time.Second}})
		var ran runs
		p := start(t, e, &job.Options{Jitter: 30 * time.Minute}, job.Every(time.Hour), ran.by("", quick))
		written := func() int64 {
			stat, _, err := p.client.Exists(t.Context(), path+"/last")
			require.NoError(t, err)
			return int64(stat.Version)
		}
		before := written()
		time.Sleep(5*time.Hour + 31*time.Minute)
		list := ran.all()
		require.Len(t, list, 5)
		shifts := map[time.Duration]bool{}
		for _, one := range list {
			late := one.at.Sub(one.scheduled)
			require.GreaterOrEqual(t, late, time.Duration(0))
			require.Less(t, late, 30*time.Minute+time.Second)
			require.Zero(t, one.scheduled.Minute())
			shifts[late.Truncate(time.Second)] = true
		}
		require.Greater(t, len(shifts), 2)
		require.LessOrEqual(t, written()-before, int64(5*3), "two writes a run, and one to see the servers' clock")
		p.mustStop()
	})
}

// Who has no name says where it is from.
func TestDefaultID(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := start(t, ensembletest.Start(t, 1, nil), nil, job.Every(time.Minute), quick)
		time.Sleep(2 * time.Minute)
		s := mustInspect(t, p.job)
		require.Equal(t, ticket.Identity(), s.Candidates[0].ID)
		require.Equal(t, ticket.Identity(), s.Last.By)
		p.mustStop()
	})
}
