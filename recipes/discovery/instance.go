package discovery

import (
	"bytes"
	"encoding/json"
	"net"
	"slices"
	"strconv"
	"time"
)

// Instance is one instance of a service: where it is reached, and what it says of itself. T is what the service adds to it, its payload; an
// Instance[struct{}] has none. It is a value; what is reached through it, such as Tags, is shared by its copies.
type Instance[T any] struct {
	Name string // of the service; required
	ID   string // among the instances of the service. Default, to register: a random UUID.

	Address string // host name or IP address; empty: not told
	Port    int    // 0: none
	TLSPort int    // 0: none
	URISpec URISpec

	Payload T

	Type       Type      // Default: Dynamic.
	Registered time.Time // to the millisecond, by the registrant's clock. Default, to register: now.

	// What follows is more than Curator has. Its readers see of it that an instance which is not up is not enabled.

	Status  Status // Default: Up.
	Weight  int    // its share of the work in relation to others'. Default, and of what is less than 1: 1.
	Zone    string // where it stands, such as a data centre
	Version string // of the software
	Tags    []string

	read *record // what it was read from; nil if it was made here
}

// Status is how an instance is. One of another name, from a later version of this package, is taken for Down by whoever chooses.
type Status string

// The statuses. The zero Status is Up.
const (
	Starting Status = "starting" // not ready yet
	Up       Status = "up"       // ready for requests
	Draining Status = "draining" // finishes what it has, and is about to leave
	Down     Status = "down"     // out of service
)

// Type says how long an instance stays registered (ServiceType in Curator).
type Type string

// The types, with Curator's names. The zero Type is Dynamic.
const (
	Dynamic           Type = "DYNAMIC"            // goes with the process that registers it, at the latest a session's timeout after its death
	DynamicSequential Type = "DYNAMIC_SEQUENTIAL" // the same, and the node gets a number, so that two instances may have one id
	Static            Type = "STATIC"             // stays when the process dies, and goes with Registration.Close
	Permanent         Type = "PERMANENT"          // stays until somebody removes it
)

// HostPort returns the address and the port as net.Dial takes them: the TLS port if there is no other.
func (i *Instance[T]) HostPort() string {
	port := i.Port
	if port == 0 {
		port = i.TLSPort
	}
	return net.JoinHostPort(i.Address, strconv.Itoa(port))
}

// Available tells whether the instance is up.
func (i *Instance[T]) Available() bool { return i.Status == Up || i.Status == "" }

// Share returns the weight, and 1 if there is none.
func (i *Instance[T]) Share() int { return max(i.Weight, 1) }

// Has tells whether the instance has all these tags.
func (i *Instance[T]) Has(tags ...string) bool {
	for _, tag := range tags {
		if !slices.Contains(i.Tags, tag) {
			return false
		}
	}
	return true
}

// Matches tells whether a query means the instance.
func (i *Instance[T]) Matches(q Query) bool {
	return q.status(i.Status) && (q.Zone == "" || q.Zone == i.Zone) && (q.Version == "" || q.Version == i.Version) && i.Has(q.Tags...)
}

// record is what an instance was read from, as far as it is more than an Instance says.
type record struct {
	fields object // that Curator and this package do not know
	extras object // of the same kind, among ours
	class  string // the Java class of the payload
	raw    json.RawMessage
}

// member is a field of a JSON object, and object all of them in their order.
type member struct {
	name  string
	value json.RawMessage
}

type object []member

// parseObject reads an object. Of a field that is there twice the last is taken, as by Java and by encoding/json.
func parseObject(data []byte) (object, error) {
	d := json.NewDecoder(bytes.NewReader(data))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return nil, errNotObject(err)
	}
	var o object
	at := make(map[string]int)
	for d.More() {
		t, err := d.Token()
		if err != nil {
			return nil, err
		}
		m := member{name: t.(string)} // a key is nothing else
		if err := d.Decode(&m.value); err != nil {
			return nil, err
		}
		if i, twice := at[m.name]; twice {
			o[i] = m
			continue
		}
		at[m.name] = len(o)
		o = append(o, m)
	}
	_, err := d.Token() // what is behind it is as nothing to Java, too
	return o, err
}

// take removes a field and returns its value, nil if there is none, or it is null.
func (o *object) take(name string) json.RawMessage {
	i := slices.IndexFunc(*o, func(m member) bool { return m.name == name })
	if i < 0 {
		return nil
	}
	value := (*o)[i].value
	*o = slices.Delete(*o, i, i+1)
	if isNull(value) {
		return nil
	}
	return value
}

func isNull(value json.RawMessage) bool { return len(value) == 0 || string(value) == "null" }
