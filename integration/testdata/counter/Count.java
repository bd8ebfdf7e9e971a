import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import org.apache.curator.framework.CuratorFramework;
import org.apache.curator.framework.CuratorFrameworkFactory;
import org.apache.curator.framework.recipes.atomic.AtomicValue;
import org.apache.curator.framework.recipes.atomic.CachedAtomicLong;
import org.apache.curator.framework.recipes.atomic.DistributedAtomicInteger;
import org.apache.curator.framework.recipes.atomic.DistributedAtomicLong;
import org.apache.curator.framework.recipes.shared.SharedCount;
import org.apache.curator.framework.recipes.shared.SharedCountListener;
import org.apache.curator.framework.recipes.shared.SharedCountReader;
import org.apache.curator.framework.recipes.shared.SharedValue;
import org.apache.curator.framework.recipes.shared.SharedValueListener;
import org.apache.curator.framework.recipes.shared.SharedValueReader;
import org.apache.curator.framework.state.ConnectionState;
import org.apache.curator.retry.RetryNTimes;

/**
 * One of many who change a value, by Curator, steered line by line. An atomic number answers "add N" with what it became and "get" with what
 * it is; ids answer "next"; a shared count or value answers "set V" with "set", "try V" with "set" or "refused", "get" with what it has,
 * and "heard" with the next value that its listener was told of, or "nothing" after ten seconds. The end of the input ends the program.
 *
 * Arguments: SERVER PATH long | int | ids BLOCK | count | value.
 */
public class Count {
    interface Answer {
        String to(String[] words) throws Exception;
    }

    public static void main(String[] args) throws Exception {
        try (CuratorFramework client = CuratorFrameworkFactory.newClient(args[0], 10_000, 10_000, new RetryNTimes(20, 100))) {
            client.start();
            client.blockUntilConnected();
            Answer answer = counter(client, args);
            System.out.println("ready");
            BufferedReader in = new BufferedReader(new InputStreamReader(System.in));
            for (String line = in.readLine(); line != null; line = in.readLine()) {
                System.out.println(answer.to(line.split(" ")));
            }
        }
    }

    static Answer counter(CuratorFramework client, String[] args) throws Exception {
        RetryNTimes often = new RetryNTimes(1000, 1);
        switch (args[2]) {
            case "long":
                DistributedAtomicLong number = new DistributedAtomicLong(client, args[1], often);
                return words -> done(words[0].equals("add") ? number.add(Long.parseLong(words[1])) : number.get());
            case "int":
                DistributedAtomicInteger small = new DistributedAtomicInteger(client, args[1], often);
                return words -> done(words[0].equals("add") ? small.add(Integer.parseInt(words[1])) : small.get());
            case "ids":
                CachedAtomicLong ids = new CachedAtomicLong(new DistributedAtomicLong(client, args[1], often), Integer.parseInt(args[3]));
                return words -> done(ids.next());
            case "count":
                return count(new SharedCount(client, args[1], 7));
        }
        return value(new SharedValue(client, args[1], "seed".getBytes(StandardCharsets.UTF_8)));
    }

    static String done(AtomicValue<? extends Number> v) {
        return v.succeeded() ? v.postValue().toString() : "failed";
    }

    static Answer count(SharedCount count) throws Exception {
        LinkedBlockingQueue<String> heard = new LinkedBlockingQueue<>();
        count.addListener(new SharedCountListener() {
            public void countHasChanged(SharedCountReader reader, int now) {
                heard.add(Integer.toString(now));
            }

            public void stateChanged(CuratorFramework client, ConnectionState state) {}
        });
        count.start();
        return words -> {
            switch (words[0]) {
                case "set":
                    count.setCount(Integer.parseInt(words[1]));
                    return "set";
                case "try":
                    return count.trySetCount(count.getVersionedValue(), Integer.parseInt(words[1])) ? "set" : "refused";
                case "get":
                    return Integer.toString(count.getCount());
            }
            return next(heard);
        };
    }

    static Answer value(SharedValue value) throws Exception {
        LinkedBlockingQueue<String> heard = new LinkedBlockingQueue<>();
        value.getListenable().addListener(new SharedValueListener() {
            public void valueHasChanged(SharedValueReader reader, byte[] now) {
                heard.add(new String(now, StandardCharsets.UTF_8));
            }

            public void stateChanged(CuratorFramework client, ConnectionState state) {}
        });
        value.start();
        return words -> {
            switch (words[0]) {
                case "set":
                    value.setValue(words[1].getBytes(StandardCharsets.UTF_8));
                    return "set";
                case "try":
                    return value.trySetValue(value.getVersionedValue(), words[1].getBytes(StandardCharsets.UTF_8)) ? "set" : "refused";
                case "get":
                    return new String(value.getValue(), StandardCharsets.UTF_8);
            }
            return next(heard);
        };
    }

    static String next(LinkedBlockingQueue<String> heard) throws InterruptedException {
        String now = heard.poll(10, TimeUnit.SECONDS);
        return now == null ? "nothing" : now;
    }
}
