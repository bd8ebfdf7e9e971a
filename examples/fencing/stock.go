package main

import (
	"errors"
	"fmt"
	"os"
	"sync"

	"github.com/bellwether-zk/bellwether/recipes/lock/fence"
)

// Stock is a number of boxes in a file, for those who hold a lock. It knows nothing of the lock, and asks nobody about it: it remembers
// the greatest token it has seen, and has nothing to do with smaller ones. That is all that whatever a lock protects must do for it to
// be safe. (Package fence has it for tables of a database, and for HTTP servers.)
type Stock struct {
	path string
	mu   sync.Mutex // compares and writes as one
}

// Load returns how many boxes there are. It takes the token, too: from here on nobody who held the lock earlier changes the number that
// this holder is about to work with.
func (s *Stock) Load(token int64) (boxes int, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	boxes, err = s.admit(token)
	if err != nil {
		return 0, err
	}
	return boxes, s.write(token, boxes)
}

// Store replaces the number.
func (s *Stock) Store(token int64, boxes int) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, err := s.admit(token); err != nil {
		return err
	}
	return s.write(token, boxes)
}

// admit reads the file and refuses a token that is too small. There need not be a file.
func (s *Stock) admit(token int64) (boxes int, err error) {
	data, err := os.ReadFile(s.path)
	if errors.Is(err, os.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	var greatest int64
	if _, err := fmt.Sscan(string(data), &greatest, &boxes); err != nil {
		return 0, fmt.Errorf("%s: %w", s.path, err)
	}
	if token < greatest {
		return 0, fmt.Errorf("%w: token %d came after token %d", fence.ErrStale, token, greatest)
	}
	return boxes, nil
}

// write replaces the file by one with the token and the number: whoever reads has both or neither, and both outlast a restart.
func (s *Stock) write(token int64, boxes int) (err error) {
	next, err := os.Create(s.path + ".next")
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(next, token, boxes)
	if err = errors.Join(err, next.Sync(), next.Close()); err != nil {
		return err
	}
	return os.Rename(next.Name(), s.path)
}
