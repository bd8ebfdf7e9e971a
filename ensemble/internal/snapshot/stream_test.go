package snapshot

import (
	"bytes"
	"io"
	"testing"

	"github.com/stretchr/testify/require"
)

// A stream is an image's sections without the frame, and a signature; its reader stops at the last byte.
func TestStream(t *testing.T) {
	img := sample(3000)
	var b bytes.Buffer
	w := NewStreamWriter(&b)
	require.NoError(t, w.Sessions(img.Sessions))
	require.NoError(t, w.ACLs(img.ACLs))
	require.NoError(t, w.Nodes(img.Nodes))
	require.NoError(t, w.Finish())
	require.ErrorIs(t, w.Finish(), ErrMisuse)

	m := newMem(t)
	mustWrite(t, m, 1, None, img)
	file := content(t, m, "snapshot.1")
	body := len(file) - 16 - 3*sealLen - digestLen - lastLen
	require.Equal(t, file[16:16+body], b.Bytes()[:body])
	require.Equal(t, "\x00\x00\x00\x0aBenWasHere", string(b.Bytes()[body:]))

	b.WriteString("behind")
	r := NewStreamReader(&b, 0)
	_, err := r.ACLs()
	require.ErrorIs(t, err, ErrMisuse)
	r = NewStreamReader(&b, 0)
	var got image
	got.Sessions, err = r.Sessions()
	require.NoError(t, err)
	got.ACLs, err = r.ACLs()
	require.NoError(t, err)
	for {
		var n Node
		if err = r.Next(&n); err != nil {
			break
		}
		n.Data = bytes.Clone(n.Data)
		got.Nodes = append(got.Nodes, n)
	}
	require.Equal(t, io.EOF, err)
	require.Equal(t, io.EOF, r.Next(&Node{}), "and again")
	got.Trailer = img.Trailer
	require.Equal(t, img, got)
	require.Equal(t, "behind", b.String())

	w = NewStreamWriter(&b)
	require.ErrorIs(t, w.Nodes(img.Nodes), ErrMisuse)
	w = NewStreamWriter(&b)
	require.NoError(t, w.Sessions(nil))
	require.NoError(t, w.ACLs(nil))
	require.ErrorIs(t, w.Finish(), ErrMisuse, "no root")
}
