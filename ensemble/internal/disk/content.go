package disk

// blockSize is the unit in which content is kept, in bytes.
const blockSize = 64 << 10

// content is the bytes of a file in memory. Blocks that are missing or short read as zeros up to size, so that reserved
// space costs nothing.
type content struct {
	blocks [][]byte // each at most blockSize long; what lies behind the length of a block is zeros to the reader
	shared []bool   // by block, as far as it goes: somebody else has it too, so it is copied before it is changed
	size   int64
}

func (c *content) readAt(p []byte, off int64) int {
	if off >= c.size {
		return 0
	}
	p = p[:min(int64(len(p)), c.size-off)]
	n := len(p)
	for len(p) > 0 {
		at := int(off % blockSize)
		step := min(len(p), blockSize-at)
		var block []byte
		if i := off / blockSize; i < int64(len(c.blocks)) {
			block = c.blocks[i]
		}
		copied := 0
		if at < len(block) {
			copied = copy(p[:step], block[at:])
		}
		clear(p[copied:step])
		p, off = p[step:], off+int64(step)
	}
	return n
}

func (c *content) writeAt(p []byte, off int64) {
	c.size = max(c.size, off+int64(len(p)))
	for len(p) > 0 {
		i, at := int(off/blockSize), int(off%blockSize)
		step := min(len(p), blockSize-at)
		for i >= len(c.blocks) {
			c.blocks = append(c.blocks, nil)
		}
		copy(c.block(i, at+step)[at:], p[:step])
		p, off = p[step:], off+int64(step)
	}
}

// block returns block i, at least n bytes long, to be changed.
func (c *content) block(i, n int) []byte {
	b := c.blocks[i]
	if i < len(c.shared) && c.shared[i] {
		b = append(make([]byte, 0, min(blockSize, max(n, len(b))+SectorSize)), b...)
		c.blocks[i], c.shared[i] = b, false
	}
	if n <= len(b) {
		return b
	}
	if n > cap(b) {
		b = append(make([]byte, 0, min(blockSize, max(n, 2*cap(b), SectorSize))), b...)
	}
	have := len(b)
	b = b[:n]
	clear(b[have:])
	c.blocks[i] = b
	return b
}

func (c *content) resize(size int64) {
	if size < c.size {
		last := int(size / blockSize)
		if last < len(c.blocks) {
			clear(c.blocks[last+1:])
			c.blocks = c.blocks[:last+1]
			c.blocks[last] = c.blocks[last][:min(len(c.blocks[last]), int(size%blockSize))]
		}
	}
	c.size = size
}

// clone shares what is there until one of the two changes it.
func (c *content) clone() content {
	if len(c.blocks) == 0 {
		return content{size: c.size}
	}
	c.shared = everyOf(len(c.blocks))
	return content{blocks: append([][]byte(nil), c.blocks...), shared: everyOf(len(c.blocks)), size: c.size}
}

// everyOf is n times true.
func everyOf(n int) []bool {
	s := make([]bool, n)
	for i := range s {
		s[i] = true
	}
	return s
}
