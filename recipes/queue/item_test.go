package queue

import (
	"bytes"
	"encoding/hex"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestFraming(t *testing.T) {
	for text, b := range map[string]*body{
		"0001000101" + "00000005" + "68656c6c6f" + "02": {records: [][]byte{[]byte("hello")}}, // as Curator has it
		"00010001" + "02": {},
		"0001000101" + "00000000" + "01" + "00000001" + "ff" + "02":                {records: [][]byte{{}, {0xff}}},
		"00010001" + "02" + hex.EncodeToString([]byte(`{"key":"k","attempts":2}`)): {note: note{Key: "k", Attempts: 2}},
	} {
		data, err := hex.DecodeString(text)
		require.NoError(t, err)
		require.Equal(t, data, b.encode())
		got, err := decode(data)
		require.NoError(t, err)
		require.Equal(t, b, got)
	}
	for _, text := range []string{"", "00010001", "0001000202", "0001000103", "0001000101", "000100010100000001", "00010001017fffffff00", "0001000101ffffffff0002"} {
		data, err := hex.DecodeString(text)
		require.NoError(t, err)
		_, err = decode(data)
		require.ErrorIs(t, err, errFrame, text)
	}
	for _, behind := range []string{"x", "{", `{"attempts":-3}`, `[]`} {
		got, err := decode(append([]byte{0, 1, 0, 1, 2}, behind...))
		require.NoError(t, err, "what others write behind the end does no harm")
		require.Equal(t, &body{}, got)
	}
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte{0, 1, 0, 1, 1, 0, 0, 0, 1, 'x', 2})
	f.Add([]byte(`0001{"key":"a"}`))
	f.Add((&body{records: [][]byte{[]byte("a"), nil}, note: note{Key: "k", Attempts: 3, Reason: "no"}}).encode())
	f.Fuzz(func(t *testing.T, data []byte) {
		b, err := decode(data)
		if err != nil {
			return
		}
		again, err := decode(b.encode())
		require.NoError(t, err)
		require.Equal(t, b.note, again.note)
		require.Len(t, again.records, len(b.records))
		for i := range b.records {
			require.True(t, bytes.Equal(b.records[i], again.records[i]))
		}
	})
}
