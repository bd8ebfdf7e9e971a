//go:build unix && !linux && !darwin

package disk

import (
	"math"
	"os"
)

func syncData(f *os.File) error { return f.Sync() }

func reserve(f *os.File, size int64) error { return extend(f, size) }

// freeSpace does not know.
func freeSpace(string) (int64, error) { return math.MaxInt64, nil }
