package store

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"path/filepath"

	"github.com/bellwether-zk/bellwether/ensemble/internal/disk"
	"github.com/bellwether-zk/bellwether/ensemble/internal/snapshot"
	"github.com/bellwether-zk/bellwether/ensemble/internal/txnlog"
	"github.com/bellwether-zk/bellwether/ensemble/internal/znode"
)

// The witness is the file bellwether.witness beside the snapshots; Apache's server and purge look only at names that begin with
// snapshot. or log. It is four fixed places, each with a CRC-32C at its end, overwritten in place:
//
//	0     statement, 4096 bytes     what is in the directory, and what comes next
//	4096  statement, 4096 bytes
//	8192  note, 512 bytes           how far the log is synced
//	8704  note, 512 bytes
//
// A statement is written, and synced, before what it announces is done; the places are used in turn, so that there is always a
// durable one. The later of the good ones counts. A note says which statement it belongs to and is ignored with any other. Notes
// are written after each Sync of the log, in turn, and synced every noteSyncEvery times or when Settle is called.
//
// How a difference between directory and witness is read:
//
//	a log file later than the one last announced         somebody else has written: the witness is stale
//	a snapshot never announced, or of another size       the same (Apache writes one whenever it starts to serve)
//	the log's file goes on differently at the note       the same
//	both epochs later than announced, and equal          the same, if there is a snapshot, as there is wherever Apache has
//	                                                     been (it has followed a leader and logged nothing), and the directory
//	                                                     was believed when it was last looked at; bits that flip alike in both
//	                                                     between two looks pass for that
//	the log ends before the note                         damage
//	an epoch that was never announced, or none           damage
//	a compressed snapshot that loads, of the right size,
//	with another checksum                                damage
//
// A stale witness counts for nothing; after recovery a new one states what was found. A blind one, made for a directory that was
// not believed and had no other, counts only for what it says of an Install (see install.go), and tells whether that is stale. Where
// the directory was not believed, the statement says that it is doubted, until a Recover or an Install: one flipped epoch that was
// noticed does not become somebody else's work by a second one like it.
const witnessName = "bellwether.witness"

const (
	statementLen  = 4096
	noteLen       = 512
	notesAt       = 2 * statementLen
	witnessLen    = notesAt + 2*noteLen
	noteSyncEvery = 256
	maxImages     = 100

	witnessMagic = "BWWITN01"
	noteMagic    = "BWNOTE01"
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// noEpoch is the value of an epoch whose file does not exist.
const noEpoch = -1

// An epochState is the content of an epoch file: Now, or Next while it is being replaced.
type epochState struct{ Now, Next int64 }

func (e epochState) allows(v int64) bool { return v == e.Now || v == e.Next }

// An imageState is a snapshot in the directory, or about to be.
type imageState struct {
	Name  snapshot.Name
	Size  int64
	CRC   uint32
	Known bool // whether CRC is known

	Replaces replaces // what it replaces when it is there
}

// A statement is what a witness says of its directory.
type statement struct {
	Generation uint64
	Epochs     [2]epochState // accepted, current
	Mark       txnlog.Mark   // File: the last log file, or the next one; the rest may lag
	Images     []imageState  // a name may be there twice, for the old file and the new
	Blind      bool          // nothing but the names and sizes in it is known
	Doubted    bool          // what was in the directory when this was stated was not believed
}

func (st *statement) images(name snapshot.Name) []imageState {
	var v []imageState
	for _, i := range st.Images {
		if i.Name == name {
			v = append(v, i)
		}
	}
	return v
}

// installing is the snapshot that is about to replace everything else, if there is one.
func (st *statement) installing() (imageState, bool) {
	for _, i := range st.Images {
		if i.Replaces != nothing {
			return i, true
		}
	}
	return imageState{}, false
}

// oldest is the zxid before which snapshots may be there that are not named, since there was no room for more.
func (st *statement) oldest() znode.Zxid {
	if len(st.Images) < maxImages {
		return 0
	}
	z := st.Images[0].Name.Zxid
	for _, i := range st.Images {
		z = min(z, i.Name.Zxid)
	}
	return z
}

// A witness is the open file.
type witness struct {
	path     string
	f        disk.File
	said     statement // the last one written, durable or not
	durable  int       // place of the durable one
	turn     int       // place of the next note
	unsynced int       // notes since the last sync
	count    uint64    // notes so far
	buf      [statementLen]byte
}

// readWitness reads the witness of a directory. ok is false if there is none, or none that can be read or used.
func readWitness(fsys disk.FS, dir string) (st statement, place int, ok bool) {
	b, err := disk.ReadFile(fsys, filepath.Join(dir, witnessName), 1<<20)
	if err != nil {
		return st, 0, false
	}
	return decodeWitness(b)
}

// decodeWitness finds the latest good statement, its place, and the latest good note that belongs to it.
func decodeWitness(b []byte) (st statement, place int, ok bool) {
	if len(b) != witnessLen {
		return st, 0, false
	}
	for i := range 2 {
		if s, good := decodeStatement(b[i*statementLen : (i+1)*statementLen]); good && (!ok || s.Generation > st.Generation) {
			st, place, ok = s, i, true
		}
	}
	if !ok {
		return st, 0, false
	}
	best := uint64(0)
	for i := range 2 {
		m, generation, count, good := decodeNote(b[notesAt+i*noteLen : notesAt+(i+1)*noteLen])
		if good && generation == st.Generation && count > best {
			st.Mark, best = m, count
		}
	}
	return st, place, true
}

// createWitness makes the file anew with one statement in both places and opens it.
func createWitness(fsys disk.FS, dir string, st statement) (*witness, error) {
	w := &witness{path: filepath.Join(dir, witnessName), said: st}
	b := make([]byte, 0, witnessLen)
	b = append(b, w.encode()...)
	b = append(b, b...)
	b = append(b, make([]byte, 2*noteLen)...)
	if err := disk.Replace(fsys, w.path, b); err != nil {
		return nil, err
	}
	f, err := fsys.Edit(w.path)
	w.f = f
	return w, err
}

// takeOver opens a file whose latest good statement is at place and writes st in its stead; that takes no space on a full disk.
func takeOver(fsys disk.FS, dir string, place int, generation uint64, st statement) (*witness, error) {
	w := &witness{path: filepath.Join(dir, witnessName), said: st, durable: place}
	w.said.Generation = generation
	var err error
	if w.f, err = fsys.Edit(w.path); err != nil {
		return nil, err
	}
	return w, w.state(func(*statement) {}, true)
}

// state writes a changed statement. With durable it is durable on return; without, it becomes so at some later time.
func (w *witness) state(change func(*statement), durable bool) error {
	change(&w.said)
	if n := len(w.said.Images); n > maxImages {
		w.said.Images = w.said.Images[n-maxImages:]
	}
	w.said.Generation++
	b := w.encode()
	other := 1 - w.durable
	if _, err := w.f.WriteAt(b, int64(other)*statementLen); err != nil {
		return err
	}
	if !durable {
		return nil
	}
	if err := w.f.Sync(); err != nil {
		return err
	}
	w.durable, w.unsynced = other, 0
	_, err := w.f.WriteAt(b, int64(1-other)*statementLen) // a copy, against a flipped bit; it may take its time
	return err
}

// note writes how far the log is synced. The disk being full is no failure: the note lags.
func (w *witness) note(m txnlog.Mark) error {
	if m == w.said.Mark || m.File == 0 {
		return nil
	}
	w.said.Mark = m
	w.count++
	w.unsynced++
	b := w.encodeNote(m)
	_, err := w.f.WriteAt(b, notesAt+int64(w.turn)*noteLen)
	w.turn = 1 - w.turn
	if err == nil && w.unsynced >= noteSyncEvery {
		err = w.settle()
	}
	if errors.Is(err, disk.ErrNoSpace) {
		return nil
	}
	return err
}

// settle makes the notes durable.
func (w *witness) settle() error {
	if w.unsynced == 0 {
		return nil
	}
	w.unsynced = 0
	return w.f.Sync()
}

func (w *witness) close() {
	if w.f != nil {
		w.f.Close()
	}
}

// encode lays out the present statement; the bytes are valid until the next call of encode or encodeNote.
func (w *witness) encode() []byte {
	b := append(w.buf[:0], witnessMagic...)
	b = binary.BigEndian.AppendUint64(b, w.said.Generation)
	for _, e := range w.said.Epochs {
		b = binary.BigEndian.AppendUint64(b, uint64(e.Now))
		b = binary.BigEndian.AppendUint64(b, uint64(e.Next))
	}
	b = appendMark(b, w.said.Mark)
	b = binary.BigEndian.AppendUint16(b, uint16(len(w.said.Images)))
	for _, i := range w.said.Images {
		b = binary.BigEndian.AppendUint64(b, uint64(i.Name.Zxid))
		b = append(b, compressionCode(i.Name.Compression), boolCode(i.Known)|byte(i.Replaces)<<1)
		b = binary.BigEndian.AppendUint64(b, uint64(i.Size))
		b = binary.BigEndian.AppendUint32(b, i.CRC)
	}
	b = append(b, boolCode(w.said.Blind)|boolCode(w.said.Doubted)<<1)
	return sealPlace(b, statementLen)
}

func (w *witness) encodeNote(m txnlog.Mark) []byte {
	b := append(w.buf[:0], noteMagic...)
	b = binary.BigEndian.AppendUint64(b, w.said.Generation)
	b = binary.BigEndian.AppendUint64(b, w.count)
	return sealPlace(appendMark(b, m), noteLen)
}

// sealPlace fills a place with zeros and the checksum.
func sealPlace(b []byte, size int) []byte {
	n := len(b)
	b = b[:size]
	clear(b[n:])
	binary.BigEndian.PutUint32(b[size-4:], crc32.Checksum(b[:size-4], castagnoli))
	return b
}

func openPlace(b []byte, magic string) bool {
	n := len(b) - 4
	return string(b[:len(magic)]) == magic && crc32.Checksum(b[:n], castagnoli) == binary.BigEndian.Uint32(b[n:])
}

func appendMark(b []byte, m txnlog.Mark) []byte {
	b = binary.BigEndian.AppendUint64(b, uint64(m.File))
	b = binary.BigEndian.AppendUint64(b, uint64(m.Offset))
	b = binary.BigEndian.AppendUint64(b, uint64(m.Zxid))
	return binary.BigEndian.AppendUint32(b, m.Sum)
}

const markLen = 28

func decodeMark(b []byte) txnlog.Mark {
	return txnlog.Mark{
		File: znode.Zxid(binary.BigEndian.Uint64(b)), Offset: int64(binary.BigEndian.Uint64(b[8:])),
		Zxid: znode.Zxid(binary.BigEndian.Uint64(b[16:])), Sum: binary.BigEndian.Uint32(b[24:]),
	}
}

func decodeStatement(b []byte) (st statement, ok bool) {
	if !openPlace(b, witnessMagic) {
		return st, false
	}
	b = b[len(witnessMagic) : len(b)-4]
	st.Generation, b = binary.BigEndian.Uint64(b), b[8:]
	for i := range st.Epochs {
		st.Epochs[i] = epochState{int64(binary.BigEndian.Uint64(b)), int64(binary.BigEndian.Uint64(b[8:]))}
		b = b[16:]
	}
	st.Mark, b = decodeMark(b), b[markLen:]
	n := int(binary.BigEndian.Uint16(b))
	b = b[2:]
	const imageLen = 22
	if n > maxImages || n*imageLen >= len(b) {
		return st, false
	}
	for range n {
		c, good := compressionOf(b[8])
		r := replaces(b[9] >> 1)
		if !good || r > everythingAside {
			return st, false
		}
		st.Images = append(st.Images, imageState{
			Name: snapshot.Name{Zxid: znode.Zxid(binary.BigEndian.Uint64(b)), Compression: c}, Known: b[9]&1 == 1, Replaces: r,
			Size: int64(binary.BigEndian.Uint64(b[10:])), CRC: binary.BigEndian.Uint32(b[18:]),
		})
		b = b[imageLen:]
	}
	st.Blind, st.Doubted = b[0]&1 != 0, b[0]&2 != 0
	return st, b[0] <= 3
}

func decodeNote(b []byte) (m txnlog.Mark, generation, count uint64, ok bool) {
	if !openPlace(b, noteMagic) {
		return m, 0, 0, false
	}
	b = b[len(noteMagic):]
	return decodeMark(b[16:]), binary.BigEndian.Uint64(b), binary.BigEndian.Uint64(b[8:]), true
}

var compressions = [...]snapshot.Compression{snapshot.None, snapshot.Gzip, snapshot.Snappy}

func compressionCode(c snapshot.Compression) byte {
	for i, k := range compressions {
		if k == c {
			return byte(i)
		}
	}
	panic("store: unknown compression " + string(c))
}

func compressionOf(code byte) (snapshot.Compression, bool) {
	if int(code) >= len(compressions) {
		return "", false
	}
	return compressions[code], true
}

func boolCode(v bool) byte {
	if v {
		return 1
	}
	return 0
}
