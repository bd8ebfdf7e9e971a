package ensemble_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bellwether-zk/bellwether/ensemble"
)

// TestStartReportsWhatIsWrongWithMembers has one fault a case, each of which must be named.
func TestStartReportsWhatIsWrongWithMembers(t *testing.T) {
	three := func(change func(o *ensemble.Options)) *ensemble.Options {
		o := &ensemble.Options{ServerID: 2, Members: []ensemble.Member{
			{ID: 1, Host: "127.0.0.1", QuorumPort: 1, ElectionPort: 2},
			{ID: 2, Host: "127.0.0.1", QuorumPort: 3, ElectionPort: 4},
			{ID: 3, Host: "127.0.0.1", QuorumPort: 5, ElectionPort: 6},
		}}
		change(o)
		return o
	}
	cases := []struct {
		want   string
		change func(o *ensemble.Options)
	}{
		{"ServerID 4 is not among them", func(o *ensemble.Options) { o.ServerID = 4 }},
		{"two with the ID 1", func(o *ensemble.Options) { o.Members[2].ID = 1 }},
		{"ID 0 is not between", func(o *ensemble.Options) { o.Members[2].ID = 0 }},
		{"3 has no Host", func(o *ensemble.Options) { o.Members[2].Host = "" }},
		{"QuorumPort 0 is not a port", func(o *ensemble.Options) { o.Members[2].QuorumPort = 0 }},
		{"ElectionPort 65536 is not a port", func(o *ensemble.Options) { o.Members[2].ElectionPort = 65536 }},
		{"1 and 3 are both at 127.0.0.1:1", func(o *ensemble.Options) { o.Members[2].QuorumPort = 1 }},
		{"3 and 3 are both at 127.0.0.1:6", func(o *ensemble.Options) { o.Members[2].QuorumPort = 6 }},
		{`ClientAddr "2181" is not host:port`, func(o *ensemble.Options) { o.Members[2].ClientAddr = "2181" }},
		{"nobody has a vote", func(o *ensemble.Options) {
			for i := range o.Members {
				o.Members[i].Observer = true
			}
		}},
		{"InitLimit -1", func(o *ensemble.Options) { o.Quorum.InitLimit = -1 }},
		{"SyncLimit -1", func(o *ensemble.Options) { o.Quorum.SyncLimit = -1 }},
		{"CommitLogCount -1", func(o *ensemble.Options) { o.Quorum.CommitLogCount = -1 }},
		{"ConnectTimeout -1ns", func(o *ensemble.Options) { o.Quorum.ConnectTimeout = -1 }},
	}
	for _, c := range cases {
		_, err := ensemble.Start(t.Context(), three(c.change))
		require.ErrorContains(t, err, c.want)
	}
}
