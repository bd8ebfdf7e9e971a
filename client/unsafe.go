package client

import (
	"sync"
	"time"
)

// unsafeCalls counts the calls of the library that must not be under way when its connection is closed. What makes containers and nodes
// with a time to live (conn.CreateContainer and CreateTTL, v1.0.4) returns the path of an answer even when it was given up for the closing,
// and the library may be writing that very answer at the moment. The other calls do not look.
type unsafeCalls struct {
	mu   sync.Mutex
	n    int
	none chan struct{} // closed when n is 0 again
}

func (u *unsafeCalls) enter() {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.n++; u.n == 1 {
		u.none = make(chan struct{})
	}
}

func (u *unsafeCalls) leave() {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.n--; u.n == 0 {
		close(u.none)
	}
}

// wait returns when none is under way, or time is over: who has not been answered by then will hardly be just when the connection closes.
func (u *unsafeCalls) wait(limit time.Duration) {
	u.mu.Lock()
	n, none := u.n, u.none
	u.mu.Unlock()
	if n == 0 {
		return
	}
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-none:
	case <-timer.C:
	}
}
