package typed

import (
	"bytes"
	"compress/gzip"
	"encoding/hex"
	"io"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func member(t testing.TB, plain []byte) []byte {
	t.Helper()
	data, err := Gzip(Bytes(), 0).Encode(plain)
	require.NoError(t, err)
	return data
}

// What Curator 5.9 and 5.4 wrote, and what we write.
func TestGzipIsCurators(t *testing.T) {
	codec := Gzip(Text(), 0)
	for _, c := range []struct{ name, data, want string }{
		{"hello of 5.9", "1f8b08000000000000ffcb48cdc9c9070086a6103605000000", "hello"},
		{"hello of 5.4", "1f8b0800000000000000cb48cdc9c9070086a6103605000000", "hello"},
		{"empty of 5.9", "1f8b08000000000000ff03000000000000000000", ""},
		{"empty of 5.4", "1f8b080000000000000003000000000000000000", ""},
		{"empty of compress/gzip", "1f8b08000000000000ff010000ffff0000000000000000", ""},
	} {
		data, err := hex.DecodeString(c.data)
		require.NoError(t, err)
		got, err := codec.Decode(data)
		require.NoError(t, err, c.name)
		require.Equal(t, c.want, got, c.name)
	}
	data, err := codec.Encode("")
	require.NoError(t, err)
	require.Equal(t, "1f8b08000000000000ff03000000000000000000", hex.EncodeToString(data))
	long := strings.Repeat("hello ", 1000)
	data, err = codec.Encode(long)
	require.NoError(t, err)
	require.Less(t, len(data), len(long)/20)
	got, err := codec.Decode(data)
	require.NoError(t, err)
	require.Equal(t, long, got)
}

// What Curator refuses, we refuse.
func TestGzipRefuses(t *testing.T) {
	hello := member(t, []byte("hello"))
	damaged := bytes.Clone(hello)
	damaged[len(damaged)-8] ^= 1
	for _, c := range []struct {
		name string
		data []byte
		want string
	}{
		{"nothing", nil, "gzip: unexpected EOF"},
		{"something else", []byte("hello, world"), "gzip: gzip: invalid header"},
		{"the beginning", hello[:len(hello)-3], "gzip: unexpected EOF"},
		{"another checksum", damaged, "gzip: gzip: invalid checksum"},
		{"two members", append(bytes.Clone(hello), hello...), "gzip: 29 bytes behind the end of the member"},
		{"a member and a byte", append(bytes.Clone(hello), 0), "gzip: 1 bytes behind the end of the member"},
	} {
		_, err := Gzip(Bytes(), 0).Decode(c.data)
		require.EqualError(t, err, c.want, c.name)
	}
}

func TestGzipIsBounded(t *testing.T) {
	for _, size := range []int{999, 1000, 1001} {
		plain := make([]byte, size)
		_, encodeErr := Gzip(Bytes(), 1000).Encode(plain)
		got, decodeErr := Gzip(Bytes(), 1000).Decode(member(t, plain))
		if size > 1000 {
			require.ErrorIs(t, encodeErr, ErrTooLarge)
			require.ErrorIs(t, decodeErr, ErrTooLarge)
			continue
		}
		require.NoError(t, encodeErr)
		require.NoError(t, decodeErr)
		require.Equal(t, plain, got)
	}
	_, err := Gzip(Bytes(), 0).Encode(make([]byte, DefaultMax+1))
	require.ErrorIs(t, err, ErrTooLarge, "the default is a bound, too")
}

// A few kilobytes that stand for megabytes cost what the bound allows.
func TestGzipBomb(t *testing.T) {
	const most = 1 << 16
	bomb := member(t, make([]byte, 1<<20))
	require.Less(t, len(bomb), 1<<12)
	var err error
	took := allocated(func() { _, err = Gzip(Bytes(), most).Decode(bomb) })
	require.ErrorIs(t, err, ErrTooLarge)
	require.Less(t, took, uint64(fixedCost+8*most))
}

// allocated is how many bytes f allocates, and whoever else runs meanwhile.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// fixedCost is what a decoding may allocate beside its result: tables of the inflater that are kept for later, and the header's extra field.
const fixedCost = 1 << 18

// Whatever is in a node: no panic, no more memory than comes out of it, within the bound, and the same that compress/gzip makes of it.
func FuzzGzip(f *testing.F) {
	for _, plain := range []string{"", "hello", strings.Repeat("a", 1<<16), `{"a":[1,2,3]}`} {
		f.Add(member(f, []byte(plain)), uint16(1<<10))
	}
	hello := member(f, []byte("hello"))
	f.Add(append(bytes.Clone(hello), hello...), uint16(100))
	f.Add(append(bytes.Clone(hello), 7), uint16(100))
	f.Add(hello[:7], uint16(5))
	f.Add([]byte{0x1f, 0x8b, 8, 0xff, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 'x'}, uint16(5)) // all flags, an extra field of 64 KiB
	f.Add([]byte{}, uint16(0))
	f.Fuzz(func(t *testing.T, data []byte, bound uint16) {
		most := int(bound) + 1
		codec := Gzip(Bytes(), most)
		var got []byte
		var err error
		if took := allocated(func() { got, err = codec.Decode(data) }); took > uint64(fixedCost+8*most) {
			t.Fatalf("allocated %d bytes for at most %d", took, most)
		}
		want, wantErr := firstMember(data, most)
		if (err == nil) != (wantErr == nil) {
			t.Fatalf("got %v, want %v", err, wantErr)
		}
		if err != nil {
			return
		}
		if !bytes.Equal(got, want) {
			t.Fatalf("got %q, want %q", got, want)
		}
		again, err := codec.Encode(got)
		require.NoError(t, err)
		same, err := codec.Decode(again)
		require.NoError(t, err)
		if !bytes.Equal(got, same) {
			t.Fatalf("%q became %q", got, same)
		}
	})
}

// firstMember is the obvious way, for small data: all of it at once, then the questions.
func firstMember(data []byte, most int) ([]byte, error) {
	in := bytes.NewReader(data)
	r, err := gzip.NewReader(in)
	if err != nil {
		return nil, err
	}
	r.Multistream(false)
	plain, err := io.ReadAll(r)
	if err == nil && (len(plain) > most || in.Len() > 0) {
		err = io.ErrShortBuffer
	}
	return plain, err
}
