import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import org.apache.curator.framework.CuratorFramework;
import org.apache.curator.framework.CuratorFrameworkFactory;
import org.apache.curator.framework.recipes.queue.DistributedQueue;
import org.apache.curator.framework.recipes.queue.QueueBuilder;
import org.apache.curator.framework.recipes.queue.QueueConsumer;
import org.apache.curator.framework.recipes.queue.QueueSerializer;
import org.apache.curator.framework.recipes.queue.SimpleDistributedQueue;
import org.apache.curator.framework.state.ConnectionState;
import org.apache.curator.retry.ExponentialBackoffRetry;

/**
 * Hands items of 100 bytes over by a queue of Curator's, each producer and each consumer with a session of its own, and tells how many nanoseconds
 * that took. First "ready", then an answer to each line: how many items. The end of the input ends the program.
 *
 * Arguments: SERVERS KIND N. KIND is simple (SimpleDistributedQueue: who takes an item removes it first) or locked (DistributedQueue with a lockPath:
 * an item is claimed, and removed when it is done). N producers and N consumers; 0: one session that puts an item and takes one, in turns.
 */
public class Bench {
    static String servers;
    static int n;
    static final byte[] data = new byte[100];
    static volatile CountDownLatch left = new CountDownLatch(0);

    interface Work {
        void once() throws Exception;
    }

    static CuratorFramework client() throws Exception {
        CuratorFramework c = CuratorFrameworkFactory.newClient(servers, 10_000, 10_000, new ExponentialBackoffRetry(50, 5));
        c.start();
        c.blockUntilConnected();
        return c;
    }

    static final QueueSerializer<byte[]> raw = new QueueSerializer<byte[]>() {
        @Override
        public byte[] serialize(byte[] item) {
            return item;
        }

        @Override
        public byte[] deserialize(byte[] bytes) {
            return bytes;
        }
    };

    static DistributedQueue<byte[]> locked(boolean consume) throws Exception {
        QueueConsumer<byte[]> consumer = new QueueConsumer<byte[]>() {
            @Override
            public void consumeMessage(byte[] message) {
                left.countDown();
            }

            @Override
            public void stateChanged(CuratorFramework client, ConnectionState state) {}
        };
        DistributedQueue<byte[]> q =
                QueueBuilder.builder(client(), consume ? consumer : null, raw, "/bench/locked" + n).lockPath("/bench/locks" + n).buildQueue();
        q.start();
        return q;
    }

    public static void main(String[] args) throws Exception {
        servers = args[0];
        n = Integer.parseInt(args[2]);
        List<Work> works = new ArrayList<>(); // each is done by a thread of its own
        if (args[1].equals("simple")) {
            simple(works);
        } else if (n == 0) {
            DistributedQueue<byte[]> q = locked(true);
            works.add(() -> {
                left = new CountDownLatch(1);
                q.put(data);
                left.await();
            });
        } else {
            for (int i = 0; i < n; i++) {
                DistributedQueue<byte[]> in = locked(false);
                locked(true);
                works.add(() -> in.put(data));
            }
        }
        boolean own = args[1].equals("locked") && n > 0; // consumers have threads of their own
        ExecutorService pool = Executors.newCachedThreadPool();
        System.out.println("ready");
        BufferedReader lines = new BufferedReader(new InputStreamReader(System.in));
        for (String line = lines.readLine(); line != null; line = lines.readLine()) {
            int items = Integer.parseInt(line);
            long begun = System.nanoTime();
            if (own) {
                left = new CountDownLatch(items);
            }
            List<Future<?>> all = new ArrayList<>();
            for (int i = 0; i < works.size(); i++) {
                Work work = works.get(i);
                int share = (items + i % Math.max(n, 1)) / Math.max(n, 1);
                all.add(pool.submit(() -> {
                    for (int k = 0; k < share; k++) {
                        work.once();
                    }
                    return null;
                }));
            }
            for (Future<?> f : all) {
                f.get();
            }
            if (own) {
                left.await();
            }
            System.out.println(System.nanoTime() - begun);
        }
        System.exit(0);
    }

    static void simple(List<Work> works) throws Exception {
        if (n == 0) {
            SimpleDistributedQueue q = new SimpleDistributedQueue(client(), "/bench/simple" + n);
            works.add(() -> {
                q.offer(data);
                q.take();
            });
            return;
        }
        for (int i = 0; i < n; i++) {
            SimpleDistributedQueue in = new SimpleDistributedQueue(client(), "/bench/simple" + n);
            works.add(() -> in.offer(data));
        }
        for (int i = 0; i < n; i++) {
            SimpleDistributedQueue out = new SimpleDistributedQueue(client(), "/bench/simple" + n);
            works.add(() -> out.take());
        }
    }
}
