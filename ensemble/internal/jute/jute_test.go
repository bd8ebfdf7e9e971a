package jute_test

import (
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/bellwether-zk/bellwether/ensemble/internal/jute"
)

func TestRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		flag := rapid.Bool().Draw(t, "bool")
		i32 := rapid.Int32().Draw(t, "int")
		i64 := rapid.Int64().Draw(t, "long")
		s := rapid.String().Draw(t, "string")
		buf := rapid.SliceOf(rapid.Byte()).Draw(t, "buffer")
		list := rapid.SliceOf(rapid.String()).Draw(t, "vector")

		b := jute.AppendBool(nil, flag)
		b = jute.AppendInt32(b, i32)
		b = jute.AppendInt64(b, i64)
		b = jute.AppendString(b, s)
		b = jute.AppendBuffer(b, buf)
		b = jute.AppendBuffer(b, nil)
		b = jute.AppendStrings(b, list)
		b = append(b, "tail"...)

		d := jute.NewDecoder(b)
		require.Equal(t, flag, d.Bool())
		require.Equal(t, i32, d.Int32())
		require.Equal(t, i64, d.Int64())
		require.Equal(t, s, d.String())
		require.Equal(t, len(buf), len(d.Buffer()))
		require.Nil(t, d.Buffer(), "null stays null")
		require.Equal(t, len(list), len(d.Strings()))
		require.NoError(t, d.Err())
		require.Equal(t, "tail", string(d.Rest()))
	})
}

func TestMalformed(t *testing.T) {
	for _, c := range []struct {
		name string
		in   []byte
		read func(*jute.Decoder)
	}{
		{"short int", []byte{0, 0, 1}, func(d *jute.Decoder) { d.Int32() }},
		{"short long", make([]byte, 7), func(d *jute.Decoder) { d.Int64() }},
		{"no bool", nil, func(d *jute.Decoder) { d.Bool() }},
		{"length below null", []byte{0xff, 0xff, 0xff, 0xfe}, func(d *jute.Decoder) { d.Buffer() }},
		{"length past the end", []byte{0, 0, 0, 2, 'a'}, func(d *jute.Decoder) { d.Buffer() }},
		{"huge length", []byte{0x7f, 0xff, 0xff, 0xff}, func(d *jute.Decoder) { _ = d.String() }},
		{"huge count", []byte{0x7f, 0xff, 0xff, 0xff}, func(d *jute.Decoder) { d.Strings() }},
		{"element cut off", []byte{0, 0, 0, 1, 0, 0, 0, 9}, func(d *jute.Decoder) { d.Strings() }},
	} {
		d := jute.NewDecoder(c.in)
		c.read(&d)
		require.ErrorIs(t, d.Err(), jute.ErrMalformed, c.name)
		require.Zero(t, d.Int64(), "%s: reads after a failure are zero", c.name)
	}
}

func TestNegativeCounts(t *testing.T) {
	d := jute.NewDecoder([]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xfe})
	require.Equal(t, -1, d.Count(1), "null")
	require.Equal(t, 0, d.Count(1), "nothing, to Java")
	require.NoError(t, d.Err())
}

func TestNullAndEmpty(t *testing.T) {
	d := jute.NewDecoder(jute.AppendInt32(jute.AppendString(jute.AppendBuffer(nil, []byte{}), ""), -1))
	require.Equal(t, []byte{}, d.Buffer(), "empty is not null")
	s, null := d.NullableString()
	require.Equal(t, "", s)
	require.False(t, null)
	_, null = d.NullableString()
	require.True(t, null)
	require.NoError(t, d.Err())
}

func FuzzDecoder(f *testing.F) {
	f.Add([]byte{0, 0, 0, 1, 0, 0, 0, 1, 'x'})
	f.Add([]byte("\x00\x00\x00\x01\xff\xff\xff\xff\xff\xff\xff\xff"))
	f.Add([]byte{0xff, 0xff, 0xff, 0xff, 0x7f, 0xff, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, b []byte) {
		d := jute.NewDecoder(b)
		list := d.Strings()
		buf := d.Buffer()
		if d.Err() != nil {
			return
		}
		once := jute.AppendBuffer(jute.AppendStrings(nil, list), buf)
		d = jute.NewDecoder(once)
		require.Equal(t, len(list), len(d.Strings())) // a null string in a vector is empty ever after
		require.Equal(t, buf, d.Buffer())
		require.NoError(t, d.Err())
		require.Zero(t, d.Len())
	})
}
