import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.util.HashMap;
import java.util.Iterator;
import java.util.List;
import java.util.Map;
import java.util.Queue;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.SynchronousQueue;
import java.util.concurrent.TimeUnit;
import org.apache.curator.framework.CuratorFramework;
import org.apache.curator.framework.CuratorFrameworkFactory;
import org.apache.curator.framework.recipes.queue.DistributedDelayQueue;
import org.apache.curator.framework.recipes.queue.DistributedIdQueue;
import org.apache.curator.framework.recipes.queue.DistributedPriorityQueue;
import org.apache.curator.framework.recipes.queue.DistributedQueue;
import org.apache.curator.framework.recipes.queue.MultiItem;
import org.apache.curator.framework.recipes.queue.QueueBuilder;
import org.apache.curator.framework.recipes.queue.QueueConsumer;
import org.apache.curator.framework.recipes.queue.QueueSerializer;
import org.apache.curator.framework.recipes.queue.SimpleDistributedQueue;
import org.apache.curator.framework.state.ConnectionState;
import org.apache.curator.retry.RetryNTimes;

/**
 * Curator's queues, steered line by line; the end of the input ends the program. Each line has one answer:
 *
 * open NAME KIND PATH LOCK-PATH HOW   a queue, of a KIND fifo, priority, delay, id or simple; LOCK-PATH is - for none. HOW: put (no consumer),
 *                                     step (a consumer that waits to be told of each item what to do) or all (one that does all): "open"
 *                                     A simple one has no consumer: next takes an item out of it.
 * put NAME ARGUMENT TEXT...           ARGUMENT is the priority, the time in milliseconds since 1970, or the id; several TEXTs become one node: "put"
 * next NAME MILLIS                    the item a consumer that steps has come to, or "none"
 * done NAME, fail NAME                what that consumer does with it: "ok"
 * remove NAME ID                      how many were removed
 * journal NAME                        what a consumer that does all has done so far, in order
 * close NAME                          "closed"
 *
 * Argument: SERVER.
 */
public class Worker {
    static class Opened implements QueueConsumer<String> {
        String how;
        Object queue;
        final SynchronousQueue<String> come = new SynchronousQueue<>();
        final SynchronousQueue<String> told = new SynchronousQueue<>();
        final Queue<String> journal = new ConcurrentLinkedQueue<>();

        @Override
        public void consumeMessage(String text) throws Exception {
            if (how.equals("all")) {
                journal.add(text);
                return;
            }
            come.put(text);
            if (told.take().equals("fail")) {
                throw new IllegalStateException("told to fail");
            }
        }

        @Override
        public void stateChanged(CuratorFramework client, ConnectionState state) {}

        void put(String argument, List<String> texts) throws Exception {
            if (queue instanceof SimpleDistributedQueue) {
                ((SimpleDistributedQueue) queue).offer(text.serialize(texts.get(0)));
            } else if (queue instanceof DistributedPriorityQueue) {
                DistributedPriorityQueue<String> q = priority();
                q.put(texts.get(0), Integer.parseInt(argument));
                q.flushPuts(20, TimeUnit.SECONDS);
            } else if (queue instanceof DistributedDelayQueue) {
                DistributedDelayQueue<String> q = delay();
                q.put(texts.get(0), Long.parseLong(argument));
                q.flushPuts(20, TimeUnit.SECONDS);
            } else if (queue instanceof DistributedIdQueue) {
                DistributedIdQueue<String> q = id();
                q.put(texts.get(0), argument);
                q.flushPuts(20, TimeUnit.SECONDS);
            } else if (texts.size() > 1) {
                Iterator<String> each = texts.iterator();
                fifo().putMulti(() -> each.hasNext() ? each.next() : null);
                fifo().flushPuts(20, TimeUnit.SECONDS);
            } else {
                fifo().put(texts.get(0));
                fifo().flushPuts(20, TimeUnit.SECONDS);
            }
        }

        String next(long millis) throws Exception {
            if (queue instanceof SimpleDistributedQueue) {
                byte[] data = ((SimpleDistributedQueue) queue).poll(millis, TimeUnit.MILLISECONDS);
                return data == null ? null : text.deserialize(data);
            }
            return come.poll(millis, TimeUnit.MILLISECONDS);
        }

        @SuppressWarnings("unchecked")
        DistributedQueue<String> fifo() {
            return (DistributedQueue<String>) queue;
        }

        @SuppressWarnings("unchecked")
        DistributedPriorityQueue<String> priority() {
            return (DistributedPriorityQueue<String>) queue;
        }

        @SuppressWarnings("unchecked")
        DistributedDelayQueue<String> delay() {
            return (DistributedDelayQueue<String>) queue;
        }

        @SuppressWarnings("unchecked")
        DistributedIdQueue<String> id() {
            return (DistributedIdQueue<String>) queue;
        }
    }

    static final QueueSerializer<String> text = new QueueSerializer<String>() {
        @Override
        public byte[] serialize(String item) {
            return item.getBytes(StandardCharsets.UTF_8);
        }

        @Override
        public String deserialize(byte[] bytes) {
            return new String(bytes, StandardCharsets.UTF_8);
        }
    };

    static final Map<String, Opened> all = new HashMap<>();

    public static void main(String[] args) throws Exception {
        CuratorFramework client = CuratorFrameworkFactory.newClient(args[0], 10_000, 10_000, new RetryNTimes(20, 100));
        client.start();
        client.blockUntilConnected();
        System.out.println("ready");
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in));
        for (String line = in.readLine(); line != null; line = in.readLine()) {
            System.out.println(answer(client, line.split(" ")));
        }
        System.exit(0); // whatever consumers wait for
    }

    static String answer(CuratorFramework client, String[] words) throws Exception {
        if (words[0].equals("open")) {
            all.put(words[1], open(client, words[2], words[3], words[4], words[5]));
            return "open";
        }
        Opened q = all.get(words[1]);
        switch (words[0]) {
            case "put":
                q.put(words[2], List.of(words).subList(3, words.length));
                return "put";
            case "next":
                String next = q.next(Long.parseLong(words[2]));
                return next == null ? "none" : next;
            case "remove":
                return String.valueOf(q.id().remove(words[2]));
            case "journal":
                return String.join(" ", q.journal);
            case "close":
                ((java.io.Closeable) q.queue).close();
                return "closed";
        }
        q.told.put(words[0]);
        return "ok";
    }

    static Opened open(CuratorFramework client, String kind, String path, String lockPath, String how) throws Exception {
        Opened q = new Opened();
        q.how = how;
        if (kind.equals("simple")) {
            q.queue = new SimpleDistributedQueue(client, path);
            return q;
        }
        QueueBuilder<String> builder = QueueBuilder.builder(client, how.equals("put") ? null : q, text, path);
        if (!lockPath.equals("-")) {
            builder = builder.lockPath(lockPath);
        }
        switch (kind) {
            case "priority":
                q.queue = builder.buildPriorityQueue(0);
                q.priority().start();
                break;
            case "delay":
                q.queue = builder.buildDelayQueue();
                q.delay().start();
                break;
            case "id":
                q.queue = builder.buildIdQueue();
                q.id().start();
                break;
            default:
                q.queue = builder.buildQueue();
                q.fifo().start();
        }
        return q;
    }
}
