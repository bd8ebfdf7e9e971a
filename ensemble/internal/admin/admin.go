// Package admin is what an operator sees: today the four-letter words of the client port, whose texts monitors have parsed for
// fifteen years. It sees one [Source], which the server provides, and nothing else; every text is made here.
//
// Which words are answered is decided by a whitelist, as in Apache's server: srvr always, everything else only when listed. A
// word that is known and not listed gets one line saying so.
package admin

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/bellwether-zk/bellwether/ensemble/internal/znode"
)

// A Source is the server that is looked at. Its methods may be called by many goroutines; what they return is the caller's.
type Source interface {
	Summary() Summary
	Connections() []Connection
	Settings() []Setting                      // for conf, in order
	Membership() *Membership                  // for the end of conf; nil for a server that stands alone
	Ensemble() *Ensemble                      // nil for a server that stands alone
	SessionDeadlines() ([]Deadline, bool)     // in order of time; false: another server decides when sessions end
	Leases() []Lease                          // open sessions, in order; asked when another server decides
	Ephemerals() []Owned                      // in order of session
	IdleDeadlines() []IdleConnection          // open connections, for dump
	Watches() []Watched                       // of the data table, in order of session, then path
	WatchCounts() (conns, paths, watches int) // of the data table
	Digests() []Digest                        // of every 128th transaction, oldest first
	ResetConnections()                        // crst
	ResetServer()                             // srst
	TraceMask(set *int64) int64               // gtmk, stmk
}

// Summary is a server in numbers.
type Summary struct {
	Version     string // as after "Zookeeper version: "
	Serving     bool
	ReadOnly    bool   // it answers reads only
	Mode        string // standalone, leader, follower, observer, read-only
	Latency     Latency
	Received    int64 // packets
	Sent        int64 // packets
	Connections int
	Outstanding int64
	Zxid        znode.Zxid
	Nodes       int // as monitors know it: the root counts twice

	Watches, Ephemerals, Sessions      int
	DataSize                           int64 // bytes of paths and data
	DataDirSize, LogDirSize            int64 // bytes
	Uptime                             time.Duration
	OpenFiles, MaxFiles                int64
	LastReply, MinReply, MaxReply      int64 // bytes; -1 before the first
	AuthFailures, Rejected, Handshakes int64
	Fsync, Snapshot                    Timing
}

// Latency is how long requests took from being read to being answered, in milliseconds.
type Latency struct {
	Min, Max int64
	Avg      float64
}

// Timing sums up how long something took, in milliseconds.
type Timing struct{ Count, Sum, Min, Max int64 }

// A Connection is one client's.
type Connection struct {
	Addr           string // "1.2.3.4:5678"
	Interest       int    // 1 reads, 4 writes, 5 both, 0 neither
	Queued         int64
	Received, Sent int64
	Session        znode.SessionID // 0 before the handshake; then what follows is meaningless
	LastOp         string          // as cons shows it: NA, GETD, …
	Established    time.Time
	Timeout        int64 // milliseconds
	LastCxid       int32
	LastZxid       znode.Zxid
	LastReply      int64 // monotonic milliseconds
	LastLatency    int64 // milliseconds
	Latency        Latency
}

// A Setting is a line of conf.
type Setting struct{ Key, Value string }

// A Lease is an open session and its timeout.
type Lease struct {
	Session znode.SessionID
	Timeout time.Duration
}

// A Deadline is a moment at which sessions expire unless heard of.
type Deadline struct {
	At       time.Time
	Sessions []znode.SessionID
}

// Owned is a session's ephemeral nodes.
type Owned struct {
	Session znode.SessionID
	Paths   []string
}

// An IdleConnection is a connection and when it is closed unless heard of.
type IdleConnection struct {
	At      time.Time
	Addr    string
	Session znode.SessionID
}

// Watched is the paths a session watches.
type Watched struct {
	Session znode.SessionID
	Paths   []string
}

// A Digest is the digest of the tree after a transaction.
type Digest struct {
	Zxid   znode.Zxid
	Digest uint64
}

const notServing = "This ZooKeeper instance is not currently serving requests\n"

// Words answers four-letter words.
type Words struct {
	source  Source
	allowed map[string]bool
	all     bool
}

// NewWords returns the words of a server. whitelist is 4lw.commands.whitelist: words, or "*" for all; srvr is always among
// them.
func NewWords(s Source, whitelist []string) *Words {
	w := &Words{source: s, allowed: map[string]bool{"srvr": true}}
	for _, word := range whitelist {
		switch word = strings.TrimSpace(word); word {
		case "*":
			w.all = true
		case "":
		default:
			w.allowed[word] = true
		}
	}
	return w
}

// A command makes a word's text. Those that answer without a serving server say so.
type command struct {
	text   func(s Source) string
	always bool
}

var commands = map[string]command{
	"ruok": {text: func(Source) string { return "imok" }, always: true},
	"isro": {text: isro, always: true},
	"gtmk": {text: func(s Source) string { return strconv.FormatInt(s.TraceMask(nil), 10) }, always: true},
	"stmk": {always: true},
	"envi": {text: func(s Source) string { return environment(s.Summary().Version) }, always: true},
	"crst": {text: func(s Source) string { s.ResetConnections(); return "Connection stats reset.\n" }},
	"srst": {text: func(s Source) string { s.ResetServer(); return "Server stats reset.\n" }},
	"dirs": {text: dirs},
	"srvr": {text: func(s Source) string { return server(s, false) }},
	"stat": {text: func(s Source) string { return server(s, true) }},
	"cons": {text: connections},
	"conf": {text: settings},
	"dump": {text: dump},
	"mntr": {text: monitor},
	"wchs": {text: watchSummary},
	"wchc": {text: watchesBySession},
	"wchp": {text: watchesByPath},
	"hash": {text: digests},
}

// telnet is the interrupt sequence FF F4 FF FD, which counts as a word and is answered by closing (ZOOKEEPER-737).
const telnet = "\xff\xf4\xff\xfd"

// Known reports whether four bytes are a word, allowed or not, rather than the length of a first frame.
func Known(word string) bool {
	_, ok := commands[word]
	return ok || word == telnet
}

// MaskLen is how many bytes follow the word stmk: the new mask, big-endian. No other word has an argument.
const MaskLen = 8

// Answer is the text for a known word; mask is what came with stmk. The connection is closed after it.
func (w *Words) Answer(word string, mask int64) string {
	c, ok := commands[word]
	switch {
	case word == telnet:
		return ""
	case !ok || !w.all && !w.allowed[word]:
		return word + " is not executed because it is not in the whitelist.\n"
	case word == "stmk":
		return strconv.FormatInt(w.source.TraceMask(&mask), 10)
	case !c.always && !w.source.Summary().Serving:
		if word == "hash" {
			return strings.TrimSuffix(notServing, "\n")
		}
		return notServing
	}
	return c.text(w.source)
}

func isro(s Source) string {
	switch sum := s.Summary(); {
	case !sum.Serving:
		return "null"
	case sum.ReadOnly:
		return "ro"
	}
	return "rw"
}

func dirs(s Source) string {
	sum := s.Summary()
	return fmt.Sprintf("datadir_size: %d\nlogdir_size: %d\n", sum.DataDirSize, sum.LogDirSize)
}

// double prints a number as Java prints a double that has at most four decimals.
func double(v float64) string {
	s := strconv.FormatFloat(v, 'f', 4, 64)
	s = strings.TrimRight(s, "0")
	if strings.HasSuffix(s, ".") {
		s += "0"
	}
	return s
}

// server is srvr, and with the clients stat.
func server(s Source, clients bool) string {
	sum := s.Summary()
	var b strings.Builder
	fmt.Fprintf(&b, "Zookeeper version: %s\n", sum.Version)
	if sum.ReadOnly {
		b.WriteString("READ-ONLY mode; serving only read-only clients\n")
	}
	if clients {
		b.WriteString("Clients:\n")
		for _, c := range s.Connections() {
			b.WriteString(brief(&c) + ")\n")
		}
		b.WriteByte('\n')
	}
	fmt.Fprintf(&b, "Latency min/avg/max: %d/%s/%d\n", sum.Latency.Min, double(sum.Latency.Avg), sum.Latency.Max)
	fmt.Fprintf(&b, "Received: %d\nSent: %d\nConnections: %d\nOutstanding: %d\n", sum.Received, sum.Sent, sum.Connections, sum.Outstanding)
	e := s.Ensemble()
	fmt.Fprintf(&b, "Zxid: %v\nMode: %s\nNode count: %d\n", e.zxid(sum.Zxid), sum.Mode, sum.Nodes)
	b.WriteString(e.proposals())
	return b.String()
}

func brief(c *Connection) string {
	return fmt.Sprintf(" /%s[%x](queued=%d,recved=%d,sent=%d", c.Addr, c.Interest, c.Queued, c.Received, c.Sent)
}

func connections(s Source) string {
	var b strings.Builder
	for _, c := range s.Connections() {
		b.WriteString(brief(&c))
		if c.Session != 0 {
			fmt.Fprintf(&b, ",sid=%v,lop=%s,est=%d,to=%d", c.Session, c.LastOp, c.Established.UnixMilli(), c.Timeout)
			if c.LastCxid >= 0 {
				fmt.Fprintf(&b, ",lcxid=0x%x", c.LastCxid)
			}
			fmt.Fprintf(&b, ",lzxid=%v,lresp=%d,llat=%d,minlat=%d,avglat=%d,maxlat=%d",
				c.LastZxid, c.LastReply, c.LastLatency, c.Latency.Min, int64(c.Latency.Avg), c.Latency.Max)
		}
		b.WriteString(")\n")
	}
	b.WriteByte('\n')
	return b.String()
}

func settings(s Source) string {
	var b strings.Builder
	for _, kv := range s.Settings() {
		b.WriteString(kv.Key + "=" + kv.Value + "\n")
	}
	if m := s.Membership(); m != nil {
		b.WriteString(m.text())
	}
	return b.String()
}

func digests(s Source) string {
	var b strings.Builder
	for _, d := range s.Digests() {
		fmt.Fprintf(&b, "%s: %d\n", d.Zxid.Hex(), d.Digest)
	}
	return b.String()
}
