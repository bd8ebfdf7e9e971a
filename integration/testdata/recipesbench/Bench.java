import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.LinkedBlockingQueue;
import org.apache.curator.framework.CuratorFramework;
import org.apache.curator.framework.CuratorFrameworkFactory;
import org.apache.curator.framework.recipes.atomic.DistributedAtomicLong;
import org.apache.curator.framework.recipes.barriers.DistributedDoubleBarrier;
import org.apache.curator.framework.recipes.leader.LeaderLatch;
import org.apache.curator.framework.recipes.leader.LeaderLatchListener;
import org.apache.curator.framework.recipes.locks.InterProcessMutex;
import org.apache.curator.framework.recipes.locks.InterProcessSemaphoreV2;
import org.apache.curator.framework.recipes.locks.Lease;
import org.apache.curator.framework.recipes.queue.DistributedQueue;
import org.apache.curator.framework.recipes.queue.QueueBuilder;
import org.apache.curator.framework.recipes.queue.QueueConsumer;
import org.apache.curator.framework.recipes.queue.QueueSerializer;
import org.apache.curator.framework.recipes.queue.SimpleDistributedQueue;
import org.apache.curator.framework.state.ConnectionState;
import org.apache.curator.retry.ExponentialBackoffRetry;
import org.apache.curator.retry.RetryNTimes;

/**
 * Does with Curator's recipes what they are measured by. The argument is where the servers are; the first session is at the first of them, the
 * second at the second, and so on around. "ready", then an answer to each line: what to do again and again, by how many sessions, of how many
 * things, for how many milliseconds.
 *
 * <pre>
 * mutex SESSIONS LOCKS MILLIS         lock and unlock: InterProcessMutex
 * semaphore SESSIONS PERMITS MILLIS   acquire a permit and give it back: InterProcessSemaphoreV2
 * counter SESSIONS 1 MILLIS           increment: DistributedAtomicLong
 * barrier SESSIONS 1 MILLIS           all enter and leave: DistributedDoubleBarrier
 * election SESSIONS 1 MILLIS          the leader resigns and another leads: LeaderLatch; all stand for it from the first such line on
 * pop 1 1 MILLIS                      put an item and take it away: SimpleDistributedQueue
 * queue 1 1 MILLIS                    put an item, and have it consumed under a lock: DistributedQueue
 * </pre>
 *
 * The answer is how often it was done, and how many nanoseconds that took. The end of the input ends the program.
 */
public class Bench {
    static final byte[] item = new byte[100];
    static final List<CuratorFramework> sessions = new ArrayList<>();
    static final ExecutorService pool = Executors.newCachedThreadPool();

    interface Work {
        void once() throws Exception;
    }

    interface Preparation {
        Work of(int i, CuratorFramework session) throws Exception;
    }

    public static void main(String[] args) throws Exception {
        String[] servers = args[0].split(",");
        for (int i = 0; i < 16; i++) {
            CuratorFramework c =
                    CuratorFrameworkFactory.newClient(servers[i % servers.length], 10_000, 10_000, new ExponentialBackoffRetry(50, 5));
            c.start();
            c.blockUntilConnected();
            sessions.add(c);
        }
        System.out.println("ready");
        BufferedReader lines = new BufferedReader(new InputStreamReader(System.in));
        for (String line = lines.readLine(); line != null; line = lines.readLine()) {
            String[] words = line.split(" ");
            try {
                long nanos = Long.parseLong(words[3]) * 1_000_000;
                System.out.println(answer(words[0], Integer.parseInt(words[1]), Integer.parseInt(words[2]), nanos));
            } catch (Exception e) {
                System.out.println(e);
            }
        }
        System.exit(0);
    }

    static String answer(String what, int by, int of, long nanos) throws Exception {
        switch (what) {
            case "mutex":
                return again(by, nanos, false, (i, c) -> {
                    InterProcessMutex m = new InterProcessMutex(c, "/beside/mutex-" + of + "/" + i % of);
                    return () -> {
                        m.acquire();
                        m.release();
                    };
                });
            case "semaphore":
                return again(by, nanos, false, (i, c) -> {
                    InterProcessSemaphoreV2 s = new InterProcessSemaphoreV2(c, "/beside/semaphore", of);
                    return () -> {
                        Lease lease = s.acquire();
                        s.returnLease(lease);
                    };
                });
            case "counter":
                return again(by, nanos, false, (i, c) -> {
                    DistributedAtomicLong n = new DistributedAtomicLong(c, "/beside/counter", new RetryNTimes(10_000, 1));
                    return () -> {
                        if (!n.increment().succeeded()) {
                            throw new IllegalStateException("increment failed");
                        }
                    };
                });
            case "barrier":
                // Two take turns: at one path, who is slow to leave removes what tells those who enter again that all are there, and they wait
                // for ever.
                return again(by, nanos, true, (i, c) -> {
                    DistributedDoubleBarrier[] two = {
                        new DistributedDoubleBarrier(c, "/beside/barrier-0", by), new DistributedDoubleBarrier(c, "/beside/barrier-1", by)
                    };
                    int[] round = {0};
                    return () -> {
                        DistributedDoubleBarrier b = two[round[0]++ % 2];
                        b.enter();
                        b.leave();
                    };
                });
            case "election":
                return handOver(by, nanos);
            case "pop":
                return again(by, nanos, false, (i, c) -> {
                    SimpleDistributedQueue q = new SimpleDistributedQueue(c, "/beside/pop");
                    return () -> {
                        q.offer(item);
                        q.take();
                    };
                });
            case "queue":
                return again(by, nanos, false, Bench::queue);
            default:
                throw new IllegalArgumentException(what);
        }
    }

    /** Lets each of some sessions do the same again and again for a time; if together, all equally often, which counts once. */
    static String again(int by, long nanos, boolean together, Preparation prepare) throws Exception {
        List<Work> works = new ArrayList<>();
        for (int i = 0; i < by; i++) {
            works.add(prepare.of(i, sessions.get(i)));
        }
        Rounds rounds = new Rounds(System.nanoTime() + nanos, together);
        long begun = System.nanoTime();
        List<Future<Long>> all = new ArrayList<>();
        for (Work work : works) {
            all.add(pool.submit(() -> {
                long done = 0;
                for (; rounds.another(done); done++) {
                    work.once();
                }
                return done;
            }));
        }
        long done = 0;
        for (Future<Long> f : all) {
            done += f.get();
        }
        long took = System.nanoTime() - begun;
        return (together ? done / by : done) + " " + took;
    }

    /** Says whether there is another round: until the time is over, and for those behind as many as somebody has begun. */
    static class Rounds {
        final long end;
        final boolean together;
        long begun;

        Rounds(long end, boolean together) {
            this.end = end;
            this.together = together;
        }

        synchronized boolean another(long done) {
            if (done > 0 && System.nanoTime() - end >= 0 && !(together && done < begun)) {
                return false;
            }
            begun = Math.max(begun, done + 1);
            return true;
        }
    }

    static DistributedQueue<byte[]> queue;
    static final BlockingQueue<byte[]> consumed = new LinkedBlockingQueue<>();

    static Work queue(int i, CuratorFramework c) throws Exception {
        if (queue == null) {
            QueueConsumer<byte[]> consumer = new QueueConsumer<byte[]>() {
                @Override
                public void consumeMessage(byte[] message) throws Exception {
                    consumed.put(message);
                }

                @Override
                public void stateChanged(CuratorFramework client, ConnectionState state) {}
            };
            QueueSerializer<byte[]> raw = new QueueSerializer<byte[]>() {
                @Override
                public byte[] serialize(byte[] item) {
                    return item;
                }

                @Override
                public byte[] deserialize(byte[] bytes) {
                    return bytes;
                }
            };
            queue = QueueBuilder.builder(c, consumer, raw, "/beside/queue").lockPath("/beside/queue-locks").buildQueue();
            queue.start();
        }
        return () -> {
            queue.put(item);
            consumed.take();
        };
    }

    static final BlockingQueue<Runnable> leads = new LinkedBlockingQueue<>(); // from who leads, by which it resigns
    static Runnable resign; // the present leader's; null: nobody stands yet

    static String handOver(int by, long nanos) throws Exception {
        if (resign == null) {
            for (int i = 0; i < by; i++) {
                stand(sessions.get(i), i);
            }
            resign = leads.take();
        }
        long done = 0;
        long begun = System.nanoTime();
        for (; done == 0 || System.nanoTime() - begun < nanos; done++) {
            resign.run();
            resign = leads.take();
        }
        return done + " " + (System.nanoTime() - begun);
    }

    /** Stands for election; who resigned stands again. A latch is closed for good, so each time is another one's. */
    static void stand(CuratorFramework c, int i) throws Exception {
        LeaderLatch latch = new LeaderLatch(c, "/beside/election", String.valueOf(i));
        latch.addListener(new LeaderLatchListener() {
            @Override
            public void isLeader() {
                leads.add(() -> {
                    try {
                        latch.close();
                        stand(c, i);
                    } catch (Exception e) {
                        throw new IllegalStateException(e);
                    }
                });
            }

            @Override
            public void notLeader() {}
        });
        latch.start();
    }
}
