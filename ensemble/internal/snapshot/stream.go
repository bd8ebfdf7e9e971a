package snapshot

import (
	"errors"
	"fmt"
	"io"

	"github.com/bellwether-zk/bellwether/ensemble/internal/jute"
)

// A stream is how a leader hands its tree to a learner, behind a SNAP packet (classes LearnerHandler and Learner): what an
// image holds up to and including the end of its nodes, without the header and the seals, and then one string, the signature.

// signature ends a stream.
const signature = "BenWasHere"

// ErrStream means that what came is not a snapshot stream, or not all of it.
var ErrStream = errors.New("snapshot: not a snapshot stream")

// A StreamWriter writes a stream: Sessions, ACLs, Nodes as often as need be, Finish. An error is final. It gathers about 256 KiB
// before it writes.
type StreamWriter struct{ sections }

// NewStreamWriter begins a stream.
func NewStreamWriter(w io.Writer) *StreamWriter { return &StreamWriter{sections{to: w}} }

// Finish ends the nodes, one of which must have been written, signs the stream and writes what is left of it.
func (w *StreamWriter) Finish() error {
	if err := w.end(); err != nil {
		return err
	}
	w.buf = jute.AppendString(w.buf, signature)
	w.at = atEnd
	w.flush()
	return w.err
}

// A StreamReader reads a stream: Sessions, ACLs, then Next until io.EOF. It reads not one byte behind the signature, and asks for
// few bytes at a time: what is below it had better be buffered. Errors are final: those of the reader below, wrapped, and
// ErrStream, which an end that comes too early is too (together with io.ErrUnexpectedEOF).
type StreamReader struct{ fields }

// NewStreamReader begins to read a stream whose strings and buffers are at most max bytes long; 0 is 256 MiB, as in an image.
func NewStreamReader(r io.Reader, max int) *StreamReader {
	if max <= 0 {
		max = maxField
	}
	return &StreamReader{fields{in: r, max: max, failure: streamFailure}}
}

func streamFailure(at int64, err error, what string) error {
	switch {
	case err == nil:
		return fmt.Errorf("%w: byte %d: %s", ErrStream, at, what)
	case errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF):
		return fmt.Errorf("%w: byte %d: %w", ErrStream, at, io.ErrUnexpectedEOF)
	}
	return fmt.Errorf("snapshot: stream at byte %d: %w", at, err)
}

// Next reads one more node into n; its data is valid until the next call. It returns io.EOF when there are no more and the
// signature was right; until then nothing of the stream may be believed.
func (r *StreamReader) Next(n *Node) error {
	if r.at == atEnd && r.err == nil {
		return io.EOF
	}
	if more, err := r.node(n); more || err != nil {
		return err
	}
	r.max = len(signature)
	switch s := r.string(); {
	case r.err != nil:
		return r.err
	case s != signature:
		return r.fail(nil, fmt.Sprintf("signature %q", s))
	}
	r.at = atEnd
	return io.EOF
}
