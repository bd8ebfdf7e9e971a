package txnlog

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bellwether-zk/bellwether/ensemble/internal/disk"
	"github.com/bellwether-zk/bellwether/ensemble/internal/znode"
)

const logFile = dir + "/log.1"

// fileOf lays out records as a file, followed by zeros.
func fileOf(zeros int, g ...Record) []byte {
	l := &Log{opts: Options{MaxRecord: defaultMaxRecord}}
	if len(g) > 0 {
		l.last = g[0].Zxid - 1
	}
	b, _, err := l.encode(g)
	if err != nil {
		panic(err)
	}
	return append(append(fileHeader(), b...), make([]byte, zeros)...)
}

func memWith(t testing.TB, files map[string][]byte) *disk.Mem {
	t.Helper()
	m := newMem(t)
	for name, b := range files {
		require.NoError(t, disk.Replace(m, dir+"/"+name, b))
	}
	return m
}

func mustBeDamage(t testing.TB, err error, file string) *disk.Damage {
	t.Helper()
	require.ErrorIs(t, err, disk.ErrDamaged)
	var d *disk.Damage
	require.ErrorAs(t, err, &d)
	require.Equal(t, file, d.File)
	require.NotEmpty(t, d.What)
	require.NotEmpty(t, d.Remedy)
	return d
}

// ends returns where each record of a file ends.
func ends(g []Record) []int {
	at := []int{fileHeaderLen}
	for _, r := range g {
		at = append(at, at[len(at)-1]+RecordOverhead+len(r.Payload))
	}
	return at
}

// Cut off anywhere, with or without zeros behind, without any mark: the good records stay, the rest goes.
func TestTornAtEveryByte(t *testing.T) {
	g := group(1, 3, 300)
	whole, at := fileOf(0, g...), ends(g)
	for cut := 0; cut <= len(whole); cut++ {
		for _, zeros := range []int{0, 2000} {
			b := append(bytes.Clone(whole[:cut]), make([]byte, zeros)...)
			m := memWith(t, map[string][]byte{"log.1": b})
			l, err := Open(m, dir, nil)
			require.NoError(t, err, "cut at %d, %d zeros", cut, zeros)
			good := 0
			for good+1 < len(at) && at[good+1] <= cut {
				good++
			}
			require.EqualValues(t, good, l.Last(), "cut at %d", cut)
			if good == 0 {
				require.Equal(t, []string{logFile}, l.Tail().Removed)
				require.Empty(t, names(t, m), "a file without records is removed")
				continue
			}
			left, err := disk.ReadFile(m, logFile, 1<<20)
			require.NoError(t, err)
			require.Equal(t, whole[:at[good]], left)
			mustHave(t, l, 0, zxids(1, znode.Zxid(good))...)
		}
	}
}

// Every bit of every record and of the header, with the mark at the end as a server leaves it: all are noticed, and nothing is
// touched.
func TestEveryFlippedBitBelowTheMark(t *testing.T) {
	g := group(1, 3, 40)
	for _, zeros := range []int{0, 700} {
		whole := fileOf(zeros, g...)
		end := len(whole) - zeros
		m := memWith(t, map[string][]byte{"log.1": whole})
		l := mustOpen(t, m, nil)
		require.EqualValues(t, 3, l.Last())
		mark := Mark{File: 1, Offset: int64(end), Zxid: 3, Sum: uint32(bigEndian(whole[ends(g)[2]:]))}
		for bit := range end * 8 {
			b := bytes.Clone(whole)
			b[bit/8] ^= 1 << (bit % 8)
			m := memWith(t, map[string][]byte{"log.1": b})
			_, err := Open(m, dir, &Options{Mark: mark})
			d := mustBeDamage(t, err, logFile)
			require.LessOrEqual(t, d.Offset, int64(bit/8), "bit %d", bit)
			left, err := disk.ReadFile(m, logFile, 1<<20)
			require.NoError(t, err)
			require.Equal(t, b, left)
		}
	}
}

func bigEndian(b []byte) (n uint64) {
	for _, c := range b[:8] {
		n = n<<8 | uint64(c)
	}
	return n
}

// Without a mark the last record's flips are told from a crash too: no sector is missing.
func TestEveryFlippedBitWithoutAMark(t *testing.T) {
	g := group(1, 3, 40)
	for _, zeros := range []int{0, 700} {
		whole := fileOf(zeros, g...)
		for bit := range (len(whole) - zeros) * 8 {
			b := bytes.Clone(whole)
			b[bit/8] ^= 1 << (bit % 8)
			_, err := Open(memWith(t, map[string][]byte{"log.1": b}), dir, nil)
			mustBeDamage(t, err, logFile)
		}
	}
}

// Flips in a file that is not the last are found by whoever reads it, also where the next one begins an epoch, which follows on any
// record.
func TestEveryFlippedBitInAnEarlierFile(t *testing.T) {
	const epoch = 1 << 32
	for name, next := range map[string]Record{"log.4": record(4, 20), "log.100000001": record(epoch+1, 20)} {
		for _, zeros := range []int{0, 700} {
			first, second := fileOf(zeros, group(1, 3, 20)...), fileOf(0, next)
			for bit := range (len(first) - zeros) * 8 {
				b := bytes.Clone(first)
				b[bit/8] ^= 1 << (bit % 8)
				l := mustOpen(t, memWith(t, map[string][]byte{"log.1": b, name: second}), nil)
				_, err := read(l, 1)
				require.ErrorIs(t, err, disk.ErrDamaged, "bit %d, then %s", bit, name)
			}
		}
	}
}

// A crash with a group of several records in flight, behind records that are synced: whatever sectors survive, the log opens,
// has what was synced, and of the rest a beginning.
func TestCrashInsideAGroup(t *testing.T) {
	for seed := range uint64(300) {
		r := rand.New(rand.NewPCG(seed, 7))
		m := newMem(t)
		opts := &Options{Prealloc: []int64{-1, 3000, 100_000}[seed%3]}
		l := mustOpen(t, m, opts)
		synced := znode.Zxid(r.IntN(4))
		if synced > 0 {
			mustAppend(t, l, group(1, int(synced), r.IntN(900)))
			opts.Mark = l.Mark()
		} else {
			opts.Mark = Mark{File: 1}
		}
		for range 1 + r.IntN(2) { // one or two writes before the sync that never came
			require.NoError(t, l.Append(group(l.Last()+1, 1+r.IntN(9), r.IntN(900))))
		}
		m = m.CrashClone(disk.KeepSome(r, 0.2+0.6*r.Float64()))
		l, err := Open(m, dir, opts)
		require.NoError(t, err, "seed %d", seed)
		require.GreaterOrEqual(t, l.Last(), synced)
		mustHave(t, l, 0, zxids(1, l.Last())...)
		opts.Mark = Mark{}
		again := mustOpen(t, m, opts)
		require.Equal(t, l.Last(), again.Last(), "what was cut is gone for good, also for Apache")
		require.Zero(t, again.Tail().Cut)
	}
}

func TestHoleWithGoodRecordsBehind(t *testing.T) {
	g := group(1, 6, 700)
	whole, at := fileOf(100, g...), ends(g)
	hole := bytes.Clone(whole)
	clear(hole[2048 : 2048+512]) // inside record 3
	_, err := Open(memWith(t, map[string][]byte{"log.1": hole}), dir, nil)
	d := mustBeDamage(t, err, logFile)
	require.EqualValues(t, at[2], d.Offset, "without a mark the records behind may have been acknowledged")

	sum := uint32(bigEndian(hole[at[1]:]))
	l, err := Open(memWith(t, map[string][]byte{"log.1": hole}), dir, &Options{Mark: Mark{File: 1, Offset: int64(at[2]), Zxid: 2, Sum: sum}})
	require.NoError(t, err)
	require.EqualValues(t, 2, l.Last())
	require.EqualValues(t, at[6]-at[2], l.Tail().Cut)

	_, err = Open(memWith(t, map[string][]byte{"log.1": hole}), dir, &Options{Mark: Mark{File: 1, Offset: int64(at[3]), Zxid: 3}})
	mustBeDamage(t, err, logFile)

	flip := bytes.Clone(whole)
	flip[at[2]+100] ^= 4
	_, err = Open(memWith(t, map[string][]byte{"log.1": flip}), dir, &Options{Mark: Mark{File: 1, Offset: int64(at[2]), Zxid: 2, Sum: sum}})
	mustBeDamage(t, err, logFile) // no crash makes this, also above the mark
}

func TestGarbageBehindTheEnd(t *testing.T) {
	g := group(1, 2, 40)
	whole := append(fileOf(0, g...), bytes.Repeat([]byte("garbage!"), 20)...)
	_, err := Open(memWith(t, map[string][]byte{"log.1": whole}), dir, nil)
	mustBeDamage(t, err, logFile)
	inZeros := fileOf(3000, g...)
	inZeros[len(inZeros)-1] = 1
	l := mustOpen(t, memWith(t, map[string][]byte{"log.1": inZeros}), nil)
	require.EqualValues(t, 2, l.Last(), "a sector of an unsynced group may come without those before it")
}

func TestMarkAgainstTheLog(t *testing.T) {
	g := group(1, 3, 40)
	whole, at := fileOf(50, g...), ends(g)
	sum := func(i int) uint32 { return uint32(bigEndian(whole[at[i]:])) }
	for name, c := range map[string]struct {
		mark  Mark
		stale bool
		bad   bool
	}{
		"none":                 {},
		"at the end":           {mark: Mark{File: 1, Offset: int64(at[3]), Zxid: 3, Sum: sum(2)}},
		"lagging":              {mark: Mark{File: 1, Offset: int64(at[1]), Zxid: 1, Sum: sum(0)}},
		"nothing synced yet":   {mark: Mark{File: 1}},
		"file not there yet":   {mark: Mark{File: 4, Zxid: 3}},
		"other record":         {mark: Mark{File: 1, Offset: int64(at[1]), Zxid: 1, Sum: sum(1)}, stale: true},
		"inside a record":      {mark: Mark{File: 1, Offset: int64(at[1] + 5), Zxid: 1, Sum: sum(0)}, stale: true},
		"beyond the end":       {mark: Mark{File: 1, Offset: int64(at[3] + 20), Zxid: 4}, bad: true},
		"log without its tail": {mark: Mark{File: 4, Offset: 100, Zxid: 5}, bad: true},
	} {
		l, err := Open(memWith(t, map[string][]byte{"log.1": whole}), dir, &Options{Mark: c.mark})
		if c.bad {
			require.ErrorIs(t, err, disk.ErrDamaged, name)
			continue
		}
		require.NoError(t, err, name)
		require.EqualValues(t, 3, l.Last(), name)
		require.Equal(t, c.stale, l.Tail().MarkStale, name)
	}
}

func TestSeveralFiles(t *testing.T) {
	one, two := fileOf(0, group(1, 3, 20)...), fileOf(64, group(4, 2, 20)...)
	torn := one[:len(one)-10]
	type files = map[string][]byte
	for name, c := range map[string]struct {
		files   files
		from    znode.Zxid
		want    []znode.Zxid
		openBad bool
		bad     string // file a reader must complain about
	}{
		"two":                               {files{"log.1": one, "log.4": two}, 1, zxids(1, 5), false, ""},
		"later ones only":                   {files{"log.1": one, "log.4": two}, 4, zxids(4, 5), false, ""},
		"gap":                               {files{"log.1": one, "log.5": fileOf(0, group(5, 1, 9)...)}, 1, zxids(1, 3), false, "log.5"},
		"gap before what is wanted":         {files{"log.1": one, "log.5": fileOf(0, group(5, 1, 9)...)}, 5, zxids(5, 5), false, ""},
		"torn, the next goes on":            {files{"log.1": torn, "log.3": fileOf(0, group(3, 2, 9)...)}, 1, zxids(1, 4), false, ""},
		"torn, the next begins an epoch":    {files{"log.1": torn, "log.100000001": fileOf(0, record(1<<32+1, 9))}, 1, append(zxids(1, 2), 1<<32+1), false, ""},
		"torn, the next does not":           {files{"log.1": torn, "log.4": two}, 1, zxids(1, 2), false, "log.1"},
		"overlap":                           {files{"log.1": one, "log.3": fileOf(0, group(3, 2, 9)...)}, 1, zxids(1, 3), false, "log.3"},
		"last one empty":                    {files{"log.1": one, "log.4": nil}, 1, zxids(1, 3), false, ""},
		"last two empty or torn":            {files{"log.1": one, "log.4": two[:30], "log.5": two[:9]}, 1, zxids(1, 3), false, ""},
		"middle one empty":                  {files{"log.1": one, "log.3": nil, "log.4": two}, 1, zxids(1, 5), false, ""},
		"swapped names":                     {files{"log.1": two, "log.4": one}, 1, nil, true, ""},
		"not after its name":                {files{"log.1": two[:16+0], "log.2": two}, 1, nil, true, ""},
		"starts too late":                   {files{"log.4": two}, 2, nil, false, "log.4"},
		"no header":                         {files{"log.1": append([]byte("ZKSN"), one[4:]...)}, 1, nil, true, ""},
		"zeros only":                        {files{"log.1": make([]byte, 5000)}, 1, nil, false, ""},
		"first sector lost, records behind": {files{"log.1": append(make([]byte, 600), fileOf(0, group(1, 2, 900)...)[600:]...)}, 1, nil, true, ""},
		"names Apache would take":           {files{"log.1": one, "log.4.bak": two, "log.zz": two}, 1, zxids(1, 3), false, ""},
	} {
		t.Run(name, func(t *testing.T) {
			l, err := Open(memWith(t, c.files), dir, nil)
			if c.openBad {
				require.ErrorIs(t, err, disk.ErrDamaged)
				return
			}
			require.NoError(t, err)
			got, err := read(l, c.from)
			require.Equal(t, c.want, got)
			if c.bad == "" {
				require.NoError(t, err)
				return
			}
			mustBeDamage(t, err, dir+"/"+c.bad)
		})
	}
}

// ZOOKEEPER-4575 made Apache's server log a request it cannot decode as an error with the zxid of the record before.
func TestApachesDuplicateError(t *testing.T) {
	dup := record(2, 0)
	dup.Payload = append(dup.Payload[:28:28], 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xfb)
	b := fileOf(0, group(1, 2, 5)...)
	b = append(b, fileOf(0, dup)[fileHeaderLen:]...)
	b = append(b, fileOf(0, record(3, 5))[fileHeaderLen:]...)
	l := mustOpen(t, memWith(t, map[string][]byte{"log.1": b}), nil)
	mustHave(t, l, 0, 1, 2, 3)
}

func TestReadErrorIsNotTheEnd(t *testing.T) {
	m := memWith(t, map[string][]byte{"log.1": fileOf(0, group(1, 3, 200)...)})
	boom := fmt.Errorf("input/output error")
	m.SetFault(func(op disk.Op) disk.Fault {
		if op.Kind == disk.OpRead && op.Len > fileHeaderLen {
			return disk.Fault{Err: boom}
		}
		return disk.Fault{}
	})
	_, err := Open(m, dir, nil)
	require.ErrorIs(t, err, boom)
	m.SetFault(nil)
	l := mustOpen(t, m, nil)
	m.SetFault(func(op disk.Op) disk.Fault {
		if op.Kind == disk.OpRead {
			return disk.Fault{Err: boom}
		}
		return disk.Fault{}
	})
	_, err = read(l, 1)
	require.ErrorIs(t, err, boom)
}

func FuzzLog(f *testing.F) {
	g := group(1, 3, 40)
	f.Add(fileOf(20, g...), uint16(0))
	f.Add(fileOf(0, g...), uint16(150))
	f.Add([]byte("ZKLG\x00\x00\x00\x02"), uint16(3))
	whole := fileOf(600, g...)
	clear(whole[100:140])
	f.Add(whole, uint16(0))
	f.Fuzz(func(t *testing.T, b []byte, mark uint16) {
		m := memWith(t, map[string][]byte{"log.1": b})
		l, err := Open(m, dir, &Options{Prealloc: -1, Mark: Mark{File: 1, Offset: int64(mark)}})
		if err != nil {
			require.ErrorIs(t, err, disk.ErrDamaged)
			return
		}
		got, err := read(l, 1)
		if err != nil { // opening looks at the end only, reading at the order too
			require.ErrorIs(t, err, disk.ErrDamaged)
			return
		}
		if len(got) == 0 || len(got) > 1 && got[0] != 1 {
			return
		}
		last := got[len(got)-1]
		require.Equal(t, l.Last(), last)
		mustAppend(t, l, group(last+1, 1, 3))
		require.NoError(t, l.Close())
		mustHave(t, mustOpen(t, m, nil), last, last, last+1)
	})
}

// What a process finds is on the disk before it goes on, also if the process before ended without syncing it, or because it could not be
// synced: no power failure takes from the log what Open has found in it.
func TestWhatIsFoundIsDurable(t *testing.T) {
	for name, prealloc := range map[string]int64{"with room behind": 4096, "to the end of the file": -1} {
		for _, failed := range []bool{false, true} {
			for _, marked := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s, failed %v, marked %v", name, failed, marked), func(t *testing.T) {
					m := newMem(t)
					l := mustOpen(t, m, &Options{Prealloc: prealloc})
					mustAppend(t, l, group(1, 2, 100))
					mark := l.Mark()
					require.NoError(t, l.Append(group(3, 2, 1000)))
					if failed {
						m.SetFault(func(op disk.Op) disk.Fault {
							if op.Kind != disk.OpSync {
								return disk.Fault{}
							}
							return disk.Fault{Err: errors.New("boom"), Drop: true}
						})
						_, err := l.Sync()
						require.ErrorIs(t, err, disk.ErrBroken)
					}
					m = m.Reopen()
					opts := &Options{Prealloc: prealloc}
					if marked {
						opts.Mark = mark
					}
					mustHave(t, mustOpen(t, m, opts), 1, zxids(1, 4)...)
					mustHave(t, mustOpen(t, m.CrashClone(disk.KeepNone), nil), 1, zxids(1, 4)...)
				})
			}
		}
	}
}

// The same for a cut.
func TestACutThatIsFoundIsDurable(t *testing.T) {
	m := newMem(t)
	l := mustOpen(t, m, nil)
	mustAppend(t, l, group(1, 4, 100))
	require.NoError(t, l.Roll())
	m.SetFault(func(op disk.Op) disk.Fault {
		if op.Kind != disk.OpSync {
			return disk.Fault{}
		}
		return disk.Fault{Err: errors.New("boom"), Drop: true}
	})
	require.Error(t, l.Truncate(2))
	m = m.Reopen()
	l = mustOpen(t, m, nil)
	require.EqualValues(t, 2, l.Last())
	other := znode.MakeZxid(1, 1)
	mustAppend(t, l, group(other, 2, 100))
	mustHave(t, mustOpen(t, m.CrashClone(disk.KeepNone), nil), 1, append(zxids(1, 2), zxids(other, other+1)...)...)
}

// The same for a name: the process before ended between giving a file its name and syncing the directory.
func TestNamesThatAreFoundAreDurable(t *testing.T) {
	m := newMem(t)
	l := mustOpen(t, m, nil)
	require.NoError(t, l.Append(group(1, 2, 100)))
	m = m.Reopen()
	mustHave(t, mustOpen(t, m, nil), 1, zxids(1, 2)...)
	mustHave(t, mustOpen(t, m.CrashClone(disk.KeepNone), nil), 1, zxids(1, 2)...)
}
