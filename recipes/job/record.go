package job

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/bellwether-zk/bellwether/client"
)

// ErrRecord tells that the record of a job is not one this package understands. It is left as it is.
var ErrRecord = errors.New("no record of a job")

// Outcome is what came of a run.
type Outcome string

// The outcomes there are. The package comment has what they mean.
const (
	Running Outcome = "running" // it has begun
	Done    Outcome = "done"
	Failed  Outcome = "failed"
	Overran Outcome = "overran"
	Stopped Outcome = "stopped"
	Unknown Outcome = "unknown"
)

// Record is the last run of a job, as it is kept. Its times are by the servers' clock, as well as the process knew it that wrote them.
type Record struct {
	Scheduled time.Time `json:"scheduled,omitzero"` // the time it was for; zero if there was no run yet
	Missed    time.Time `json:"missed,omitzero"`    // the first of the times before it that were not run; zero if there were none
	Attempt   int       `json:"attempt,omitzero"`   // which run for that time it is, from 1
	By        string    `json:"by,omitzero"`        // Options.ID of who ran it
	Token     int64     `json:"token,omitzero"`     // Execution.Token
	Started   time.Time `json:"started,omitzero"`
	Ended     time.Time `json:"ended,omitzero"` // when the function had returned, or AtMost was over, or the end was found out; zero while it runs
	Outcome   Outcome   `json:"outcome,omitzero"`
	Error     string    `json:"error,omitzero"` // what the function returned
}

// format is the version of the record's form.
const format = 1

// record is a Record in its node.
type record struct {
	Format int `json:"version"`
	Record
	// ID is that of the one run it is about, so that who wrote it knows its own writing.
	ID string `json:"id,omitzero"`

	stat client.Stat
}

// encode returns the node's data.
func (r record) encode() []byte {
	r.Format = format
	if r.Outcome == Running {
		r.Token, r.Started = 0, time.Time{} // which the servers say when it is written
	}
	data, err := json.Marshal(r)
	if err != nil {
		panic(err) // there is nothing in it that could fail
	}
	return data
}

// decode reads a node.
func decode(data []byte, stat client.Stat) (record, error) {
	var r record
	if err := json.Unmarshal(data, &r); err != nil {
		return record{}, fmt.Errorf("%w: %w", ErrRecord, err)
	}
	if r.Format != format {
		return record{}, fmt.Errorf("%w: version %d", ErrRecord, r.Format)
	}
	return r.written(stat), nil
}

// written is a record with what the servers have said when it was written.
func (r record) written(stat client.Stat) record {
	r.stat = stat
	switch {
	case r.Outcome == Running:
		r.Token, r.Started = stat.Mzxid, stat.Mtime.UTC()
	case r.Outcome == Unknown && r.Ended.IsZero():
		r.Ended = stat.Mtime.UTC()
	}
	return r
}

// base is the time after which the next one is.
func (r record) base() time.Time {
	if r.Scheduled.IsZero() {
		return r.stat.Ctime
	}
	return r.Scheduled
}
