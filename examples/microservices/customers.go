package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"
)

// customers order without a pause, and know no more than the gateway's address.
type customers struct {
	number int
	web    *http.Client
	leave  func()        // ends when all have
	made   chan struct{} // an order, for who waits for some

	mu           sync.Mutex
	done, failed int
	why          error // one has failed
}

func order(ctx context.Context, gateway string) *customers {
	const number = 4
	c := &customers{number: number, made: make(chan struct{})}
	c.web = &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: number}, Timeout: 5 * time.Second}
	life, cancel := context.WithCancel(ctx)
	var all sync.WaitGroup
	for range number {
		all.Go(func() { // ends with life
			for life.Err() == nil {
				c.note(c.order(ctx, gateway))
				time.Sleep(2 * time.Millisecond) // to leave something of the machine for others
			}
		})
	}
	c.leave = func() {
		cancel()
		all.Wait()
		c.web.CloseIdleConnections()
	}
	return c
}

// order makes one order. To repeat it by itself would not do: nobody wants two of it.
func (c *customers) order(ctx context.Context, gateway string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+gateway+"/", strings.NewReader("apples"))
	if err != nil {
		return err
	}
	resp, err := c.web.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", resp.Status, text)
	}
	return err
}

func (c *customers) note(err error) {
	select {
	case c.made <- struct{}{}:
	default:
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.done++
	if err != nil {
		c.failed++
		c.why = err
	}
}

// more waits until so many further orders have been made, and may be some more.
func (c *customers) more(ctx context.Context, n int) error {
	for range n {
		select {
		case <-c.made:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return nil
}

// count tells of the orders since the last time.
func (c *customers) count() (done, failed int, why error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	done, failed, why = c.done, c.failed, c.why
	c.done, c.failed, c.why = 0, 0, nil
	return done, failed, why
}
