// Package quorum answers one question: are these enough? A [Config] says who belongs to the ensemble, who of them votes, and
// which sets of voters may decide. Any two such sets have a voter in common, which is all that elections and agreement stand
// on.
//
// Most often every voter counts the same and more than half are enough (class QuorumMaj). With groups and weights
// (class QuorumHierarchical) a set is enough when it is more than half of the weight in more than half of the groups; groups
// without weight do not count.
//
// A Config is a plain value, written in the lines of zoo.cfg and of /zookeeper/config ([Parse], [Config.String]). It may be read
// concurrently as long as nobody changes it. Versions are compared by whoever has two of them.
package quorum

import (
	"maps"
	"slices"

	"github.com/bellwether-zk/bellwether/ensemble/internal/packet"
)

// A Config is one version of the ensemble's membership.
type Config struct {
	Members []Member // in the order of their ids after Parse
	// Groups and Weights are both empty where every voter counts the same. Otherwise each voter is in one group, and weighs 1
	// unless Weights says otherwise. What they say about servers that do not vote has no meaning.
	Groups  map[packet.ServerID]int64
	Weights map[packet.ServerID]int64
	Version int64
}

// A Member is one server of the ensemble.
type Member struct {
	ID           packet.ServerID
	Addrs        []Addr // at least one
	Observer     bool   // follows, but does not vote
	Client       string // host:port for clients, empty where it is not told
	SecureClient string // the same for TLS; only younger servers than 3.9 tell it
}

// An Addr is where a member can be reached by other members, on one of its networks.
type Addr struct {
	Host         string // a name or an IP, without brackets
	QuorumPort   int
	ElectionPort int
}

// Quorum reports whether the voters for whom has says yes are enough. It allocates nothing.
func (c *Config) Quorum(has func(packet.ServerID) bool) bool {
	if c.hierarchical() {
		return c.quorumOfGroups(has)
	}
	voters, yes := 0, 0
	for i := range c.Members {
		if m := &c.Members[i]; !m.Observer {
			voters++
			if has(m.ID) {
				yes++
			}
		}
	}
	return yes > voters/2
}

// quorumOfGroups visits each group at its first voter.
func (c *Config) quorumOfGroups(has func(packet.ServerID) bool) bool {
	groups, enough := 0, 0
	for i := range c.Members {
		group := c.Groups[c.Members[i].ID]
		if c.Members[i].Observer || c.firstVoterOf(group) != i {
			continue
		}
		var total, yes int64
		for j := i; j < len(c.Members); j++ {
			m := &c.Members[j]
			if m.Observer || c.Groups[m.ID] != group {
				continue
			}
			total += c.weight(m.ID)
			if has(m.ID) {
				yes += c.weight(m.ID)
			}
		}
		if total > 0 {
			groups++
		}
		if yes > total/2 {
			enough++
		}
	}
	return enough > groups/2
}

func (c *Config) firstVoterOf(group int64) int {
	return slices.IndexFunc(c.Members, func(m Member) bool { return !m.Observer && c.Groups[m.ID] == group })
}

func (c *Config) hierarchical() bool { return len(c.Groups) > 0 || len(c.Weights) > 0 }

func (c *Config) weight(id packet.ServerID) int64 {
	if w, ok := c.Weights[id]; ok {
		return w
	}
	return 1
}

// Weight is what id's vote counts: 0 for who does not vote, and for a voter that must never lead.
func (c *Config) Weight(id packet.ServerID) int64 {
	if !c.Voter(id) {
		return 0
	}
	return c.weight(id)
}

// Voter reports whether id is a member that votes.
func (c *Config) Voter(id packet.ServerID) bool {
	for i := range c.Members {
		if c.Members[i].ID == id {
			return !c.Members[i].Observer
		}
	}
	return false
}

// Voters returns the ids of those who vote, ascending.
func (c *Config) Voters() []packet.ServerID {
	ids := make([]packet.ServerID, 0, len(c.Members))
	for _, m := range c.Members {
		if !m.Observer {
			ids = append(ids, m.ID)
		}
	}
	slices.Sort(ids)
	return ids
}

// Member returns the member with that id.
func (c *Config) Member(id packet.ServerID) (Member, bool) {
	for _, m := range c.Members {
		if m.ID == id {
			return m, true
		}
	}
	return Member{}, false
}

// Equal reports whether both say the same: the same members with the same roles and addresses, the same groups, the same
// weights. Order, spelling and version do not matter.
func (c *Config) Equal(other *Config) bool {
	return slices.EqualFunc(c.sorted(), other.sorted(), Member.equal) &&
		maps.Equal(c.grouped(), other.grouped())
}

func (m Member) equal(o Member) bool {
	return m.ID == o.ID && m.Observer == o.Observer && m.Client == o.Client && m.SecureClient == o.SecureClient &&
		slices.Equal(m.sortedAddrs(), o.sortedAddrs())
}

func (m Member) sortedAddrs() []Addr {
	return slices.SortedFunc(slices.Values(m.Addrs), Addr.compare)
}

func (c *Config) sorted() []Member {
	return slices.SortedFunc(slices.Values(c.Members), func(a, b Member) int { return compareIDs(a.ID, b.ID) })
}

// share is a voter's part in a hierarchical quorum.
type share struct{ group, weight int64 }

func (c *Config) grouped() map[packet.ServerID]share {
	if !c.hierarchical() {
		return nil
	}
	shares := make(map[packet.ServerID]share)
	for _, id := range c.Voters() {
		shares[id] = share{c.Groups[id], c.weight(id)}
	}
	return shares
}
