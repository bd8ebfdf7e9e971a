package txnlog

import (
	"hash/adler32"
	"path/filepath"
	"slices"

	"github.com/bellwether-zk/bellwether/ensemble/internal/disk"
	"github.com/bellwether-zk/bellwether/ensemble/internal/znode"
)

// Truncate removes every record after zxid, durably. It is what TRUNC from a leader asks for, except that Apache's (class
// FileTxnLog) keeps one record too many if zxid itself is not in the log. Whether history up to zxid is still there, in the log
// or a snapshot, is the caller's question: afterwards Last is the last record that was left, 0 if none. A failure breaks the
// log; a crash on the way leaves a log without gaps that ends after zxid, to be truncated again.
func (l *Log) Truncate(after znode.Zxid) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.account.failure(); err != nil {
		return err
	}
	if err := l.finishFile(); err != nil {
		return err
	}
	if l.last <= after {
		return nil
	}
	kept, mark := len(l.files), Mark{}
	for ; kept > 0 && mark.Zxid == 0; kept-- {
		var err error
		if mark, err = l.lastUpTo(l.files[kept-1], after); err != nil {
			return err
		}
	}
	if mark.Zxid != 0 {
		kept++ // the loop has gone past the file that has it
	}
	if err := l.removeFrom(kept); err != nil {
		return err
	}
	if kept > 0 {
		if err := truncateFile(l.fsys, l.path(mark.File), mark.Offset); err != nil {
			return l.broken(err)
		}
	}
	l.last, l.synced, l.mark = mark.Zxid, mark.Zxid, mark
	return nil
}

// removeFrom removes the files from the i-th on, durably, the newest first and one after the other, or a crash could leave a gap.
func (l *Log) removeFrom(i int) error {
	for _, z := range slices.Backward(l.files[i:]) {
		err := l.fsys.Remove(l.path(z))
		if err == nil {
			err = l.fsys.SyncDir(l.dir)
		}
		if err != nil {
			return l.broken(err)
		}
	}
	l.files = l.files[:i]
	return nil
}

// Clear removes every record, durably: history up to zxid is held elsewhere, in a snapshot that came from another server, and
// the next record must follow that, whether the last one here was before it or after it. A failure breaks the log; a crash
// on the way leaves a log without gaps, to be cleared again.
func (l *Log) Clear(zxid znode.Zxid) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.account.failure(); err != nil {
		return err
	}
	if err := l.finishFile(); err != nil {
		return err
	}
	if err := l.removeFrom(0); err != nil {
		return err
	}
	l.last, l.synced, l.mark = zxid, zxid, Mark{}
	return nil
}

// Highest is the highest zxid that a directory's log files show by their names and by the records that can be read at the
// beginning of the last one, whatever else is wrong with them; 0 if there is none.
func Highest(fsys disk.FS, dir string) (znode.Zxid, error) {
	files, err := Names(fsys, dir)
	if err != nil || len(files) == 0 {
		return 0, err
	}
	highest := files[len(files)-1]
	s, what, err := openScanner(fsys, filepath.Join(dir, Name(highest)), -1)
	if err != nil {
		return highest, nil
	}
	defer s.close()
	for what == "" {
		payload, found, _, err := s.next()
		if err != nil || found != more {
			break
		}
		highest = max(highest, payloadZxid(payload))
	}
	return highest, nil
}

// lastUpTo finds the last record of a file with a zxid of at most zxid; the zero Mark if there is none.
func (l *Log) lastUpTo(file, zxid znode.Zxid) (m Mark, err error) {
	s, what, err := openScanner(l.fsys, l.path(file), -1)
	if err != nil {
		return m, err
	}
	defer s.close()
	if what != "" {
		return m, damage(l.path(file), 0, what)
	}
	for {
		payload, found, what, err := s.next()
		switch {
		case err != nil:
			return m, &disk.Damage{File: l.path(file), Offset: s.off, What: "cannot be read", Remedy: remedyRestore, Err: err}
		case found == corrupt:
			return m, damage(l.path(file), s.off, what)
		case found != more:
			return m, nil
		}
		z := payloadZxid(payload)
		if z > zxid {
			return m, nil
		}
		m = Mark{File: file, Offset: s.off, Zxid: z, Sum: adler32.Checksum(payload)}
	}
}

// Prune removes the files that hold no record from zxid on and none that may be needed to reach it: those before the last one
// that begins at or before zxid. It returns the paths removed, durably. The file being written stays.
func (l *Log) Prune(zxid znode.Zxid) ([]string, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.account.failure(); err != nil {
		return nil, err
	}
	first := 0
	for i, z := range l.files {
		if z <= zxid {
			first = i
		}
	}
	var removed []string
	for _, z := range l.files[:first] {
		if err := l.fsys.Remove(l.path(z)); err != nil {
			return removed, l.broken(err)
		}
		removed = append(removed, l.path(z))
	}
	if first > 0 {
		if err := l.fsys.SyncDir(l.dir); err != nil {
			return removed, l.broken(err)
		}
		l.files = slices.Clone(l.files[first:])
	}
	return removed, nil
}
