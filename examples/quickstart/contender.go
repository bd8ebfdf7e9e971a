package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/bellwether-zk/bellwether/client"
	"github.com/bellwether-zk/bellwether/recipes/lock"
	"github.com/bellwether-zk/bellwether/recipes/ticket"
)

// dialer is the way to a server.
type dialer = func(ctx context.Context, network, addr string) (net.Conn, error)

// contender is one of the programs that want the lock.
type contender struct {
	name   string
	client *client.Client
	cable  *cable
	mutex  *lock.Mutex
	hold   *lock.Hold

	waiting  chan ticket.Place // whom it waits for, as soon as it waits
	acquired chan error        // the end of a lockLater
}

func connect(ctx context.Context, name, servers string, dial dialer) (*contender, error) {
	c := &contender{name: name, cable: &cable{through: dial}, waiting: make(chan ticket.Place, 1), acquired: make(chan error, 1)}
	var err error
	c.client, err = client.Connect(ctx, servers, &client.Options{SessionTimeout: sessionTimeout, Dialer: c.cable.dial})
	if err != nil {
		return nil, err
	}
	c.mutex = lock.NewMutex(c.client, lockPath, &lock.Options{
		Data: []byte(name),
		Waiting: func(ahead ticket.Place) {
			select {
			case c.waiting <- ahead:
			default:
			}
		},
	})
	return c, nil
}

// lock waits for the lock.
func (c *contender) lock(ctx context.Context) (err error) {
	c.hold, err = c.mutex.Lock(ctx)
	return err
}

// lockLater begins to wait for the lock; locked returns when it is there.
func (c *contender) lockLater(ctx context.Context) {
	go func() { c.acquired <- c.lock(ctx) }() // ends with the lock or with ctx
}

func (c *contender) locked(ctx context.Context) error {
	select {
	case err := <-c.acquired:
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// waitsFor returns the name of the contender this one began to wait for.
func (c *contender) waitsFor(ctx context.Context) (string, error) {
	select {
	case ahead := <-c.waiting:
		data, _, err := c.client.Get(ctx, lockPath+"/"+ahead.Name)
		return string(data), err
	case err := <-c.acquired:
		return "", errors.Join(fmt.Errorf("%s did not have to wait", c.name), err)
	case <-ctx.Done():
		return "", context.Cause(ctx)
	}
}

// cable is the way to the servers, which can be pulled out.
type cable struct {
	through dialer

	mu     sync.Mutex
	pulled bool
	conns  []net.Conn
}

func (c *cable) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.pulled {
		return nil, errors.New("the cable is pulled out")
	}
	conn, err := c.through(ctx, network, addr)
	if err == nil {
		c.conns = append(c.conns, conn)
	}
	return conn, err
}

func (c *cable) cut() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.pulled = true
	for _, conn := range c.conns {
		conn.Close()
	}
	c.conns = nil
}

func (c *cable) plug() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.pulled = false
}

// story prints what happens, with the time since its start.
type story struct {
	out   io.Writer
	start time.Time
	steps int
}

func (s *story) title(text string) { fmt.Fprintf(s.out, "\n%s\n", text) }

// step opens the next chapter.
func (s *story) step(lines ...string) {
	s.steps++
	fmt.Fprintf(s.out, "\n%d. %s\n", s.steps, strings.Join(lines, "\n   "))
}

// say prints what somebody does.
func (s *story) say(who, format string, args ...any) {
	fmt.Fprintf(s.out, "%7.3f s  %-8s %s\n", time.Since(s.start).Seconds(), who, fmt.Sprintf(format, args...))
}

// note prints what there is to see.
func (s *story) note(format string, args ...any) {
	fmt.Fprintf(s.out, "           %s\n", fmt.Sprintf(format, args...))
}
