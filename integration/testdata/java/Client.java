import static org.apache.zookeeper.ZooDefs.Ids.OPEN_ACL_UNSAFE;

import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import org.apache.zookeeper.CreateMode;
import org.apache.zookeeper.WatchedEvent;
import org.apache.zookeeper.Watcher;
import org.apache.zookeeper.ZooKeeper;
import org.apache.zookeeper.data.Stat;

/** A session whose events are kept until asked for. */
final class Client implements AutoCloseable {
    final ZooKeeper zk;
    final String name;
    private final LinkedBlockingQueue<Watcher.Event.KeeperState> states = new LinkedBlockingQueue<>();
    private final LinkedBlockingQueue<String> events = new LinkedBlockingQueue<>();
    /** The default watcher. */
    final Watcher watcher = event -> record("default", event);

    Client(String name, String address, int timeout, boolean readOnly) throws Exception {
        this.name = name;
        zk = new ZooKeeper(address, timeout, watcher, readOnly);
    }

    Client(String name, String address, int timeout, long session, byte[] password) throws Exception {
        this.name = name;
        zk = new ZooKeeper(address, timeout, watcher, session, password);
    }

    static Client connect(String name, String address) throws Exception {
        Client c = new Client(name, address, 6000, false);
        c.await(Watcher.Event.KeeperState.SyncConnected);
        return c;
    }

    /** A watcher that records under a name of its own. */
    Watcher watcher(String label) {
        return new Watcher() {
            @Override
            public void process(WatchedEvent event) {
                record(label, event);
            }
        };
    }

    private void record(String label, WatchedEvent e) {
        if (e.getType() == Watcher.Event.EventType.None) {
            if (label.equals("default")) {
                states.add(e.getState());
            }
            return;
        }
        events.add(label + " |" + e.getType() + " " + e.getState() + " " + e.getPath() + " at " + e.getZxid());
    }

    /** Waits until the session has been told of this state, passing over others. */
    void await(Watcher.Event.KeeperState wanted) throws Exception {
        long until = System.nanoTime() + TimeUnit.SECONDS.toNanos(20);
        for (;;) {
            Watcher.Event.KeeperState s = states.poll(until - System.nanoTime(), TimeUnit.NANOSECONDS);
            if (s == null) {
                throw new IllegalStateException(name + " was not told " + wanted + " within 20 s");
            }
            if (s == wanted) {
                return;
            }
        }
    }

    /** Waits until everything the server sent before now has been delivered, and prints the events among it. */
    void events() {
        CountDownLatch done = new CountDownLatch(1);
        zk.sync("/", (rc, path, ctx) -> done.countDown(), null);
        try {
            if (!done.await(20, TimeUnit.SECONDS)) {
                throw new IllegalStateException("sync did not end within 20 s");
            }
        } catch (InterruptedException e) {
            throw new IllegalStateException(e);
        }
        List<String> all = new ArrayList<>();
        events.drainTo(all);
        if (all.isEmpty()) {
            Transcript.line("  " + name + ": no event");
        }
        // The client hands one event to several watchers, and takes several watchers back, in no particular order.
        for (int from = 0; from < all.size(); ) {
            int to = from + 1;
            while (to < all.size() && together(all.get(from), all.get(to))) {
                to++;
            }
            Collections.sort(all.subList(from, to));
            from = to;
        }
        for (String event : all) {
            Transcript.line("  " + name + ": " + shown(event));
        }
    }

    private static boolean together(String one, String other) {
        return one.contains("WatchRemoved") && other.contains("WatchRemoved")
                || one.substring(one.indexOf('|')).equals(other.substring(other.indexOf('|')));
    }

    /** Waits until the node is not there. */
    void awaitGone(String path) throws Exception {
        CountDownLatch gone = new CountDownLatch(1);
        if (zk.exists(path, event -> gone.countDown()) != null && !gone.await(20, TimeUnit.SECONDS)) {
            throw new IllegalStateException(path + " is still there after 20 s");
        }
    }

    /** Waits for one event and prints it: for changes the server makes by itself. */
    void event() throws Exception {
        String event = events.poll(20, TimeUnit.SECONDS);
        Transcript.line("  " + name + ": " + (event == null ? "no event within 20 s" : shown(event)));
    }

    /** The event with its zxid counted from the section's base, which is known only now. */
    private static String shown(String event) {
        int at = event.lastIndexOf(' ') + 1;
        return event.substring(0, at).replace("|", "") + Transcript.zxid(Long.parseLong(event.substring(at)));
    }

    /** Begins a section with a node of its own, whose czxid is what the section counts zxids from. */
    String section(String title, String path) throws Exception {
        Stat stat = new Stat();
        zk.create(path, null, OPEN_ACL_UNSAFE, CreateMode.PERSISTENT, stat);
        Transcript.section(title, stat.getCzxid());
        return path;
    }

    @Override
    public void close() throws InterruptedException {
        zk.close();
    }
}
