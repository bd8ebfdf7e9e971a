package group

import (
	"regexp"
	"strings"

	"github.com/bellwether-zk/bellwether/client"
)

// Layout says how members are named, and so who is in one group with us.
type Layout int

const (
	MemberLayout       Layout = iota // Curator's GroupMember
	PartyLayout                      // kazoo's Party, whose members have no payload
	ShallowPartyLayout               // kazoo's ShallowParty
)

const party = "__party__"

var shallow = regexp.MustCompile(`^[0-9a-f]{32}-`)

// node returns the name and the data of a new member's node.
func (l Layout) node(id string, payload []byte) (name string, data []byte) {
	hex := strings.ReplaceAll(client.NewProtectionID(), "-", "")
	switch l {
	case PartyLayout:
		return hex + party, []byte(id)
	case ShallowPartyLayout:
		return hex + "-" + id, payload
	}
	return id, payload
}

// read takes a node apart; it is not ok if that is not named like a member's.
func (l Layout) read(name string, data []byte) (id string, payload []byte, ok bool) {
	switch l {
	case PartyLayout:
		return string(data), nil, strings.Contains(name, party) // as kazoo tells them
	case ShallowPartyLayout:
		prefix := shallow.FindString(name)
		return name[len(prefix):], data, prefix != ""
	}
	return name, data, true
}
