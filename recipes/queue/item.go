package queue

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/bellwether-zk/bellwether/client"
)

// Item is something to be done.
type Item struct {
	// Data is what the consumer gets, up to 8 KiB less than the 1 MiB of a request. It belongs to the caller again when Put returns.
	Data []byte
	// Key, unless it is empty, lets the item in only if none with the same key is in the queue: it is [ErrDuplicate] from when it is put until it is
	// acknowledged, removed, or discarded as a dead letter; after it is acknowledged for Options.KeepKeys, too.
	Key string
	// Priority is the item's place in a queue ByPriority: the smallest first.
	Priority int32
	// At is when an item of a queue ByTime is due, to the millisecond; the zero time is at once.
	At time.Time
	// ID is the item's name in a queue ByID. It need not be unique. Curator's form of it, in which slashes and bars are underlines, is the same
	// id.
	ID string
}

// Curator's framing of an item's data: a version, the records, each behind a byte and its length, and a byte for the end.
const (
	frameVersion = 0x00010001
	frameRecord  = 1
	frameEnd     = 2
)

// errFrame tells that an item's data are not in the form of a queue's.
var errFrame = errors.New("not an item's framing")

// body is an item's data: the records, most often one, and what this package notes behind them, where Curator does not look.
type body struct {
	records [][]byte
	note    note
}

// What an item's data may be at most, and the reason in its note: so that whatever is put can be claimed, and given back, in requests of the default
// size.
const (
	maxData   = client.DefaultMaxFrame - 8<<10
	maxReason = 1 << 10
)

// note is what is known of an item beside its data.
type note struct {
	Key      string `json:"key,omitempty"`
	Attempts int    `json:"attempts,omitempty"` // how often it was given out, the present time included
	Reason   string `json:"reason,omitempty"`   // why it was not done the last time
}

// encode gives the data as they stand in a node of the queue.
func (q *Queue) encode(b *body) []byte {
	if q.opts.Order == Simple {
		return b.records[0]
	}
	return b.encode()
}

// decode reads the data of a node of the queue.
func (q *Queue) decode(data []byte) (*body, error) {
	if q.opts.Order == Simple {
		return &body{records: [][]byte{data}}, nil
	}
	return decode(data)
}

// encode gives the data as they stand in the node.
func (b *body) encode() []byte {
	size := 5
	for _, r := range b.records {
		size += 5 + len(r)
	}
	data := binary.BigEndian.AppendUint32(make([]byte, 0, size), frameVersion)
	for _, r := range b.records {
		data = append(data, frameRecord)
		data = binary.BigEndian.AppendUint32(data, uint32(len(r)))
		data = append(data, r...)
	}
	data = append(data, frameEnd)
	if b.note == (note{}) {
		return data
	}
	text, err := json.Marshal(&b.note)
	if err != nil {
		panic(err) // two strings and a number
	}
	return append(data, text...)
}

// decode reads what encode, or Curator, has written. What stands behind the end and is no note of ours is left out.
func decode(data []byte) (*body, error) {
	if len(data) < 5 || binary.BigEndian.Uint32(data) != frameVersion {
		return nil, fmt.Errorf("%w: %d bytes without its version", errFrame, len(data))
	}
	b := &body{}
	for rest := data[4:]; len(rest) > 0; {
		switch {
		case rest[0] == frameEnd:
			_ = json.Unmarshal(rest[1:], &b.note)
			b.note.Attempts = max(b.note.Attempts, 0)
			return b, nil
		case rest[0] != frameRecord || len(rest) < 5:
			return nil, fmt.Errorf("%w: at byte %d of %d", errFrame, len(data)-len(rest), len(data))
		}
		n := binary.BigEndian.Uint32(rest[1:])
		if int64(n) > int64(len(rest)-5) {
			return nil, fmt.Errorf("%w: a record of %d bytes among %d", errFrame, n, len(data))
		}
		b.records = append(b.records, rest[5:5+n:5+n])
		rest = rest[5+n:]
	}
	return nil, fmt.Errorf("%w: without an end", errFrame)
}
