package ensemble

import (
	"fmt"
	"net"
	"time"
)

// How long a vote waits before it is sent again, as Apache's FastLeaderElection has it.
const (
	defaultMinNotification = 200 * time.Millisecond
	defaultMaxNotification = time.Minute
)

// checkMembers finds everything that is wrong with what o says about several servers.
func (o *Options) checkMembers() []error {
	if len(o.Members) == 0 {
		return nil
	}
	var problems []error
	wrong := func(bad bool, format string, args ...any) {
		if bad {
			problems = append(problems, fmt.Errorf("ensemble: "+format, args...))
		}
	}
	ids, addrs, voters, self := map[int]bool{}, map[string]int{}, 0, or(o.ServerID, 1)
	for i := range o.Members {
		m := &o.Members[i]
		wrong(ids[m.ID], "Members: there are two with the ID %d", m.ID)
		ids[m.ID] = true
		if !m.Observer {
			voters++
		}
		problems = append(problems, m.check()...)
		for _, port := range []int{m.QuorumPort, m.ElectionPort} {
			addr := net.JoinHostPort(m.Host, fmt.Sprint(port))
			other, taken := addrs[addr]
			wrong(taken, "Members: %d and %d are both at %s", other, m.ID, addr)
			addrs[addr] = m.ID
		}
	}
	wrong(!ids[self], "Members: ServerID %d is not among them", self)
	wrong(voters == 0, "Members: nobody has a vote")
	q := &o.Quorum
	wrong(q.InitLimit < 0, "Quorum.InitLimit %d is negative", q.InitLimit)
	wrong(q.SyncLimit < 0, "Quorum.SyncLimit %d is negative", q.SyncLimit)
	wrong(q.CommitLogCount < 0, "Quorum.CommitLogCount %d is negative", q.CommitLogCount)
	wrong(q.ConnectTimeout < 0, "Quorum.ConnectTimeout %v is negative", q.ConnectTimeout)
	least, most := or(q.MinNotification, defaultMinNotification), or(q.MaxNotification, defaultMaxNotification)
	wrong(least < 0 || least > most, "Quorum.MinNotification %v is not between 0 and MaxNotification %v", least, most)
	return problems
}

func (m *Member) check() []error {
	var problems []error
	wrong := func(bad bool, format string, args ...any) {
		if bad {
			problems = append(problems, fmt.Errorf("ensemble: Members: "+format, args...))
		}
	}
	wrong(m.ID < 1 || m.ID > 255, "ID %d is not between 1 and 255", m.ID)
	wrong(m.Host == "", "%d has no Host", m.ID)
	wrong(m.QuorumPort < 1 || m.QuorumPort > 65535, "%d: QuorumPort %d is not a port", m.ID, m.QuorumPort)
	wrong(m.ElectionPort < 1 || m.ElectionPort > 65535, "%d: ElectionPort %d is not a port", m.ID, m.ElectionPort)
	if m.ClientAddr != "" {
		_, _, err := net.SplitHostPort(m.ClientAddr)
		wrong(err != nil, "%d: ClientAddr %q is not host:port", m.ID, m.ClientAddr)
	}
	return problems
}
