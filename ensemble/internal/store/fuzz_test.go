package store

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bellwether-zk/bellwether/ensemble/internal/disk"
	"github.com/bellwether-zk/bellwether/ensemble/internal/snapshot"
	"github.com/bellwether-zk/bellwether/ensemble/internal/txnlog"
)

func FuzzEpoch(f *testing.F) {
	for _, s := range []string{"", "0", "12\n", "007", "x", "9223372036854775807", "9223372036854775808"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		v, err := parseEpoch(b)
		if err != nil {
			require.ErrorIs(t, err, errNotANumber)
			return
		}
		require.GreaterOrEqual(t, v, int64(0))
		again, err := parseEpoch(fmt.Append(nil, v))
		require.NoError(t, err)
		require.Equal(t, v, again)
	})
}

func FuzzWitness(f *testing.F) {
	m := disk.NewMem(nil)
	w, err := createWitness(m, "/", statement{Epochs: [2]epochState{{1, 2}, {1, 1}}, Images: []imageState{{Name: snapshot.Name{Zxid: 5}, Size: 9, CRC: 7, Known: true}}})
	require.NoError(f, err)
	require.NoError(f, w.note(txnlog.Mark{File: 5, Offset: 99, Zxid: 7, Sum: 3}))
	b, err := disk.ReadFile(m, "/"+witnessName, witnessLen)
	require.NoError(f, err)
	f.Add(b)
	f.Add(b[:100])
	f.Fuzz(func(t *testing.T, b []byte) {
		seal(b)
		st, _, ok := decodeWitness(b)
		if !ok {
			return
		}
		again := &witness{said: st}
		got, ok := decodeStatement(again.encode())
		require.True(t, ok)
		require.Equal(t, st, got)
	})
}

// seal makes the checksums right, so that fuzzing reaches what is behind them.
func seal(b []byte) {
	if len(b) != witnessLen {
		return
	}
	sealPlace(b[:statementLen-4:statementLen], statementLen)
	sealPlace(b[notesAt:notesAt+noteLen-4:notesAt+noteLen], noteLen)
}
