package conformance

import (
	"encoding/binary"
	"io"
	"net"
	"strings"

	"github.com/bellwether-zk/bellwether/ensemble/internal/jute"
	"github.com/bellwether-zk/bellwether/ensemble/internal/wire"
	"github.com/bellwether-zk/bellwether/ensemble/internal/znode"
)

// junk is a record that is none.
type junk []byte

func (j junk) AppendJute(b []byte) []byte { return append(b, j...) }
func (junk) DecodeJute(*jute.Decoder)     {}

// talk opens a connection that has no session yet, and says something.
func (p *probe) talk(what []byte) net.Conn {
	conn, err := p.r.opts.Dial(p.ctx, "tcp", p.r.servers[0])
	p.must(err == nil, "connect: %v", err)
	if deadline, ok := p.ctx.Deadline(); ok {
		_ = conn.SetDeadline(deadline)
	}
	if _, err := conn.Write(what); err != nil {
		_ = conn.Close()
		p.fail("write: %v", err)
	}
	return conn
}

// word is a server's whole answer to a four-letter word.
func (p *probe) word(word string) string {
	conn := p.talk([]byte(word))
	defer conn.Close()
	answer, err := io.ReadAll(conn)
	p.must(err == nil, "%s: %v", word, err)
	if strings.Contains(string(answer), "is not in the whitelist") {
		p.notOffered("%s is not in the whitelist", word)
	}
	return string(answer)
}

// limits are the checks of what is too much, or no request at all, and of what is asked without a session.
var limits = []check{
	{"limits", "longest-frame", "a request of jute.maxbuffer bytes is taken, and one more byte ends the connection and not the server", func(p *probe) {
		most := p.r.opts.MaxFrame
		if most < 0 {
			p.notOffered("jute.maxbuffer is not known")
		}
		s := p.connect()
		s.make(p.root + "/n")
		fill := func(frame int) *wire.SetDataRequest {
			r := &wire.SetDataRequest{Path: p.root + "/n", Data: []byte{}, Version: -1}
			r.Data = make([]byte, frame-wire.RequestHeaderLen-len(r.AppendJute(nil)))
			return r
		}
		r := fill(most)
		s.ok(wire.OpSetData, r)
		same(p, "the length of what is read", int32(len(r.Data)), s.stat(p.root+"/n").DataLength)
		p.must(s.data(p.root+"/n") == string(r.Data), "what is read is not what was written")
		s.conn.Send(wire.OpSetData, fill(most+1))
		s.closed()
		p.connect().del(p.root + "/n")
	}},
	{"limits", "no-frame", "what is no frame ends the connection and not the server", func(p *probe) {
		conn := p.talk(binary.BigEndian.AppendUint32(nil, 0xfffffff0)) // minus sixteen
		defer conn.Close()
		n, err := conn.Read(make([]byte, 1))
		p.must(n == 0 && err != nil && p.ctx.Err() == nil, "want the connection closed, got %d bytes and %v", n, err)
		p.connect().stat(p.root)
	}},
	{"limits", "unreadable", "a request that cannot be read is said to be that, and the connection goes on", func(p *probe) {
		s := p.connect()
		for _, op := range []wire.Op{wire.OpGetData, wire.OpExists, wire.OpGetChildren2} { // no write: see the package's documentation
			s.refuses(znode.CodeMarshallingError, op, junk{0, 0, 0, 9, '/', 'x'})
		}
		s.lists(p.root, "")
	}},
	{"limits", "unknown-request", "a client that asks for something newer than the server is told so", func(p *probe) {
		s := p.connect()
		m := s.refuses(znode.CodeUnimplemented, 4711, &wire.PathRequest{Path: p.root})
		same(p, "the zxid of the answer", -1, m.Header.Zxid)
		s.closed()
	}},
	{"limits", "many-children", "what lies below a node with very many children can be listed", func(p *probe) {
		s := p.connect()
		const many = 500
		for range many {
			s.conn.Send(wire.OpCreate, creation(p.root+"/n-", "", znode.ModePersistentSequential))
		}
		for range many {
			s.answer(wire.OpCreate)
		}
		same(p, "the number of children", many, len(s.children(p.root)))
		same(p, "the number in Stat", many, s.stat(p.root).NumChildren)
	}},
	{"words", "srvr", "scripts ask a server for its version and its role without a session", func(p *probe) {
		answer := p.word("srvr")
		p.must(strings.HasPrefix(answer, "Zookeeper version: ") && strings.Contains(answer, "\nMode: "), "srvr: %q", answer)
	}},
	{"words", "ruok", "probes ask whether a server is there", func(p *probe) { same(p, "ruok", "imok", p.word("ruok")) }},
}
