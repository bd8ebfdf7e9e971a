// Command etcd does with etcd's client what the recipes are measured by: package concurrency's Mutex, STM and Election, and the
// double barrier and the queue of package recipe. It is no part of Bellwether's module, which knows nothing of etcd.
//
//	etcd ENDPOINT,...
//
// It prints "ready" when it has its sessions, and then an answer to each line. A line says what to do again and again for how long, by how
// many sessions, each a client with a connection of its own, and for some how many things there are for all of them:
//
//	mutex SESSIONS LOCKS MILLIS     lock and unlock
//	counter SESSIONS 1 MILLIS       increment
//	barrier SESSIONS 1 MILLIS       all enter and leave
//	pop 1 1 MILLIS                  put an item and take it away
//	election SESSIONS 1 MILLIS      the leader resigns and another leads; all stand for it from the first such line on
//
// The answer is how often it was done, how many nanoseconds that took, and how many requests. The end of the input ends the program.
package main

import (
	"bufio"
	"cmp"
	"context"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/client/v3/concurrency"
	recipe "go.etcd.io/etcd/client/v3/experimental/recipes"
	"google.golang.org/grpc"
)

const (
	sessions   = 16
	sessionTTL = 10                    // seconds
	again      = 50 * time.Millisecond // a server is asked
)

func main() {
	d, err := newDriver(strings.Split(os.Args[1], ","))
	if err != nil {
		fail(err)
	}
	fmt.Println("ready")
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		answer, err := d.answer(lines.Text())
		if err != nil {
			fail(err)
		}
		fmt.Println(answer)
	}
}

// fail answers with an error, and ends the program.
func fail(err error) {
	fmt.Println(err)
	os.Exit(1)
}

type driver struct {
	requests atomic.Int64
	sessions []*concurrency.Session
	leads    chan chan<- struct{} // from who leads, by which to tell it to resign; nil: nobody stands yet
	resign   chan<- struct{}      // of the present leader
}

// newDriver opens the sessions, one after the other at each server, at the leader last.
func newDriver(endpoints []string) (*driver, error) {
	d := &driver{}
	leads := make(map[string]bool)
	for _, e := range endpoints {
		var err error
		if leads[e], err = d.leadsAt(e); err != nil {
			return nil, err
		}
	}
	slices.SortStableFunc(endpoints, func(a, b string) int {
		return cmp.Compare(strconv.FormatBool(leads[a]), strconv.FormatBool(leads[b]))
	})
	for i := range sessions {
		c, err := d.dial(endpoints[i%len(endpoints)])
		if err != nil {
			return nil, err
		}
		s, err := concurrency.NewSession(c, concurrency.WithTTL(sessionTTL))
		if err != nil {
			return nil, err
		}
		d.sessions = append(d.sessions, s)
	}
	return d, nil
}

// leadsAt waits until a server knows who leads, and tells whether it does itself.
func (d *driver) leadsAt(endpoint string) (bool, error) {
	c, err := d.dial(endpoint)
	if err != nil {
		return false, err
	}
	defer c.Close()
	for patience := 30 * time.Second; ; patience -= again {
		status, err := c.Status(context.Background(), endpoint)
		switch {
		case err == nil && status.Leader != 0:
			return status.Leader == status.Header.MemberId, nil
		case patience <= 0:
			return false, fmt.Errorf("%s knows of no leader: %w", endpoint, err)
		}
		time.Sleep(again)
	}
}

// dial makes a client that counts what it asks: calls, and messages of the streams by which it watches.
func (d *driver) dial(endpoint string) (*clientv3.Client, error) {
	unary := func(ctx context.Context, method string, req, reply any, c *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
		d.requests.Add(1)
		return invoke(ctx, method, req, reply, c, opts...)
	}
	stream := func(
		ctx context.Context, desc *grpc.StreamDesc, c *grpc.ClientConn, method string, open grpc.Streamer, opts ...grpc.CallOption,
	) (grpc.ClientStream, error) {
		s, err := open(ctx, desc, c, method, opts...)
		return countedStream{s, &d.requests}, err
	}
	return clientv3.New(clientv3.Config{
		Endpoints:   []string{endpoint},
		DialTimeout: 10 * time.Second,
		DialOptions: []grpc.DialOption{grpc.WithChainUnaryInterceptor(unary), grpc.WithChainStreamInterceptor(stream)},
	})
}

type countedStream struct {
	grpc.ClientStream
	requests *atomic.Int64
}

func (s countedStream) SendMsg(m any) error {
	s.requests.Add(1)
	return s.ClientStream.SendMsg(m)
}

func (d *driver) answer(line string) (string, error) {
	var what string
	var by, of int
	var millis int64
	if _, err := fmt.Sscan(line, &what, &by, &of, &millis); err != nil {
		return "", fmt.Errorf("%q: %w", line, err)
	}
	all := d.sessions[:by]
	end := time.Duration(millis) * time.Millisecond
	before := d.requests.Load()
	begun := time.Now()
	var done int64
	var err error
	switch what {
	case "mutex":
		done, err = repeat(all, end, false, func(i int, s *concurrency.Session) func(context.Context) error {
			m := concurrency.NewMutex(s, fmt.Sprintf("/mutex/%d/%d", of, i%of))
			return func(ctx context.Context) error {
				if err := m.Lock(ctx); err != nil {
					return err
				}
				return m.Unlock(ctx)
			}
		})
	case "counter":
		done, err = repeat(all, end, false, increment)
	case "barrier":
		done, err = repeat(all, end, true, func(_ int, s *concurrency.Session) func(context.Context) error { return meetings(s, by) })
	case "pop":
		done, err = repeat(all, end, false, putPop)
	case "election":
		if d.leads == nil {
			d.stand(all)
			before, begun = d.requests.Load(), time.Now()
		}
		done = d.handOver(begun.Add(end))
	default:
		err = fmt.Errorf("%q is not known", what)
	}
	return fmt.Sprint(done, time.Since(begun).Nanoseconds(), d.requests.Load()-before), err
}

// repeat lets each session do the same again and again for a time, and returns how often it was done in all; if together, all equally often,
// which counts once.
func repeat(
	all []*concurrency.Session, d time.Duration, together bool, prepare func(i int, s *concurrency.Session) func(context.Context) error,
) (int64, error) {
	var mu sync.Mutex
	var most int64 // begun by one of them; guarded by mu
	begun := time.Now()
	another := func(done int64) bool {
		mu.Lock()
		defer mu.Unlock()
		if done > 0 && time.Since(begun) >= d && (!together || done == most) {
			return false
		}
		most = max(most, done+1)
		return true
	}
	var sum atomic.Int64
	errs := make([]error, len(all))
	var working sync.WaitGroup
	for i, s := range all {
		do := prepare(i, s)
		working.Go(func() {
			for done := int64(0); another(done); done++ {
				if errs[i] = do(context.Background()); errs[i] != nil {
					return
				}
				sum.Add(1)
			}
		})
	}
	working.Wait()
	if together {
		return sum.Load() / int64(len(all)), cmp.Or(errs...)
	}
	return sum.Load(), cmp.Or(errs...)
}

func increment(_ int, s *concurrency.Session) func(context.Context) error {
	return func(context.Context) error {
		_, err := concurrency.NewSTM(s.Client(), func(stm concurrency.STM) error {
			n := 0
			if v := stm.Get("/counter"); v != "" {
				var err error
				if n, err = strconv.Atoi(v); err != nil {
					return err
				}
			}
			stm.Put("/counter", strconv.Itoa(n+1))
			return nil
		})
		return err
	}
}

// meetings enters a double barrier and leaves it. Two take turns: at one key, who is slow to leave takes those who enter again for some who
// have not left, and all wait for ever.
func meetings(s *concurrency.Session, of int) func(context.Context) error {
	two := []*recipe.DoubleBarrier{recipe.NewDoubleBarrier(s, "/barrier-0", of), recipe.NewDoubleBarrier(s, "/barrier-1", of)}
	round := 0
	return func(context.Context) error {
		b := two[round%2]
		round++
		if err := b.Enter(); err != nil {
			return err
		}
		return b.Leave()
	}
}

func putPop(_ int, s *concurrency.Session) func(context.Context) error {
	q := recipe.NewQueue(s.Client(), "/queue")
	item := strings.Repeat("x", 100)
	return func(context.Context) error {
		if err := q.Enqueue(item); err != nil {
			return err
		}
		_, err := q.Dequeue()
		return err
	}
}

// stand lets each session stand for election until the process ends, and returns when one of them leads.
func (d *driver) stand(all []*concurrency.Session) {
	d.leads = make(chan chan<- struct{})
	for i, s := range all {
		e := concurrency.NewElection(s, "/election")
		go func() { // ends with the process
			for {
				resign := make(chan struct{})
				err := e.Campaign(context.Background(), strconv.Itoa(i))
				if err == nil {
					d.leads <- resign
					<-resign
					err = e.Resign(context.Background())
				}
				if err != nil {
					fail(err)
				}
			}
		}()
	}
	d.resign = <-d.leads
}

// handOver lets one leader after the other resign, and returns how many did.
func (d *driver) handOver(end time.Time) (done int64) {
	for done == 0 || time.Now().Before(end) {
		close(d.resign)
		d.resign = <-d.leads
		done++
	}
	return done
}
