package front

import "encoding/binary"

// words are the four-letter words: what a client may say instead of a first frame. As a frame's length each would be absurd.
// The last is what telnet sends for an interrupt; it is known so that it is refused politely.
var words = map[string]bool{
	"conf": true, "cons": true, "crst": true, "dirs": true, "dump": true, "envi": true, "gtmk": true, "hash": true, "isro": true,
	"mntr": true, "ruok": true, "srst": true, "srvr": true, "stat": true, "stmk": true, "wchc": true, "wchp": true, "wchs": true,
	"\xff\xf4\xff\xfd": true,
}

// command answers a four-letter word, also to a peer that has closed its half already. stmk is followed by eight bytes.
func (c *Conn) command(word string) bool {
	var arg int64
	size := 4
	if word == "stmk" {
		size = 12
	}
	for c.in.len() < size {
		if !c.fill() {
			return false
		}
	}
	if b := c.in.take(size); size == 12 {
		arg = int64(binary.BigEndian.Uint64(b[4:]))
	}
	c.mu.Lock()
	c.busy = true
	c.mu.Unlock()
	c.mu.Lock()
	c.cost.received++
	c.total.received++
	c.mu.Unlock()
	text := c.server.backend.Command(c, word, arg)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.out = append(c.out, text...)
	c.ended = true
	if len(c.out) == 0 {
		c.close()
		return false
	}
	c.finish()
	return true
}
