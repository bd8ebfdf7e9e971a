package client

import (
	"bytes"
	"context"
	"encoding/binary"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-zookeeper/zk"
)

// Created is a node that was made, and what the servers said about it in the same round trip.
type Created struct {
	// Path is the node's, which differs from the path asked for when the node is sequential or protected.
	Path string
	// Stat is the node's as it was made. It is zero where the answer was lost, and the node was found afterwards.
	Stat Stat
	// Names are the children of the node's directory, in no order, as they were at some moment behind the create: the node's own is among
	// them unless it was removed at once. They are nil if they could not be had: the answer was lost or too large, or the directory may not
	// be read.
	Names []string
}

// CreateAndList is Create, and lists the directory in which the node is made right behind it: both requests go out at once, so that one who
// takes a place in a line knows who is ahead after one round trip instead of two, and what the place's Stat is. Whoever needs what is missing
// in the answer has to ask for it; that happens when the create's answer was lost, and on the connection of a wrapped client always.
//
// It is done in the session the client has when it is called, or has next.
func (c *Client) CreateAndList(ctx context.Context, path string, data []byte, opts *CreateOptions) (Created, error) {
	s, err := c.AwaitSession(ctx)
	if err != nil {
		return Created{}, &Error{Op: "create", Path: path, Err: reason(err)}
	}
	view := c.In(s)
	return view.make(ctx, path, data, opts, true)
}

// runListed is run for a create behind which the list is asked for, by a view of one session.
func runListed(ctx context.Context, view *Client, op operation, full string, send func(*zk.Conn) (string, error)) (Created, error) {
	_, seen := view.observe(ctx, "children", parentOf(op.path))
	made, err := run(ctx, view, op, func(conn *zk.Conn) (made Created, err error) {
		l := view.pin.gen.expect(full)
		made.Path, err = send(conn)
		view.pin.gen.unexpect(full, l)
		if err == nil && l != nil && l.path == made.Path { // else another create of this path was sent first
			made.Stat, made.Names = l.stat, l.names
		}
		return made, err
	})
	seen.end(ctx, 1, err)
	return made, err
}

// Operation codes of the requests that make a node. The answer to all but the plain create has the node's Stat.
const (
	codeCreate          = 1
	codeCreate2         = 15
	codeCreateContainer = 19
	codeCreateTTL       = 21
)

// listing is what a create brings beside its path. It is written by the tap's reader before the library has the answer.
type listing struct {
	path  string // of the node
	stat  Stat
	names []string
}

// expect has the next create of a path bring its Stat and the list of its directory. It is nil if one is expected already.
func (g *generation) expect(path string) *listing {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.foreign || g.listings[path] != nil {
		return nil
	}
	if g.listings == nil {
		g.listings = make(map[string]*listing)
	}
	l := &listing{}
	g.listings[path] = l
	return l
}

// expected is what a create that is being sent is to bring, once. It is nil if nothing was expected of this path.
func (g *generation) expected(path []byte) *listing {
	g.mu.Lock()
	defer g.mu.Unlock()
	l := g.listings[string(path)]
	if l != nil {
		delete(g.listings, string(path))
	}
	return l
}

// unexpect is called when the library has answered, or given up.
func (g *generation) unexpect(path string, l *listing) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if l != nil && g.listings[path] == l {
		delete(g.listings, path)
	}
}

// pairs are the creates on one connection behind which a list was asked for.
type pairs struct {
	open atomic.Int32 // how many; most often none

	mu   sync.Mutex
	last int32 // number of a list
	of   map[int32]*pair
}

// pair is a create and the list behind it. The library knows of the create alone.
type pair struct {
	create, list int32 // their numbers
	to           *listing
	held         []byte // the create's answer, which waits for the list's: the library shall remember that one's transaction
	listed       bool   // the list's answer was here
}

// join notes two requests that are about to be sent, the create with this number, and the list with one that it gives: the library's
// numbers are positive, and those with a meaning for the servers are close to zero.
func (p *pairs) join(create int32, to *listing) *pair {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.of == nil {
		p.of = make(map[int32]*pair)
	}
	if p.last++; p.last > -1_000_000 {
		p.last = math.MinInt32
	}
	one := &pair{create: create, list: p.last, to: to}
	p.of[one.create], p.of[one.list] = one, one
	p.open.Add(1)
	return one
}

// answered returns the pair that an answer belongs to, if it does to one.
func (p *pairs) answered(xid int32) *pair {
	if p.open.Load() == 0 {
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	one := p.of[xid]
	if one != nil {
		if delete(p.of, xid); p.of[one.create] == nil && p.of[one.list] == nil {
			p.open.Add(-1)
		}
	}
	return one
}

// writePair sends a create in the form whose answer has the Stat, and a list of its directory behind it.
func (t *tap) writePair(p []byte, path []byte, to *listing) (int, error) {
	op := int32(binary.BigEndian.Uint32(p[8:]))
	if op == codeCreate {
		op = codeCreate2
	}
	pair := t.pairs.join(int32(binary.BigEndian.Uint32(p[4:])), to)
	dir := path[:max(bytes.LastIndexByte(path, '/'), 1)]
	b := append(t.flagged[:0], p...)
	binary.BigEndian.PutUint32(b[8:], uint32(op))
	b = binary.BigEndian.AppendUint32(b, uint32(4+4+4+len(dir)+1))
	b = binary.BigEndian.AppendUint32(b, uint32(pair.list))
	b = binary.BigEndian.AppendUint32(b, opGetChildren)
	b = binary.BigEndian.AppendUint32(b, uint32(len(dir)))
	b = append(append(b, dir...), 0)
	t.flagged = b
	t.sends(pair.create, op)
	t.sends(pair.list, opGetChildren)
	n, err := t.Conn.Write(b)
	return min(n, len(p)), err
}

// counted reads a string behind its length, 4, such as the path that a request to make a node begins with.
func counted(body []byte) ([]byte, bool) {
	if len(body) < 4 || uint64(binary.BigEndian.Uint32(body)) > uint64(len(body)-4) {
		return nil, false
	}
	return body[4 : 4+binary.BigEndian.Uint32(body)], true
}

// keepBack looks at the whole frame that comes next, if it belongs to a pair. Of a pair the library sees one answer, the create's, once the
// list's is here: with the transaction the list knew of, since the next connection must not know less.
func (t *tap) keepBack(one *pair, frame []byte) {
	xid, code := int32(binary.BigEndian.Uint32(frame[4:])), binary.BigEndian.Uint32(frame[16:])
	body := frame[4+replyHeader:]
	if xid == one.create {
		if code == 0 {
			one.to.path, one.to.stat = created(body)
		}
		if !one.listed {
			one.held = bytes.Clone(frame)
			t.drop(len(frame))
		} else {
			t.whole += len(frame)
		}
		return
	}
	if code == 0 {
		one.to.names = listed(body)
	}
	t.passOver(one, frame, len(body)+replyHeader)
}

// passOver drops the answer to a list, whose beginning is here and whose length is size, and hands on the create's if that has come.
func (t *tap) passOver(one *pair, b []byte, size int) {
	zxid := int64(binary.BigEndian.Uint64(b[8:]))
	t.drop(4 + size)
	if len(one.held) > 0 && zxid > int64(binary.BigEndian.Uint64(one.held[8:])) {
		binary.BigEndian.PutUint64(one.held[8:], uint64(zxid))
	}
	one.listed = true
	t.buf = slices.Insert(t.buf, t.whole, one.held...)
	t.whole += len(one.held)
	one.held = nil
}

// drop removes bytes that come next, of which some may still have to come.
func (t *tap) drop(n int) {
	t.skip = n
	t.discard()
}

// statSize is how many bytes a Stat has.
const statSize = 68

// created reads the answer to a create: path 4 and its length, Stat.
func created(body []byte) (string, Stat) {
	path, ok := counted(body)
	if !ok || len(body) != 4+len(path)+statSize {
		return "", Stat{}
	}
	b := body[4+len(path):]
	long := func(at int) int64 { return int64(binary.BigEndian.Uint64(b[at:])) }
	number := func(at int) int32 { return int32(binary.BigEndian.Uint32(b[at:])) }
	return string(path), Stat{
		Czxid: long(0), Mzxid: long(8), Ctime: time.UnixMilli(long(16)), Mtime: time.UnixMilli(long(24)),
		Version: number(32), Cversion: number(36), Aversion: number(40), EphemeralOwner: long(44),
		DataLength: int(number(52)), NumChildren: int(number(56)), Pzxid: long(60),
	}
}

// listed reads the answer to a list: a count, names with 4 and their length each, Stat.
func listed(body []byte) []string {
	if len(body) < 4 {
		return nil
	}
	n, b := int(int32(binary.BigEndian.Uint32(body))), body[4:]
	if n < 0 || n > len(b)/4 {
		return nil
	}
	names := make([]string, n)
	for i := range names {
		name, ok := counted(b)
		if !ok {
			return nil
		}
		names[i], b = string(name), b[4+len(name):]
	}
	if len(b) != statSize {
		return nil
	}
	return names
}
