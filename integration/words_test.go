//go:build interop

package integration

import (
	"context"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	bwclient "github.com/bellwether-zk/bellwether/client"
	"github.com/bellwether-zk/bellwether/integration/process"
)

// What operators read about a member of an ensemble is the same as with Apache's servers, in every role: an ensemble of each kind lives
// through the same, and then tells.
func TestFourLetterWordsOfEnsembles(t *testing.T) {
	theirs := tellEnsemble(t, process.Apache39)
	ours := tellEnsemble(t, process.Bellwether)
	for _, told := range slices.Sorted(maps.Keys(theirs.texts)) {
		require.Equal(t, theirs.texts[told], ours.texts[told], told)
	}
	for role, figures := range ours.figures {
		for name := range figures {
			require.Contains(t, theirs.figures[role], name, "mntr of a %s", role)
		}
		for _, name := range comparable {
			require.Equal(t, theirs.figures[role][name], figures[name], "%s of a %s", name, role)
		}
	}
}

// comparable are the names in mntr that must say the same.
var comparable = []string{
	"server_state", "peer_state", "quorum_size", "learners", "synced_followers", "synced_non_voting_followers", "synced_observers",
	"pending_syncs", "last_proposal_size", "min_proposal_size", "max_proposal_size", "proposal_count", "commit_count",
	"learner_proposal_received_count", "learner_commit_received_count", "znode_count", "ephemerals_count", "global_sessions",
	"local_sessions", "watch_count", "num_alive_connections", "outstanding_requests",
}

// told is what an ensemble says: texts by role and word, figures of mntr by role and name.
type told struct {
	texts   map[string]string
	figures map[string]map[string]string
}

func tellEnsemble(t *testing.T, k process.Kind) told {
	e, leader := inTheFirstEpoch(t, k)
	roles := map[string]int{"leader": leader, "follower": (leader + 1) % 3, "observer": 3}
	all := told{map[string]string{}, map[string]map[string]string{}}
	for role, i := range roles {
		all.ask(t, e, role+" at first", i, "ruok", "isro", "conf", "hash")
	}
	all.ask(t, e, "leader at first", leader, "srvr")

	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	c, err := bwclient.Connect(ctx, e.Servers[roles["follower"]].Addr, &bwclient.Options{SessionTimeout: 8 * time.Second})
	require.NoError(t, err)
	defer c.Close()
	_, err = c.Create(ctx, "/e", []byte("x"), &bwclient.CreateOptions{Mode: bwclient.Ephemeral})
	require.NoError(t, err)
	for i := range 130 {
		_, err = c.Set(ctx, "/e", make([]byte, i), bwclient.AnyVersion)
		require.NoError(t, err)
	}
	_, _, _, err = c.GetW(ctx, "/e")
	require.NoError(t, err)
	for role, i := range roles {
		mustEventually(t, 20*time.Second, func(context.Context) error {
			if text, err := process.FourLetterWord(e.Servers[i].Addr, "srvr"); err != nil || !strings.Contains(text, "Zxid: 0x100000084\n") {
				return fmt.Errorf("not all of it has arrived: %q, %w", text, err)
			}
			return nil
		})
		all.ask(t, e, role, i, "srvr", "stat", "conf", "dump", "wchs", "wchc", "wchp", "cons", "isro")
		all.figures[role] = figures(t, e.Servers[i].Addr)
	}
	text, err := process.FourLetterWord(e.Servers[leader].Addr, "srst")
	require.NoError(t, err)
	require.Equal(t, "Server stats reset.\n", text)
	all.ask(t, e, "leader after srst", leader, "srvr")
	for role, i := range roles {
		all.read(t, e, role, i)
	}

	for i := range 2 { // of three voters
		e.Servers[(leader+i)%3].Kill()
	}
	for role, i := range map[string]int{"voter": (leader + 2) % 3, "observer": 3} {
		mustEventually(t, time.Minute, func(context.Context) error {
			if text, err := process.FourLetterWord(e.Servers[i].Addr, "srvr"); err != nil || strings.Contains(text, "Mode:") {
				return fmt.Errorf("it still serves: %q, %w", text, err)
			}
			return nil
		})
		all.ask(t, e, role+" without a quorum", i, "ruok", "isro", "srvr", "stat", "conf", "mntr", "dump", "wchs", "wchc", "wchp", "cons", "dirs", "hash", "gtmk")
	}
	return all
}

// inTheFirstEpoch starts an ensemble whose first leader got its majority. Where the machine is busy that may be the second, which every
// zxid would tell.
func inTheFirstEpoch(t *testing.T, k process.Kind) (e *process.Ensemble, leader int) {
	t.Helper()
	for range 5 {
		e = process.StartEnsemble(t, process.Options{Kinds: []process.Kind{k}, Size: 4, Observers: 1})
		leader = e.MustLeader(t)
		text, err := process.FourLetterWord(e.Servers[leader].Addr, "srvr")
		if err == nil && strings.Contains(text, "\nZxid: 0x100000000\n") {
			return e, leader
		}
		for _, s := range e.Servers {
			s.Kill()
		}
	}
	t.Fatal("no ensemble of five got through its first election at once")
	return nil, 0
}

// ports are the ports of all servers, six strings a server: a port and its name, of clients, quorum and election.
func ports(e *process.Ensemble) (all []string) {
	for j, s := range e.Servers {
		quorum, election := e.PeerAddrs(j)
		_, peers, _ := strings.Cut(election, ":")
		_, quorums, _ := strings.Cut(quorum, ":")
		_, clients, _ := strings.Cut(s.Addr, ":")
		all = append(all, clients, fmt.Sprint("CLIENTS-", j), quorums, fmt.Sprint("QUORUM-", j), peers, fmt.Sprint("ELECTION-", j))
	}
	return all
}

// read notes what a client is told by the node that says who the servers are.
func (all *told) read(t *testing.T, e *process.Ensemble, role string, i int) {
	t.Helper()
	c, err := bwclient.Connect(t.Context(), e.Servers[i].Addr, nil)
	require.NoError(t, err)
	defer c.Close()
	data, stat, err := c.Get(t.Context(), "/zookeeper/config")
	require.NoError(t, err)
	stat.Mtime = stat.Ctime // each server's own
	acl, _, err := c.ACL(t.Context(), "/zookeeper/config")
	require.NoError(t, err)
	_, err = c.Set(t.Context(), "/zookeeper/config", nil, bwclient.AnyVersion)
	require.Error(t, err)
	all.texts[role+", /zookeeper/config"] = fmt.Sprintf("%s\n%+v\n%+v\n%v\n", strings.NewReplacer(ports(e)...).Replace(string(data)), stat, acl, err)
}

func (all *told) ask(t *testing.T, e *process.Ensemble, role string, i int, words ...string) {
	t.Helper()
	ports := ports(e)
	named := strings.NewReplacer(ports...)
	for _, word := range words {
		var text string
		mustEventually(t, 20*time.Second, func(context.Context) (err error) {
			text, err = process.FourLetterWord(e.Servers[i].Addr, word)
			sessions, _, _ := strings.Cut(text, "ephemeral nodes")
			if strings.Contains(sessions, ")/(1):\n") && !strings.Contains(sessions, "\t0x") { // one that Apache's was about to give more time
				return fmt.Errorf("a session is counted and not listed: %q", text)
			}
			return err
		})
		if strings.HasPrefix(text, "clientPort=") {
			own := ports[6*i:]
			require.Contains(t, text, fmt.Sprintf("clientPort=%s\n", own[0]))
			require.Contains(t, text, fmt.Sprintf("serverId=%d\n", i+1))
			require.Contains(t, text, fmt.Sprintf("electionPort=%s\nquorumPort=%s\n", own[4], own[2]))
		}
		text = named.Replace(text)
		for _, v := range varying {
			text = v.where.ReplaceAllString(text, v.with)
		}
		all.texts[role+", "+word] = timeless(text)
	}
}

// timeless is a text without the moments by which dump groups connections, which pass while we look, and without the order of
// connections, which Apache's has from a hash.
func timeless(text string) string {
	above, conns, _ := strings.Cut(text, "Connections dump:\n")
	var lines, clients []string
	for line := range strings.Lines(above) {
		if strings.HasPrefix(line, " /CLIENT") {
			clients = append(clients, line)
		} else {
			lines = append(lines, line)
		}
	}
	for line := range strings.Lines(conns) {
		if !strings.Contains(line, "expire at") {
			clients = append(clients, line)
		}
	}
	slices.Sort(clients)
	return strings.Join(append(lines, clients...), "")
}

// varying is what two ensembles need not have in common.
var varying = []struct {
	where *regexp.Regexp
	with  string
}{
	{regexp.MustCompile(`(?m)^Zookeeper version: .*$`), "Zookeeper version: …"},
	{regexp.MustCompile(`(?m)^Latency min/avg/max: \d+/\d+\.\d+/\d+$`), "Latency …"},
	{regexp.MustCompile(`(?m)^(Received|Sent): \d+$`), "$1: …"},
	{regexp.MustCompile(`(?m)^((?:data|dataLog)(?:Dir)?(?:Size)?)=.*$`), "$1=…"},
	{regexp.MustCompile(`(?m)^(clientPort|serverId|electionPort|quorumPort)=.*$`), "$1=…"}, // who leads is nobody's choice
	{regexp.MustCompile(`/127\.0\.0\.1:\d+`), "/CLIENT"},
	{regexp.MustCompile(`0x[0-9a-f]{15,16}\b`), "SESSION"},
	{regexp.MustCompile(`expire at [^\n]*\d:`), "expire at …:"},
	{regexp.MustCompile(`(?m)^0 expire at …:\n`), ""}, // Apache's keep times for which nobody is due
	{regexp.MustCompile(`Sets \(\d+\)/`), "Sets (…)/"},
	{regexp.MustCompile(`\[\d\]\(queued=\d+,recved=\d+,sent=\d+`), "[…](…"},
	{regexp.MustCompile(`,lop=(?:GETD|PING),`), ",lop=…,"},
	{regexp.MustCompile(`(,(?:est|lcxid|lresp|llat|minlat|avglat|maxlat)=)(?:0x)?[0-9a-f-]+`), "$1…"},
}

// figures is what mntr says, by name.
func figures(t *testing.T, addr string) map[string]string {
	t.Helper()
	text, err := process.FourLetterWord(addr, "mntr")
	require.NoError(t, err)
	all := map[string]string{}
	for line := range strings.Lines(text) {
		name, value, ok := strings.Cut(strings.TrimSpace(line), "\t")
		require.True(t, ok, line)
		all[strings.TrimPrefix(name, "zk_")] = value
	}
	return all
}
