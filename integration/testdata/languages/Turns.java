import java.io.FileOutputStream;
import java.io.OutputStream;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import org.apache.curator.framework.CuratorFramework;
import org.apache.curator.framework.CuratorFrameworkFactory;
import org.apache.curator.framework.recipes.atomic.AtomicValue;
import org.apache.curator.framework.recipes.atomic.DistributedAtomicLong;
import org.apache.curator.framework.recipes.barriers.DistributedDoubleBarrier;
import org.apache.curator.framework.recipes.leader.LeaderLatch;
import org.apache.curator.framework.recipes.leader.LeaderSelector;
import org.apache.curator.framework.recipes.leader.LeaderSelectorListenerAdapter;
import org.apache.curator.framework.recipes.locks.InterProcessLock;
import org.apache.curator.framework.recipes.locks.InterProcessMutex;
import org.apache.curator.framework.recipes.locks.InterProcessReadWriteLock;
import org.apache.curator.framework.recipes.locks.InterProcessSemaphoreV2;
import org.apache.curator.framework.recipes.locks.Lease;
import org.apache.curator.framework.recipes.shared.SharedCount;
import org.apache.curator.retry.RetryNTimes;
import org.apache.zookeeper.KeeperException;
import org.apache.zookeeper.data.Stat;

/**
 * One who takes turns with others by Curator's recipes, all of them at once, and writes in a journal that is shared with those others:
 * "RECIPE WHO VERB NUMBER", the number a token, a sum or a round. The others may be in any language. Says "ready", waits for a line, and ends when all turns are taken.
 *
 * Arguments: SERVER TURNS WHO, then for each recipe three: curator/RECIPE, its path, the file of its journal.
 */
public class Turns {
    static final long PATIENCE = 60;
    static CuratorFramework client;
    static int turns;
    static String who;

    interface Turn {
        void take(int i) throws Exception;
    }

    final String recipe;
    final String path;
    final OutputStream journal;

    Turns(String recipe, String path, String journal) throws Exception {
        this.recipe = recipe.substring(recipe.indexOf('/') + 1);
        this.path = path;
        this.journal = new FileOutputStream(journal, true);
    }

    public static void main(String[] args) throws Exception {
        turns = Integer.parseInt(args[1]);
        who = args[2];
        ExecutorService all = Executors.newCachedThreadPool();
        try (CuratorFramework c = CuratorFrameworkFactory.newClient(args[0], 30_000, 10_000, new RetryNTimes(200, 5))) {
            client = c;
            c.start();
            c.blockUntilConnected();
            System.out.println("ready");
            System.in.read();
            List<Future<?>> running = new ArrayList<>();
            for (int i = 3; i < args.length; i += 3) {
                Turns t = new Turns(args[i], args[i + 1], args[i + 2]);
                running.add(all.submit(() -> {
                    Turn turn = t.turn();
                    for (int n = 0; n < turns; n++) {
                        turn.take(n);
                    }
                    return null;
                }));
            }
            for (Future<?> r : running) {
                r.get();
            }
        } finally {
            all.shutdownNow();
        }
    }

    /** One write, which is put at the end of the file whoever writes at the same time. */
    void say(String verb, long number) throws Exception {
        journal.write((recipe + " " + who + " " + verb + " " + number + "\n").getBytes(StandardCharsets.US_ASCII));
    }

    /** What is done by one who is in. */
    void within(String enter, long token) throws Exception {
        say(enter, token);
        Thread.sleep(1);
        say("leaves", token);
    }

    /** The transaction that made this one's node among those who stand in line. */
    long token() throws Exception {
        for (String name : client.getChildren().forPath(path)) {
            Stat stat = new Stat();
            try {
                if (new String(client.getData().storingStatIn(stat).forPath(path + "/" + name), StandardCharsets.US_ASCII).equals(who)) {
                    return stat.getCzxid();
                }
            } catch (KeeperException.NoNodeException e) {
                // somebody else's, who has left
            }
        }
        throw new IllegalStateException(who + " has no node in " + path);
    }

    void hold(InterProcessLock lock, String enter) throws Exception {
        if (!lock.acquire(PATIENCE, TimeUnit.SECONDS)) {
            throw new IllegalStateException(recipe + " is not acquired");
        }
        within(enter, token());
        lock.release();
    }

    Turn turn() throws Exception {
        byte[] name = who.getBytes(StandardCharsets.US_ASCII);
        switch (recipe) {
            case "lock":
                InterProcessMutex mutex = new InterProcessMutex(client, path) {
                    @Override
                    protected byte[] getLockNodeBytes() {
                        return name;
                    }
                };
                return i -> hold(mutex, "enters");
            case "rw":
                InterProcessReadWriteLock rw = new InterProcessReadWriteLock(client, path, name);
                return i -> {
                    if (i % 2 == 0) {
                        hold(rw.writeLock(), "enters");
                    } else {
                        hold(rw.readLock(), "joins");
                    }
                };
            case "semaphore":
                InterProcessSemaphoreV2 semaphore = new InterProcessSemaphoreV2(client, path, 3);
                return i -> {
                    Collection<Lease> leases = semaphore.acquire(1 + i % 2, PATIENCE, TimeUnit.SECONDS);
                    within("joins", leases.size());
                    semaphore.returnAll(leases);
                };
            case "latch":
                return i -> {
                    try (LeaderLatch latch = new LeaderLatch(client, path, who)) {
                        latch.start();
                        if (!latch.await(PATIENCE, TimeUnit.SECONDS)) {
                            throw new IllegalStateException("the latch does not lead");
                        }
                        within("enters", token());
                    }
                };
            case "selector":
                return i -> {
                    CountDownLatch led = new CountDownLatch(1);
                    try (LeaderSelector selector = new LeaderSelector(client, path, new LeaderSelectorListenerAdapter() {
                        @Override
                        public void takeLeadership(CuratorFramework c) throws Exception {
                            within("enters", token());
                            led.countDown();
                        }
                    })) {
                        selector.setId(who);
                        selector.start();
                        if (!led.await(PATIENCE, TimeUnit.SECONDS)) {
                            throw new IllegalStateException("the selector does not lead");
                        }
                    }
                };
            case "counter":
                DistributedAtomicLong counter = new DistributedAtomicLong(client, path, new RetryNTimes(1000, 1));
                return i -> {
                    AtomicValue<Long> value = counter.increment();
                    if (!value.succeeded()) {
                        throw new IllegalStateException("the counter is not incremented");
                    }
                    say("counts", value.postValue());
                };
            case "value":
                SharedCount count = new SharedCount(client, path, 0);
                count.start();
                return i -> {
                    while (true) {
                        org.apache.curator.framework.recipes.shared.VersionedValue<Integer> seen = count.getVersionedValue();
                        if (count.trySetCount(seen, seen.getValue() + 1)) {
                            say("counts", seen.getValue() + 1);
                            return;
                        }
                        Thread.sleep(1);
                    }
                };
            case "double":
                return i -> {
                    DistributedDoubleBarrier barrier = new DistributedDoubleBarrier(client, path, 2);
                    say("comes", i);
                    if (!barrier.enter(PATIENCE, TimeUnit.SECONDS)) {
                        throw new IllegalStateException("the barrier lets nobody in");
                    }
                    say("enters", i);
                    Thread.sleep(1);
                    awaitEvents();
                    say("leaves", i);
                    if (!barrier.leave(PATIENCE, TimeUnit.SECONDS)) {
                        throw new IllegalStateException("the barrier lets nobody out");
                    }
                    say("goes", i);
                };
            default:
                throw new IllegalArgumentException(recipe);
        }
    }

    /**
     * Returns when recipes have been woken by all that the server has told of by now. Curator's double barrier leaves alone, before the one other
     * who is still there, when it is woken late by the node "ready" that it made itself to enter.
     */
    static void awaitEvents() throws Exception {
        CountDownLatch woken = new CountDownLatch(1);
        client.checkExists().inBackground((c, event) -> c.runSafe(woken::countDown)).forPath("/");
        if (!woken.await(PATIENCE, TimeUnit.SECONDS)) {
            throw new IllegalStateException("the server does not answer");
        }
    }
}
