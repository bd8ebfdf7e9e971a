package lease

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/bellwether-zk/bellwether/client"
)

// ErrRecord tells that what stands in a lease's record is not one this package understands. It is left as it is.
var ErrRecord = errors.New("no record of a lease")

// format is the version of the record's form, which is kazoo's.
const format = 1

// timeForm is the form of times in kazoo's record, in UTC.
const timeForm = "2006-01-02T15:04:05"

// record is what stands in lease_holder. The first three are kazoo's, which does not mind the others.
type record struct {
	Version int    `json:"version"`
	Holder  string `json:"holder"`
	End     string `json:"end"`

	Grant string    `json:"grant,omitzero"` // names one grant of ours
	Token int64     `json:"token,omitzero"`
	Since time.Time `json:"since,omitzero"`

	end  time.Time
	stat client.Stat
	none bool // there is no node
}

func (r record) encode() []byte {
	r.Version, r.End = format, r.end.UTC().Format(timeForm)
	data, err := json.Marshal(r)
	if err != nil {
		panic(err) // there is nothing in it that could fail
	}
	return data
}

func decode(data []byte, stat client.Stat) (record, error) {
	r := record{stat: stat}
	err := json.Unmarshal(data, &r)
	if err == nil && r.Version != format {
		err = fmt.Errorf("version %d", r.Version)
	}
	if err == nil {
		r.end, err = time.Parse(timeForm, r.End)
	}
	if err != nil {
		return r, fmt.Errorf("%w: %w", ErrRecord, err)
	}
	return r, nil
}

// ceil is the first full second that is not before t.
func ceil(t time.Time) time.Time {
	if s := t.Truncate(time.Second); s.Before(t) {
		return s.Add(time.Second)
	}
	return t
}
