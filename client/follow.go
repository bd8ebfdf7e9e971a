package client

import (
	"context"
	"sync"
	"time"

	"github.com/go-zookeeper/zk"
)

// askAgain is how long a server that could not be reached is left alone, and a configuration that could not be read, unless something
// happens before.
const askAgain = time.Minute

// followConfig keeps the roster as the ensemble's configuration says, until the client is closed: on each connection, and at each
// change. One goroutine reads, and one sees who can be reached, so that a change is heard while somebody does not answer.
func (c *core) followConfig() {
	news := make(chan struct{}, 1)
	var reading sync.WaitGroup
	defer reading.Wait()
	reading.Go(func() { c.readConfigs(news) }) // ends with the client's life
	for {
		for _, addr := range c.roster.unreached() {
			c.probe(addr)
		}
		var again <-chan time.Time
		if len(c.roster.unreached()) > 0 {
			again = time.After(askAgain)
		}
		select {
		case <-news:
		case <-again:
		case <-c.life.Done():
			return
		}
	}
}

// readConfigs reads the configuration in one session after the other. news holds a token when there was one.
func (c *core) readConfigs(news chan<- struct{}) {
	for {
		g, err := c.client().generation(c.life)
		if err != nil {
			return
		}
		g.followConfig(func(data []byte) {
			config, err := ParseConfig(string(data))
			if err != nil || len(config.Servers) == 0 {
				c.opts.Logger.Debug("zookeeper configuration without servers", "err", err)
				return
			}
			c.roster.configured(config)
			select {
			case news <- struct{}{}:
			default:
			}
		})
	}
}

// probe reaches a candidate once, and hangs up.
func (c *core) probe(addr string) {
	ctx, cancel := context.WithTimeout(c.life, c.opts.ConnectTimeout)
	defer cancel()
	conn, err := c.opts.Dialer(ctx, "tcp", addr)
	if err != nil {
		c.opts.Logger.Debug("zookeeper server of the configuration not reached", "server", addr, "err", err)
		return
	}
	conn.Close()
	c.roster.reached(addr)
	c.opts.Logger.Debug("zookeeper server learned from the configuration", "server", addr)
}

// followConfig reads the configuration whenever it has changed or the connection was made anew, until the session is over. One that the
// servers do not let this client read, or do not have, as before 3.5, is asked for again later; no watch is set then, but the signal
// wakes at a new connection all the same, as long as it is not settled.
func (g *generation) followConfig(found func(data []byte)) {
	key := watchKey{watchData, configPath}
	for g.ctx.Err() == nil {
		woken := g.take(key)
		a, err := call(g.ctx, g, func(conn *zk.Conn) (answer, error) { return readData(conn, key.path) })
		if err == nil {
			g.settle(key, woken, true)
			found(a.data)
			select {
			case <-woken.done:
			case <-g.ctx.Done():
			}
			continue
		}
		g.core.opts.Logger.Debug("zookeeper configuration not read", "err", err)
		select {
		case <-woken.done:
		case <-time.After(askAgain):
		case <-g.ctx.Done():
		}
		g.settle(key, woken, false)
	}
}
