package packet

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/bellwether-zk/bellwether/ensemble/internal/jute"
	"github.com/bellwether-zk/bellwether/ensemble/internal/znode"
)

// A State is what a server does at the moment, as far as its peers are concerned (class QuorumPeer.ServerState).
type State int32

// The states.
const (
	Looking   State = 0 // for a leader
	Following State = 1
	Leading   State = 2
	Observing State = 3
)

func (s State) String() string {
	switch s {
	case Looking:
		return "looking"
	case Following:
		return "following"
	case Leading:
		return "leading"
	case Observing:
		return "observing"
	}
	return fmt.Sprintf("state %d", int32(s))
}

// NotificationVersion is the version of the notifications that servers send today.
const NotificationVersion int32 = 2

// A Notification is what servers tell each other on the election port: whom the sender votes for, and what the sender is
// doing. While it looks that is its proposal; afterwards the vote that brought it there.
type Notification struct {
	State     State
	Leader    ServerID
	Zxid      znode.Zxid // last zxid of the proposed leader; -1 from a server that must not vote
	Round     int64      // of the election, counted by the sender (electionEpoch, logical clock)
	PeerEpoch int64      // current epoch of the proposed leader
	Version   int32      // NotificationVersion; 0 from servers before 3.5, whose rounds and epochs others do not compare
	Config    string     // the sender's committed configuration; only from version 2 on
}

const (
	oldestLen          = 28 // without epoch
	oldLen             = 40 // with epoch and four bytes to be ignored
	maxNotificationLen = 512 << 10
)

// ErrFrameLength means that a frame of the election port has a length no notification has: the stream is out of step.
var ErrFrameLength = errors.New("packet: impossible length of a notification's frame")

// AppendFrame appends the notification's frame: its length and the notification.
func (n *Notification) AppendFrame(b []byte) []byte {
	start := len(b)
	b = n.AppendJute(append(b, 0, 0, 0, 0))
	binary.BigEndian.PutUint32(b[start:], uint32(len(b)-start-4))
	return b
}

// AppendJute appends the notification without its frame, in the form of its version.
func (n *Notification) AppendJute(b []byte) []byte {
	b = jute.AppendInt32(b, int32(n.State))
	b = jute.AppendInt64(b, int64(n.Leader))
	b = jute.AppendInt64(b, int64(n.Zxid))
	b = jute.AppendInt64(b, n.Round)
	b = jute.AppendInt64(b, n.PeerEpoch)
	b = jute.AppendInt32(b, n.Version)
	switch {
	case n.Version >= 2:
		return jute.AppendString(b, n.Config)
	case n.Version != 0:
		return jute.AppendInt32(b, 0) // lest it have the length of version 0
	}
	return b
}

// DecodeJute reads the notification, which must be all the decoder has: the forms of old servers are told by their length
// (class FastLeaderElection, WorkerReceiver).
func (n *Notification) DecodeJute(d *jute.Decoder) {
	length := d.Len()
	*n = Notification{State: State(d.Int32()), Leader: ServerID(d.Int64()), Zxid: znode.Zxid(d.Int64()), Round: d.Int64()}
	if length == oldestLen {
		n.PeerEpoch = int64(n.Zxid) >> 32
		return
	}
	n.PeerEpoch = d.Int64()
	version := d.Int32()
	if length == oldLen {
		return
	}
	if n.Version = version; version >= 2 {
		n.Config = d.String()
	}
}

// ReadNotification reads one frame from r into n, blocking until it is here. An error that wraps [jute.ErrMalformed] is about
// this notification alone, and the next can be read; after any other the stream is of no use.
func ReadNotification(r io.Reader, n *Notification) error {
	var head [4]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return err
	}
	length := int32(binary.BigEndian.Uint32(head[:]))
	if length < 1 || length > maxNotificationLen {
		return fmt.Errorf("%w: %d", ErrFrameLength, length)
	}
	var frame bytes.Buffer // grows with what comes
	switch got, err := io.Copy(&frame, io.LimitReader(r, int64(length))); {
	case err != nil:
		return err
	case got < int64(length):
		return io.ErrUnexpectedEOF
	}
	return Decode(frame.Bytes(), n)
}

// Hello is what the dialler of an election connection says first: who it is and where it listens for elections itself.
type Hello struct {
	Server ServerID
	Addrs  []string // host:port each, an IPv6 host in brackets; none from servers before 3.5
}

const (
	helloOne     int64 = -65536 // one address
	helloSeveral int64 = -65535 // several, joined with |; sent only where there are several
	maxHelloLen        = 2048
)

// AppendJute appends the message. With one address it is the form every server since 3.5 reads, with several the one that
// 3.6 brought, with none the bare id of older ones. It must be sent in one piece: Apache's server refuses a part of it.
func (h *Hello) AppendJute(b []byte) []byte {
	if len(h.Addrs) == 0 {
		return jute.AppendInt64(b, int64(h.Server))
	}
	version := helloOne
	if len(h.Addrs) > 1 {
		version = helloSeveral
	}
	b = jute.AppendInt64(jute.AppendInt64(b, version), int64(h.Server))
	return jute.AppendString(b, strings.Join(h.Addrs, "|"))
}

// DecodeJute reads the message. An address without a sensible port, or none at all, is malformed.
func (h *Hello) DecodeJute(d *jute.Decoder) {
	*h = Hello{}
	version := d.Int64()
	switch {
	case d.Err() != nil:
		return
	case version >= 0:
		h.Server = ServerID(version)
		return
	case version != helloOne && version != helloSeveral:
		d.Fail("protocol version %d", version)
		return
	}
	h.Server = ServerID(d.Int64())
	addrs := d.String()
	if d.Err() == nil && (addrs == "" || len(addrs) > maxHelloLen) {
		d.Fail("address of %d bytes", len(addrs))
	}
	if d.Err() != nil {
		return
	}
	h.Addrs = strings.Split(addrs, "|")
	for _, addr := range h.Addrs {
		if !validAddr(addr) {
			d.Fail("address %q", addr)
			h.Addrs = nil
			return
		}
	}
}

// ReadHello reads the message from r and not a byte more, blocking until it is here.
func ReadHello(r io.Reader) (Hello, error) {
	var h Hello
	b := make([]byte, 20, 20+maxHelloLen)
	if _, err := io.ReadFull(r, b[:8]); err != nil {
		return h, err
	}
	if version := int64(binary.BigEndian.Uint64(b)); version != helloOne && version != helloSeveral {
		err := Decode(b[:8], &h)
		return h, err
	}
	if _, err := io.ReadFull(r, b[8:]); err != nil {
		return h, noEOF(err)
	}
	if length := int32(binary.BigEndian.Uint32(b[16:])); length > 0 && length <= maxHelloLen {
		b = b[:20+length]
		if _, err := io.ReadFull(r, b[20:]); err != nil {
			return h, noEOF(err)
		}
	}
	err := Decode(b, &h)
	return h, err
}

func noEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

func validAddr(addr string) bool {
	host, port, ok := cutLast(addr, ':')
	if !ok || host == "" {
		return false
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return false
	}
	if inner, ok := strings.CutPrefix(host, "["); ok {
		inner, ok = strings.CutSuffix(inner, "]")
		return ok && inner != "" && !strings.ContainsAny(inner, "[]")
	}
	return !strings.ContainsAny(host, ":[]")
}

func cutLast(s string, sep byte) (before, after string, found bool) {
	if i := strings.LastIndexByte(s, sep); i >= 0 {
		return s[:i], s[i+1:], true
	}
	return s, "", false
}
