// Package job lets one of many processes do something at the times of a schedule, once for each time.
//
//	report := job.New(c, "/jobs/report", job.Daily(3, 30, time.UTC), &job.Options{ID: host, AtMost: time.Hour})
//	err := report.Run(ctx, func(ctx context.Context, run *job.Execution) error {
//		return write(ctx, run.Scheduled(), run.Token())
//	})
//
// Every process that could do it calls [Job.Run]; one of them leads and runs the function, the others wait to take over. What was run
// last is kept in a node, so that whoever takes over, after a crash or a year, knows which times have been dealt with.
//
// A program that others start at its times, such as cron on several machines, is kept from running twice by package lease.
//
// # How it works
//
//	<path>/leader/_c_<uuid>-latch-<number>   who could run it, as in package leader and Curator's LeaderLatch; their data: Options.ID
//	<path>/last                              persistent: the last run, a [Record] in JSON
//
// A run begins with a transaction that writes its scheduled time into the record, if the record is still the one that was read and
// its writer still leads; and ends with another one that writes what came of it. The next time is that which the schedule names after the
// last one in the record: so it does not depend on when somebody looked, and two processes cannot disagree about it. When it is due, the
// servers' clock says, as it stands in the record's modification time: how the clocks of the processes are set does not matter, only
// that they run evenly between two writes, which are ten minutes apart at most before a run begins. Clocks of servers that differ move
// a run when the lead of the ensemble changes; they repeat none, and leave none out.
//
// # Once
//
// A time is run at most once, unless Options.Attempts says otherwise, and what came of it is in the record:
//
//	done       the function returned nil
//	failed     it returned an error, which is there too
//	overran    it had not returned when Options.AtMost was over
//	stopped    its context ended, and it returned an error: its process was to end, or lost its session, or the lead
//	unknown    its process ended, or was cut off for good, in the middle: it may have done all, nothing, or a part
//
// A time that comes while nobody is there, or while the run before it still lasts, is late. Late times are not made up for one by one:
// the last of them is run, and [Execution.Missed] tells which was the first (Options.EachMissed runs them all). How late is too late
// Options.MaxLate says. Nothing else leaves out a time: while one process is well and can reach the servers, each time is run, at the
// latest a session timeout late if another one ran it before and died.
//
// A new job starts with the first time after its record was made, by the first Run there ever was. A schedule that is changed goes on
// after the last time that was run by the old one. To forget all, delete the record while nobody runs the job.
//
// # At most, at least
//
// With Options.AtMost the context of a run ends after so long, with [ErrOverran]; the outcome is recorded, and if the function has not
// returned by then another process takes the lead, and the times that come. It cannot stop the function. In this process, no run starts
// before the one before has returned.
//
// With Options.AtLeast no run starts earlier than so long after the start of the one before, also if that one took no time, and whatever
// the schedules of the processes say: for those who are being given a new one, one after the other.
//
// # What happens when
//
//	the connection is interrupted            the run goes on, as long as its session is sure to live: see package leader
//	the session expires                      the run's context ends before another process can lead. When the function has returned, its
//	                                         outcome is recorded if nobody has run the job meanwhile; it stands for the lead again
//	its node is removed by somebody          the same, as soon as this client is told, or wants to write: before that it begins no run
//	Run's ctx ends                           the run's context ends; when the function has returned, for a few seconds more, the outcome is
//	                                         recorded and the lead given up; Run returns
//	the process dies in a run                another one leads when the session's timeout is over. The outcome is unknown, and the next
//	                                         time is next; with Options.Attempts the same time is run again
//	it dies between runs                     another one leads, and runs what has become due
//	the function panics                      as if the process had died, but the lead is given up at once
//	a server refuses something               Run ends with it
//	the record cannot be read                Run ends with it, and changes nothing
//
// Nothing ends on suspicion: a run goes on while no other can begin. A function that makes no sense without the servers follows
// client.Client.States, and returns when the connection is suspended; what it returns is the outcome, and its time is not run again.
//
// The answer to the transaction that begins a run may be lost. It is then looked for, and done again; if ctx or the session ends before it
// is found, the run is taken back, and if that is not certain either, the record says that the time was begun, and the next to lead takes it
// for unknown: the function is never called for a time that somebody else might call it for.
//
// # What remains
//
// Between a look at its context and what a function does then, its process may be paused, and another run begin. Work that would be harmed
// carries [Execution.Token], which grows from run to run, to where it takes effect; and [Execution.Guard] makes a transaction fail
// unless this run is the one that is under way.
//
// # Cost
//
// A run costs two transactions, and a third if the one before is more than ten minutes ago. Who leads keeps its session, which costs
// the servers eight transactions per session timeout that change nothing; who waits has two watches and costs nothing. To take over costs
// what it does in package leader, a read and a transaction.
//
// # Looking at it
//
// [Job.Inspect] tells the last run, the next time, and who could run it. With the client's TracerProvider a run is a span, job.run; with its
// MeterProvider there are bellwether.job.operation.duration, bellwether.job.run.count and .lateness, bellwether.job.gaps and .unknown, beside
// those of package leader.
package job
