package snapshot

import (
	"errors"
	"path/filepath"

	"github.com/bellwether-zk/bellwether/ensemble/internal/disk"
)

// Verify reads a whole image and checks it. It needs little memory and may run beside everything else.
func Verify(fsys disk.FS, dir string, name Name) error {
	r, err := Open(fsys, dir, name)
	if err != nil {
		return err
	}
	defer r.Close()
	return r.Verify()
}

// Complete is the quick test by which Apache tells an image that was written to its end from one that was not, for there an
// unfinished image has its name already: a plain one ends like a seal, a compressed one begins like its format.
func Complete(fsys disk.FS, dir string, name Name) (bool, error) {
	f, err := fsys.Open(filepath.Join(dir, name.String()))
	if err != nil {
		return false, err
	}
	defer f.Close()
	size, err := f.Size()
	if err != nil || size < 10 {
		return false, err
	}
	want, off := sealTail, size-int64(len(sealTail))
	switch name.Compression {
	case Gzip:
		want, off = "\x1f\x8b", 0
	case Snappy:
		want, off = snappyHeader[:8], 0
	}
	b := make([]byte, len(want))
	if n, err := f.ReadAt(b, off); n < len(b) {
		return false, err
	}
	return string(b) == want, nil
}

// Found is what Newest found.
type Found struct {
	Name    Name
	Reader  *Reader        // read to its end and closed: for its Trailer, CRC and Size; nil if there is no good image
	Skipped []*disk.Damage // newer images that are not good
	// Unfinished are images that were never written to their end, as the quick test says; the newest first.
	Unfinished []Name
}

// Newest loads the newest good image: load is called with each candidate, newest first, must start from nothing each time,
// and reads it; if the image proves damaged, by what load returned or in what load left unread, the next is tried. Any other
// error of load ends the search and is returned.
//
// Without a good image Found.Reader is nil; the error is the newest one's *disk.Damage if there are images that claim to be
// whole, and nil if there are none.
func Newest(fsys disk.FS, dir string, load func(*Reader) error) (Found, error) {
	var found Found
	names, err := Names(fsys, dir)
	if err != nil {
		return found, err
	}
	for _, name := range names {
		if len(found.Skipped) == maxCandidates {
			break
		}
		whole, err := Complete(fsys, dir, name)
		if err != nil {
			return found, err
		}
		if !whole {
			found.Unfinished = append(found.Unfinished, name)
			continue
		}
		r, err := loadOne(fsys, dir, name, load)
		if err == nil {
			found.Name, found.Reader = name, r
			return found, nil
		}
		var d *disk.Damage
		if !errors.As(err, &d) {
			return found, err
		}
		found.Skipped = append(found.Skipped, d)
	}
	if len(found.Skipped) > 0 {
		return found, found.Skipped[0]
	}
	return found, nil
}

func loadOne(fsys disk.FS, dir string, name Name, load func(*Reader) error) (*Reader, error) {
	r, err := Open(fsys, dir, name)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	if err := load(r); err != nil {
		return nil, err
	}
	return r, r.Verify()
}
