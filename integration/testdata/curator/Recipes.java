import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collection;
import java.util.Collections;
import java.util.List;
import java.util.TreeSet;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.Callable;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import org.apache.curator.framework.CuratorFramework;
import org.apache.curator.framework.CuratorFrameworkFactory;
import org.apache.curator.framework.api.transaction.CuratorTransactionResult;
import org.apache.curator.framework.recipes.atomic.AtomicValue;
import org.apache.curator.framework.recipes.atomic.CachedAtomicLong;
import org.apache.curator.framework.recipes.atomic.DistributedAtomicInteger;
import org.apache.curator.framework.recipes.atomic.DistributedAtomicLong;
import org.apache.curator.framework.recipes.atomic.DistributedAtomicValue;
import org.apache.curator.framework.recipes.atomic.PromotedToLock;
import org.apache.curator.framework.recipes.barriers.DistributedBarrier;
import org.apache.curator.framework.recipes.barriers.DistributedDoubleBarrier;
import org.apache.curator.framework.recipes.cache.CuratorCache;
import org.apache.curator.framework.recipes.cache.CuratorCacheListener;
import org.apache.curator.framework.recipes.leader.LeaderLatch;
import org.apache.curator.framework.recipes.leader.LeaderSelector;
import org.apache.curator.framework.recipes.leader.LeaderSelectorListenerAdapter;
import org.apache.curator.framework.recipes.leader.Participant;
import org.apache.curator.framework.recipes.locks.InterProcessMultiLock;
import org.apache.curator.framework.recipes.locks.InterProcessMutex;
import org.apache.curator.framework.recipes.locks.InterProcessReadWriteLock;
import org.apache.curator.framework.recipes.locks.InterProcessSemaphoreMutex;
import org.apache.curator.framework.recipes.locks.InterProcessSemaphoreV2;
import org.apache.curator.framework.recipes.locks.Lease;
import org.apache.curator.framework.recipes.nodes.GroupMember;
import org.apache.curator.framework.recipes.nodes.PersistentNode;
import org.apache.curator.framework.recipes.nodes.PersistentTtlNode;
import org.apache.curator.framework.recipes.queue.DistributedDelayQueue;
import org.apache.curator.framework.recipes.queue.DistributedPriorityQueue;
import org.apache.curator.framework.recipes.queue.DistributedQueue;
import org.apache.curator.framework.recipes.queue.QueueBuilder;
import org.apache.curator.framework.recipes.queue.QueueConsumer;
import org.apache.curator.framework.recipes.queue.QueueSerializer;
import org.apache.curator.framework.recipes.queue.SimpleDistributedQueue;
import org.apache.curator.framework.recipes.shared.SharedCount;
import org.apache.curator.framework.recipes.shared.SharedValue;
import org.apache.curator.framework.state.ConnectionState;
import org.apache.curator.retry.RetryOneTime;
import org.apache.curator.x.discovery.ServiceCache;
import org.apache.curator.x.discovery.ServiceDiscovery;
import org.apache.curator.x.discovery.ServiceDiscoveryBuilder;
import org.apache.curator.x.discovery.ServiceInstance;
import org.apache.curator.x.discovery.ServiceProvider;
import org.apache.zookeeper.CreateMode;
import org.apache.zookeeper.data.Stat;

/** Curator doing everything it offers; the argument is the server's host:port. */
public final class Recipes {
    private static final ExecutorService threads = Executors.newCachedThreadPool(r -> {
        Thread t = new Thread(r);
        t.setDaemon(true);
        return t;
    });

    private final CuratorFramework a;
    private final CuratorFramework b;

    private Recipes(CuratorFramework a, CuratorFramework b) {
        this.a = a;
        this.b = b;
    }

    public static void main(String[] args) throws Exception {
        CuratorFramework a = connect(args[0]);
        CuratorFramework b = connect(args[0]);
        Recipes r = new Recipes(a, b);
        r.framework();
        r.transactions();
        r.mutex();
        r.otherLocks();
        r.leaders();
        r.barriers();
        r.counters();
        r.cache();
        r.nodes();
        r.queues();
        r.discovery();
        b.close();
        a.close();
        System.exit(0);
    }

    private static CuratorFramework connect(String address) throws Exception {
        CuratorFramework c = CuratorFrameworkFactory.builder().connectString(address).sessionTimeoutMs(6000).connectionTimeoutMs(6000)
                .retryPolicy(new RetryOneTime(100)).ensembleTracker(true).build();
        c.start();
        if (!c.blockUntilConnected(20, TimeUnit.SECONDS)) {
            throw new IllegalStateException("not connected within 20 s");
        }
        return c;
    }

    private static byte[] bytes(String s) {
        return s.getBytes(StandardCharsets.UTF_8);
    }

    private void section(String title, String path) throws Exception {
        Stat stat = new Stat();
        a.create().storingStatIn(stat).forPath(path, new byte[0]);
        Transcript.section(title, stat.getCzxid());
    }

    /** Waits for something that another thread brings about. */
    private static void until(String what, Callable<Boolean> condition) throws Exception {
        long end = System.nanoTime() + TimeUnit.SECONDS.toNanos(20);
        while (!condition.call()) {
            if (System.nanoTime() > end) {
                throw new IllegalStateException(what + ": not within 20 s");
            }
            TimeUnit.MILLISECONDS.sleep(10);
        }
    }

    /** The children's names with what is random in them replaced. */
    private Collection<String> names(String path) throws Exception {
        Collection<String> shown = new TreeSet<>();
        for (String name : a.getChildren().forPath(path)) {
            shown.add(plain(name));
        }
        return shown;
    }

    private static String plain(String text) {
        return text.replaceAll("[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", "UUID");
    }

    private void framework() throws Exception {
        section("curator: the framework", "/framework");
        Transcript.call("state", () -> a.getState() + " " + a.getZookeeperClient().isConnected());
        Transcript.call("config", () -> a.getConfig().forEnsemble());
        Transcript.call("the ensemble it follows", () -> a.getCurrentConfig().getAllMembers().size());
        Transcript.call("create", () -> a.create().forPath("/framework/x", bytes("x")));
        Transcript.call("create with parents", () -> a.create().creatingParentsIfNeeded().forPath("/framework/p/q/r"));
        Transcript.call("create with container parents", () -> a.create().creatingParentContainersIfNeeded().forPath("/framework/c/d/e"));
        Transcript.call("protected", () -> plain(a.create().withProtection().withMode(CreateMode.EPHEMERAL_SEQUENTIAL).forPath("/framework/s-")));
        Transcript.call("ttl", () -> a.create().withTtl(60_000).withMode(CreateMode.PERSISTENT_WITH_TTL).forPath("/framework/ttl"));
        Transcript.call("or set", () -> a.create().orSetData().forPath("/framework/x", bytes("y")));
        Transcript.call("exists", () -> a.checkExists().forPath("/framework/x"));
        Transcript.call("exists missing", () -> a.checkExists().forPath("/framework/none"));
        Transcript.call("get", () -> a.getData().forPath("/framework/x"));
        Transcript.call("set", () -> a.setData().withVersion(1).forPath("/framework/x", bytes("z")));
        Transcript.call("set, bad version", () -> a.setData().withVersion(1).forPath("/framework/x", bytes("z")));
        Transcript.call("compressed", () -> {
            a.setData().compressed().forPath("/framework/x", bytes("compressed"));
            return a.getData().decompressed().forPath("/framework/x");
        });
        Transcript.call("children", () -> names("/framework"));
        Transcript.call("acl", () -> a.getACL().forPath("/framework"));
        Transcript.call("sync", () -> a.sync().forPath("/framework"));
        BlockingQueue<String> answers = new LinkedBlockingQueue<>();
        a.getData().inBackground((client, event) -> answers.add(event.getType() + " " + event.getResultCode())).forPath("/framework/none");
        Transcript.call("in the background", () -> answers.poll(20, TimeUnit.SECONDS));
        a.checkExists().usingWatcher((org.apache.zookeeper.Watcher) event -> answers.add(event.getType() + " " + event.getPath())).forPath("/framework/w");
        b.create().forPath("/framework/w");
        Transcript.call("watched", () -> answers.poll(20, TimeUnit.SECONDS));
        Transcript.act("delete", () -> a.delete().forPath("/framework/p"));
        Transcript.act("delete with children", () -> a.delete().deletingChildrenIfNeeded().forPath("/framework/p"));
        Transcript.act("delete quietly", () -> a.delete().quietly().forPath("/framework/p"));
        Transcript.act("delete guaranteed", () -> a.delete().guaranteed().forPath("/framework/w"));
        CuratorFramework n = a.usingNamespace("framework/space");
        Transcript.call("namespace", () -> n.create().creatingParentsIfNeeded().forPath("/in/it"));
        Transcript.call("  where", () -> a.checkExists().forPath("/framework/space/in/it") != null);
        a.watchers().add().withMode(org.apache.zookeeper.AddWatchMode.PERSISTENT_RECURSIVE)
                .usingWatcher((org.apache.zookeeper.Watcher) event -> answers.add(event.getType() + " " + event.getPath())).forPath("/framework");
        b.setData().forPath("/framework/space/in/it", bytes("x"));
        Transcript.call("recursive", () -> answers.poll(20, TimeUnit.SECONDS));
        Transcript.act("no watch any more", () -> a.watchers().removeAll().forPath("/framework"));
        Transcript.call("told", () -> answers.poll(20, TimeUnit.SECONDS));
    }

    private void transactions() throws Exception {
        section("curator: transactions", "/transactions");
        Transcript.call("all", () -> shown(a.transaction().forOperations(
                a.transactionOp().create().forPath("/transactions/a", bytes("a")),
                a.transactionOp().create().withMode(CreateMode.EPHEMERAL_SEQUENTIAL).forPath("/transactions/a/s-"),
                a.transactionOp().create().withMode(CreateMode.CONTAINER).forPath("/transactions/c"),
                a.transactionOp().setData().forPath("/transactions/a", bytes("b")),
                a.transactionOp().check().withVersion(1).forPath("/transactions/a"),
                a.transactionOp().delete().forPath("/transactions/c"))));
        Transcript.call("failing", () -> a.transaction().forOperations(
                a.transactionOp().create().forPath("/transactions/b"),
                a.transactionOp().check().withVersion(9).forPath("/transactions/a"),
                a.transactionOp().delete().forPath("/transactions/a")).size());
        Transcript.call("children", () -> names("/transactions"));
        Transcript.call("stat", () -> a.checkExists().forPath("/transactions/a"));
    }

    private static List<String> shown(List<CuratorTransactionResult> results) {
        List<String> all = new ArrayList<>();
        for (CuratorTransactionResult r : results) {
            all.add(r.getType() + " " + r.getForPath() + " " + r.getResultPath() + " " + r.getError()
                    + (r.getResultStat() == null ? "" : " " + Transcript.show(r.getResultStat())));
        }
        return all;
    }

    private void mutex() throws Exception {
        section("curator: mutex", "/mutex");
        InterProcessMutex one = new InterProcessMutex(a, "/mutex/lock");
        InterProcessMutex two = new InterProcessMutex(b, "/mutex/lock");
        Transcript.act("acquire", () -> one.acquire());
        Transcript.act("acquire again", () -> one.acquire());
        Transcript.call("not the other", () -> two.acquire(100, TimeUnit.MILLISECONDS));
        Transcript.call("nodes", () -> names("/mutex/lock"));
        Transcript.call("container", () -> a.checkExists().forPath("/mutex/lock").getEphemeralOwner());
        CountDownLatch got = new CountDownLatch(1);
        Future<?> other = threads.submit(() -> {
            two.acquire();
            got.countDown();
            two.release();
            return null;
        });
        until("two contenders", () -> names("/mutex/lock").size() == 2);
        Transcript.call("participants", () -> one.getParticipantNodes().size());
        Transcript.act("release", () -> one.release());
        Transcript.call("still ours", () -> one.isAcquiredInThisProcess());
        Transcript.act("release", () -> one.release());
        Transcript.call("the other's turn", () -> got.await(20, TimeUnit.SECONDS));
        other.get(20, TimeUnit.SECONDS);
        Transcript.call("nodes", () -> names("/mutex/lock"));
        Transcript.act("release what is not held", () -> one.release());
        CountDownLatch asked = new CountDownLatch(1);
        one.makeRevocable(lock -> asked.countDown());
        one.acquire();
        Transcript.act("ask for it", () -> org.apache.curator.framework.recipes.locks.Revoker.attemptRevoke(b, one.getParticipantNodes().iterator().next()));
        Transcript.call("it is asked", () -> asked.await(20, TimeUnit.SECONDS));
        Transcript.act("release", () -> one.release());
    }

    private void otherLocks() throws Exception {
        section("curator: other locks", "/locks");
        InterProcessReadWriteLock rw = new InterProcessReadWriteLock(a, "/locks/rw");
        InterProcessReadWriteLock rw2 = new InterProcessReadWriteLock(b, "/locks/rw");
        Transcript.act("read", () -> rw.readLock().acquire());
        Transcript.call("read too", () -> rw2.readLock().acquire(5, TimeUnit.SECONDS));
        Transcript.call("not write", () -> rw2.writeLock().acquire(100, TimeUnit.MILLISECONDS));
        Transcript.call("nodes", () -> names("/locks/rw"));
        rw.readLock().release();
        rw2.readLock().release();
        Transcript.call("write", () -> rw2.writeLock().acquire(5, TimeUnit.SECONDS));
        Transcript.call("downgrade", () -> rw2.readLock().acquire(5, TimeUnit.SECONDS));
        Transcript.call("not read", () -> rw.readLock().acquire(100, TimeUnit.MILLISECONDS));
        rw2.writeLock().release();
        Transcript.call("read", () -> rw.readLock().acquire(5, TimeUnit.SECONDS));
        rw.readLock().release();
        rw2.readLock().release();
        InterProcessSemaphoreV2 semaphore = new InterProcessSemaphoreV2(a, "/locks/semaphore", 2);
        InterProcessSemaphoreV2 semaphore2 = new InterProcessSemaphoreV2(b, "/locks/semaphore", 2);
        Lease first = semaphore.acquire();
        first.getData();
        Lease second = semaphore2.acquire(5, TimeUnit.SECONDS);
        Transcript.call("two", () -> second != null);
        Transcript.call("not three", () -> semaphore.acquire(100, TimeUnit.MILLISECONDS));
        Transcript.call("holders", () -> semaphore.getParticipantNodes().size());
        semaphore.returnLease(first);
        Transcript.call("again", () -> semaphore2.acquire(5, TimeUnit.SECONDS) != null);
        semaphore2.returnLease(second);
        Transcript.call("semaphore's nodes", () -> names("/locks/semaphore"));
        InterProcessSemaphoreV2 counted = new InterProcessSemaphoreV2(a, "/locks/counted", new SharedCount(a, "/locks/count", 1));
        Transcript.call("with a shared count", () -> counted.acquire(5, TimeUnit.SECONDS) != null);
        InterProcessSemaphoreMutex plain = new InterProcessSemaphoreMutex(a, "/locks/plain");
        Transcript.call("not reentrant", () -> plain.acquire(5, TimeUnit.SECONDS) && !plain.acquire(100, TimeUnit.MILLISECONDS));
        plain.release();
        InterProcessMultiLock multi = new InterProcessMultiLock(a, Arrays.asList("/locks/m1", "/locks/m2"));
        Transcript.call("both", () -> multi.acquire(5, TimeUnit.SECONDS));
        Transcript.call("one of both", () -> new InterProcessMutex(b, "/locks/m2").acquire(100, TimeUnit.MILLISECONDS));
        multi.release();
        Transcript.call("nodes", () -> names("/locks"));
    }

    private void leaders() throws Exception {
        section("curator: leaders", "/leaders");
        LeaderLatch one = new LeaderLatch(a, "/leaders/latch", "one");
        LeaderLatch two = new LeaderLatch(b, "/leaders/latch", "two");
        one.start();
        Transcript.call("first", () -> one.await(20, TimeUnit.SECONDS));
        two.start();
        until("two participants", () -> one.getParticipants().size() == 2);
        Transcript.call("leader", () -> two.getLeader().getId());
        Transcript.call("participants", () -> participants(two.getParticipants()));
        Transcript.call("the second leads", () -> two.hasLeadership());
        one.close();
        Transcript.call("now", () -> two.await(20, TimeUnit.SECONDS));
        Transcript.call("leader", () -> two.getLeader().getId());
        two.close();
        until("no participant", () -> names("/leaders/latch").isEmpty());
        BlockingQueue<String> turns = new LinkedBlockingQueue<>();
        List<LeaderSelector> selectors = new ArrayList<>();
        CountDownLatch go = new CountDownLatch(1);
        for (CuratorFramework c : Arrays.asList(a, b)) {
            String id = c == a ? "a" : "b";
            LeaderSelector s = new LeaderSelector(c, "/leaders/selector", new LeaderSelectorListenerAdapter() {
                @Override
                public void takeLeadership(CuratorFramework client) throws Exception {
                    turns.add(id);
                    go.await();
                }
            });
            s.setId(id);
            selectors.add(s);
            s.start();
            if (c == a) {
                until("a's turn", () -> !turns.isEmpty());
            }
        }
        until("two candidates", () -> selectors.get(1).getParticipants().size() == 2);
        Transcript.call("candidates", () -> participants(selectors.get(1).getParticipants()));
        go.countDown();
        Transcript.call("turns", () -> turns.poll(20, TimeUnit.SECONDS) + turns.poll(20, TimeUnit.SECONDS));
        for (LeaderSelector s : selectors) {
            s.close();
        }
    }

    private static Collection<String> participants(Collection<Participant> all) {
        Collection<String> shown = new TreeSet<>();
        for (Participant p : all) {
            shown.add(p.getId() + (p.isLeader() ? " leads" : " waits"));
        }
        return shown;
    }

    private void barriers() throws Exception {
        section("curator: barriers", "/barriers");
        DistributedBarrier barrier = new DistributedBarrier(a, "/barriers/one");
        DistributedBarrier same = new DistributedBarrier(b, "/barriers/one");
        barrier.setBarrier();
        Transcript.call("closed", () -> same.waitOnBarrier(100, TimeUnit.MILLISECONDS));
        Future<Boolean> waiting = threads.submit(() -> same.waitOnBarrier(20, TimeUnit.SECONDS));
        barrier.removeBarrier();
        Transcript.call("open", () -> waiting.get(20, TimeUnit.SECONDS));
        DistributedDoubleBarrier in = new DistributedDoubleBarrier(a, "/barriers/double", 2);
        DistributedDoubleBarrier in2 = new DistributedDoubleBarrier(b, "/barriers/double", 2);
        Future<Boolean> entering = threads.submit(() -> in.enter(20, TimeUnit.SECONDS));
        Transcript.call("enter", () -> in2.enter(20, TimeUnit.SECONDS) && entering.get(20, TimeUnit.SECONDS));
        Future<Boolean> leaving = threads.submit(() -> in.leave(20, TimeUnit.SECONDS));
        Transcript.call("leave", () -> in2.leave(20, TimeUnit.SECONDS) && leaving.get(20, TimeUnit.SECONDS));
        Transcript.call("nodes", () -> names("/barriers/double"));
    }

    private void counters() throws Exception {
        section("curator: counters", "/counters");
        DistributedAtomicLong n = new DistributedAtomicLong(a, "/counters/long", new RetryOneTime(10));
        DistributedAtomicLong m = new DistributedAtomicLong(b, "/counters/long", new RetryOneTime(10),
                PromotedToLock.builder().lockPath("/counters/lock").build());
        Transcript.call("initialize", () -> n.initialize(5L));
        Transcript.call("initialize again", () -> m.initialize(6L));
        Transcript.call("add", () -> both(m.add(10L)));
        Transcript.call("decrement", () -> both(n.decrement()));
        Transcript.call("compare and set", () -> both(m.compareAndSet(14L, 100L)));
        Transcript.call("compare and set wrongly", () -> both(n.compareAndSet(14L, 200L)));
        Transcript.call("value", () -> n.get().postValue());
        DistributedAtomicInteger i = new DistributedAtomicInteger(a, "/counters/int", new RetryOneTime(10));
        Transcript.call("integer", () -> i.increment().postValue());
        Transcript.call("cached", () -> {
            CachedAtomicLong cached = new CachedAtomicLong(n, 10);
            return both(cached.next()) + " " + both(cached.next());
        });
        Transcript.call("value", () -> new String(new DistributedAtomicValue(a, "/counters/value", new RetryOneTime(10)).trySet(bytes("v")).postValue()));
        SharedCount count = new SharedCount(a, "/counters/shared", 3);
        SharedCount same = new SharedCount(b, "/counters/shared", 3);
        count.start();
        same.start();
        Transcript.call("shared", () -> same.trySetCount(same.getVersionedValue(), 7));
        until("the other one's change", () -> count.getCount() == 7);
        Transcript.call("shared, stale", () -> {
            org.apache.curator.framework.recipes.shared.VersionedValue<Integer> old = count.getVersionedValue();
            count.setCount(8);
            return count.trySetCount(old, 9);
        });
        SharedValue value = new SharedValue(a, "/counters/sharedvalue", bytes("seed"));
        value.start();
        Transcript.call("shared value", () -> value.getValue());
        value.close();
        count.close();
        same.close();
    }

    private static String both(AtomicValue<Long> v) throws Exception {
        return v.succeeded() + " " + v.preValue() + " " + v.postValue();
    }

    private void cache() throws Exception {
        section("curator: cache", "/cache");
        b.create().forPath("/cache/old", bytes("old"));
        List<String> told = Collections.synchronizedList(new ArrayList<>());
        CountDownLatch filled = new CountDownLatch(1);
        CuratorCache cache = CuratorCache.build(a, "/cache");
        cache.listenable().addListener(CuratorCacheListener.builder().forInitialized(filled::countDown)
                .forAll((type, before, after) -> told.add(type + " " + (after == null ? before : after).getPath() + " " + Transcript.show((after == null ? before : after).getData())))
                .build());
        cache.start();
        Transcript.call("filled", () -> filled.await(20, TimeUnit.SECONDS));
        b.create().creatingParentsIfNeeded().forPath("/cache/a/b/c", bytes("c"));
        until("created", () -> cache.get("/cache/a/b/c").isPresent());
        b.setData().forPath("/cache/a/b/c", bytes("d"));
        until("changed", () -> new String(cache.get("/cache/a/b/c").get().getData()).equals("d"));
        b.delete().forPath("/cache/old");
        until("deleted", () -> !cache.get("/cache/old").isPresent());
        b.delete().deletingChildrenIfNeeded().forPath("/cache/a");
        until("all gone", () -> cache.size() == 1);
        until("all told", () -> told.size() == 10);
        Transcript.call("told", () -> new TreeSet<>(told));
        cache.close();
    }

    private void nodes() throws Exception {
        section("curator: nodes", "/nodes");
        PersistentNode node = new PersistentNode(a, CreateMode.EPHEMERAL, false, "/nodes/p", bytes("p"));
        node.start();
        Transcript.call("created", () -> node.waitForInitialCreate(20, TimeUnit.SECONDS));
        long old = b.checkExists().forPath("/nodes/p").getCzxid();
        b.delete().forPath("/nodes/p");
        until("created again", () -> b.checkExists().forPath("/nodes/p") != null && b.checkExists().forPath("/nodes/p").getCzxid() > old);
        Transcript.call("its data", () -> b.getData().forPath("/nodes/p"));
        node.setData(bytes("q"));
        until("its new data", () -> new String(b.getData().forPath("/nodes/p")).equals("q"));
        node.close();
        Transcript.call("closed", () -> b.checkExists().forPath("/nodes/p"));
        PersistentTtlNode ttl = new PersistentTtlNode(a, "/nodes/ttl", 10_000, bytes("t"));
        ttl.start();
        Transcript.call("ttl", () -> ttl.waitForInitialCreate(20, TimeUnit.SECONDS));
        ttl.close();
        GroupMember one = new GroupMember(a, "/nodes/group", "one", bytes("1"));
        GroupMember two = new GroupMember(b, "/nodes/group", "two", bytes("2"));
        one.start();
        two.start();
        until("both", () -> one.getCurrentMembers().size() == 2 && two.getCurrentMembers().size() == 2);
        Transcript.call("members", () -> new TreeSet<>(one.getCurrentMembers().keySet()));
        two.close();
        until("one", () -> one.getCurrentMembers().size() == 1);
        Transcript.call("members", () -> new TreeSet<>(one.getCurrentMembers().keySet()));
        one.close();
    }

    private static final QueueSerializer<String> text = new QueueSerializer<String>() {
        @Override
        public byte[] serialize(String item) {
            return bytes(item);
        }

        @Override
        public String deserialize(byte[] data) {
            return new String(data, StandardCharsets.UTF_8);
        }
    };

    private void queues() throws Exception {
        section("curator: queues", "/queues");
        BlockingQueue<String> got = new LinkedBlockingQueue<>();
        QueueConsumer<String> consumer = new QueueConsumer<String>() {
            @Override
            public void consumeMessage(String message) {
                got.add(message);
            }

            @Override
            public void stateChanged(CuratorFramework client, ConnectionState state) {}
        };
        DistributedQueue<String> put = QueueBuilder.builder(a, null, text, "/queues/plain").buildQueue();
        DistributedQueue<String> take = QueueBuilder.builder(b, consumer, text, "/queues/plain").lockPath("/queues/locks").buildQueue();
        put.start();
        put.put("1");
        put.put("2");
        put.flushPuts(20, TimeUnit.SECONDS);
        take.start();
        Transcript.call("queue", () -> got.poll(20, TimeUnit.SECONDS) + got.poll(20, TimeUnit.SECONDS));
        DistributedPriorityQueue<String> priority = QueueBuilder.builder(a, null, text, "/queues/priority").buildPriorityQueue(1);
        priority.start();
        priority.put("late", 9);
        priority.put("early", 1);
        priority.flushPuts(20, TimeUnit.SECONDS);
        DistributedPriorityQueue<String> served = QueueBuilder.builder(b, consumer, text, "/queues/priority").buildPriorityQueue(1);
        served.start();
        Transcript.call("priority", () -> new TreeSet<>(Arrays.asList(got.poll(20, TimeUnit.SECONDS), got.poll(20, TimeUnit.SECONDS))));
        DistributedDelayQueue<String> delay = QueueBuilder.builder(a, consumer, text, "/queues/delay").buildDelayQueue();
        delay.start();
        delay.put("later", System.currentTimeMillis() + 300);
        delay.put("now", System.currentTimeMillis() - 1000);
        Transcript.call("delay", () -> got.poll(20, TimeUnit.SECONDS) + " " + got.poll(20, TimeUnit.SECONDS));
        SimpleDistributedQueue simple = new SimpleDistributedQueue(a, "/queues/simple");
        Transcript.call("offer", () -> simple.offer(bytes("1")) && simple.offer(bytes("2")));
        Transcript.call("peek, take, poll", () -> new String(simple.peek()) + new String(simple.take()) + new String(simple.poll(5, TimeUnit.SECONDS)));
        Transcript.call("poll nothing", () -> simple.poll(100, TimeUnit.MILLISECONDS));
        for (java.io.Closeable q : Arrays.asList(put, take, priority, served, delay)) {
            q.close();
        }
    }

    private void discovery() throws Exception {
        section("curator: discovery", "/discovery");
        ServiceInstance<Void> one = ServiceInstance.<Void>builder().name("svc").id("one").address("10.0.0.1").port(1).build();
        ServiceInstance<Void> two = ServiceInstance.<Void>builder().name("svc").id("two").address("10.0.0.2").port(2).build();
        ServiceDiscovery<Void> da = ServiceDiscoveryBuilder.builder(Void.class).client(a).basePath("/discovery").thisInstance(one).build();
        ServiceDiscovery<Void> db = ServiceDiscoveryBuilder.builder(Void.class).client(b).basePath("/discovery").build();
        da.start();
        db.start();
        db.registerService(two);
        Transcript.call("names", () -> new TreeSet<>(db.queryForNames()));
        Transcript.call("instances", () -> ids(db.queryForInstances("svc")));
        ServiceCache<Void> cache = db.serviceCacheBuilder().name("svc").build();
        cache.start();
        ServiceProvider<Void> provider = da.serviceProviderBuilder().serviceName("svc").build();
        provider.start();
        until("both are known", () -> provider.getAllInstances().size() == 2 && cache.getInstances().size() == 2);
        Transcript.call("provided", () -> ids(provider.getAllInstances()));
        da.unregisterService(one);
        until("one is left", () -> cache.getInstances().size() == 1 && provider.getAllInstances().size() == 1);
        Transcript.call("cached", () -> ids(cache.getInstances()));
        provider.close();
        cache.close();
        db.close();
        da.close();
        Transcript.call("nodes", () -> names("/discovery/svc"));
    }

    private static Collection<String> ids(Collection<ServiceInstance<Void>> all) {
        Collection<String> shown = new TreeSet<>();
        for (ServiceInstance<Void> i : all) {
            shown.add(i.getId() + " " + i.getAddress() + ":" + i.getPort());
        }
        return shown;
    }
}
