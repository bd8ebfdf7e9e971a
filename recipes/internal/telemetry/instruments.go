package telemetry

import (
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/metric/noop"
)

// scope is the name under which spans and metrics appear.
const scope = "github.com/bellwether-zk/bellwether/recipes"

// Family is a package of recipes, which share their instruments.
type Family int

// The families.
const (
	Lock Family = iota
	Lease
	Leader
	Barrier
	Node
	Counter
	Queue
	Job
	Group
	Partition
	Discovery
	families // how many
)

// vocabulary is how a family calls what it does.
type vocabulary struct {
	name       string
	waiter     string // a unit: who waits
	hold       string // a unit: what it is to have what was waited for; "": the family has operations instead
	waits      string // descriptions
	held       string
	operations string
	repairs    string // of what is kept, and put right when somebody else has changed it; "": it is not
}

var vocabularies = [families]vocabulary{
	Lock: {name: "lock", waiter: "call", hold: "hold", waits: "From asking for a lock until it is held, or not.", held: "How long a lock was held."},
	Lease: {
		name: "lease", waiter: "call", hold: "grant", waits: "From asking for a lease until it is granted, or not.", held: "How long a lease was granted.",
		operations: "Duration of renewing leases, and of releasing them.",
	},
	Leader:  {name: "leader", waiter: "call", hold: "term", waits: "From standing for election until leading, or not.", held: "How long a term was."},
	Barrier: {name: "barrier", waiter: "call", hold: "round", waits: "From coming to a barrier until it lets in, or not.", held: "How long a process was in a round."},
	Node: {
		name: "node", waiter: "node", hold: "presence", waits: "From wanting a node until it is there.", held: "How long a node was there.",
		repairs: "Times a node was put right that was gone, or another.",
	},
	Counter: {name: "counter", operations: "Duration of changes of numbers."},
	Queue: {
		name: "queue", waiter: "call", hold: "delivery", waits: "From asking for an item until it is given out, or not.", held: "How long an item was in hand.",
		operations: "Duration of putting items, and of what becomes of them.",
	},
	Job: {name: "job", operations: "Duration of runs of jobs."},
	Group: {
		name: "group", waiter: "member", hold: "membership", waits: "From wanting to be a member until registered.", held: "How long a member was registered.",
		repairs: "Times a member's node was put right that was gone, or another.",
	},
	Partition: {name: "partition", waiter: "part", hold: "part", waits: "From being meant for a part until owning it, or not.", held: "How long a part was owned."},
	Discovery: {
		name: "discovery", waiter: "registration", hold: "registration", waits: "From wanting an instance to be listed until it is.",
		held: "How long an instance was listed.", repairs: "Times an instance's node was put right that was gone, or another.",
	},
}

// Metric is an instrument that one recipe alone has.
type Metric int

// The instruments that count, and those that say how many there are now.
const (
	LeaderChanges Metric = iota
	CounterConflicts
	CacheNodes
	CacheSize
	CacheStale
	CacheStaleDuration
	QueueConflicts
	QueueDead
	QueueLength
	JobRuns
	JobLateness
	JobGaps
	JobUnknown
	DiscoveryUnhealthy
	DiscoveryBrakes
	DiscoveryEjections
	DiscoveryProbes
	DiscoveryAttempts
	metrics // how many
)

type kind int

const (
	count    kind = iota // of what has happened
	level                // of what there is
	duration             // seconds
	amount               // of something, each time it was looked at
)

var definitions = [metrics]struct {
	kind                    kind
	name, unit, description string
}{
	LeaderChanges:      {count, "bellwether.leader.changes", "{change}", "Changes of leadership, as told by each loop that watches an election."},
	CounterConflicts:   {count, "bellwether.counter.conflicts", "{conflict}", "Tries of a change of a number that somebody else's came before."},
	CacheNodes:         {level, "bellwether.cache.nodes", "{node}", "Nodes mirrored."},
	CacheSize:          {level, "bellwether.cache.size", "By", "Data of the nodes mirrored."},
	CacheStale:         {level, "bellwether.cache.stale.count", "{cache}", "Mirrors that may be out of date."},
	CacheStaleDuration: {duration, "bellwether.cache.stale.duration", "s", "How long a mirror may have been out of date."},
	QueueConflicts:     {count, "bellwether.queue.conflicts", "{conflict}", "Items that somebody else was quicker to claim."},
	QueueDead:          {count, "bellwether.queue.dead", "{item}", "Items put among the dead letters."},
	QueueLength:        {amount, "bellwether.queue.length", "{item}", "Items in a queue, each time it was listed."},
	JobRuns:            {level, "bellwether.job.run.count", "{run}", "Runs that go on."},
	JobLateness:        {duration, "bellwether.job.run.lateness", "s", "From the time of the schedule to the beginning of its run, by the servers' clock."},
	JobGaps:            {count, "bellwether.job.gaps", "{run}", "Runs before which times were left out."},
	JobUnknown:         {count, "bellwether.job.unknown", "{run}", "Runs nobody knows the outcome of, as found by who leads next."},
	DiscoveryUnhealthy: {level, "bellwether.discovery.unhealthy.count", "{registration}", "Instances that are not listed since their check does not succeed."},
	DiscoveryBrakes:    {count, "bellwether.discovery.brakes", "{brake}", "Times so many instances went at once that they were kept."},
	DiscoveryEjections: {count, "bellwether.discovery.ejections", "{ejection}", "Instances left out since requests to them have failed."},
	DiscoveryProbes:    {count, "bellwether.discovery.probes", "{probe}", "Single requests that decided about an instance that was ejected."},
	DiscoveryAttempts:  {count, "bellwether.discovery.attempts", "{attempt}", "Requests of HTTP sent to an instance, each time one was."},
}

// Reading is an instrument that is asked for its value, when somebody collects.
type Reading int

// The readings.
const (
	GroupMembers Reading = iota
	DiscoveryInstances
	DiscoveryStaleness
	DiscoveryCandidates
	DiscoveryEjected
	DiscoveryOutstanding
	DiscoveryPicks
	readings // how many
)

const (
	sum   kind = iota // of what has happened, each time all of it
	now               // what there is
	worst             // seconds, the longest of several
)

var questions = [readings]struct {
	kind                    kind
	name, unit, description string
}{
	GroupMembers:         {now, "bellwether.group.members", "{member}", "Members that are known to those who look on."},
	DiscoveryInstances:   {now, "bellwether.discovery.instances", "{instance}", "Instances known, by the status they have."},
	DiscoveryStaleness:   {worst, "bellwether.discovery.staleness", "s", "For how long changes may have been missed; 0 if none can have been."},
	DiscoveryCandidates:  {now, "bellwether.discovery.candidates", "{instance}", "Instances that one is chosen from."},
	DiscoveryEjected:     {now, "bellwether.discovery.ejected", "{instance}", "Instances that are left out, or tried with a request at a time, since some have failed."},
	DiscoveryOutstanding: {now, "bellwether.discovery.outstanding", "{request}", "Requests that an instance was chosen for and that are not done."},
	DiscoveryPicks:       {sum, "bellwether.discovery.picks", "{pick}", "Times an instance was chosen, or was to be."},
}

// bounds are seconds, from a round trip to half a day.
var bounds = []float64{0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10, 30, 60, 300, 1800, 7200, 43200}

// amounts are the bounds of what is no duration.
var amounts = []float64{0, 1, 3, 10, 30, 100, 300, 1000, 3000, 10000, 30000, 100000}

// gauges are the instruments of a family.
type gauges struct {
	wait, held, operation metric.Float64Histogram
	waiting, holding      metric.Int64UpDownCounter
	lost, repaired        metric.Int64Counter
	name                  string // of the family
	waitSpan, heldSpan    string
}

// maker makes instruments. What a provider does not make is not measured; a recipe does not fail for that.
type maker struct{ metric.Meter }

func (m maker) seconds(name, description string) metric.Float64Histogram {
	return m.histogram(name, "s", description, bounds)
}

func (m maker) histogram(name, unit, description string, bounds []float64) metric.Float64Histogram {
	h, err := m.Float64Histogram(name, metric.WithUnit(unit), metric.WithDescription(description), metric.WithExplicitBucketBoundaries(bounds...))
	if err != nil {
		return noop.Float64Histogram{}
	}
	return h
}

func (m maker) level(name, unit, description string) metric.Int64UpDownCounter {
	l, err := m.Int64UpDownCounter(name, metric.WithUnit(unit), metric.WithDescription(description))
	if err != nil {
		return noop.Int64UpDownCounter{}
	}
	return l
}

func (m maker) count(name, unit, description string) metric.Int64Counter {
	c, err := m.Int64Counter(name, metric.WithUnit(unit), metric.WithDescription(description))
	if err != nil {
		return noop.Int64Counter{}
	}
	return c
}

func (m maker) gauges(v *vocabulary) (g gauges) {
	g.name = v.name
	if v.operations != "" {
		g.operation = m.seconds("bellwether."+v.name+".operation.duration", v.operations)
	}
	if v.hold == "" {
		return g
	}
	g.waitSpan, g.heldSpan = v.name+".wait", v.name+"."+v.hold
	wait, held, unit := "bellwether."+g.waitSpan, "bellwether."+g.heldSpan, "{"+v.hold+"}"
	g.wait = m.seconds(wait+".duration", v.waits)
	g.waiting = m.level(wait+".count", "{"+v.waiter+"}", "Those that wait.")
	g.held = m.seconds(held+".duration", v.held)
	g.holding = m.level(held+".count", unit, "Those that go on.")
	if v.repairs != "" {
		g.repaired = m.count("bellwether."+v.name+".repairs", "{repair}", v.repairs)
	}
	g.lost = m.count(held+".lost", unit, "Those that ended without their owner's wish.")
	return g
}
