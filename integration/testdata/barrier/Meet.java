import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.util.concurrent.TimeUnit;
import org.apache.curator.framework.CuratorFramework;
import org.apache.curator.framework.CuratorFrameworkFactory;
import org.apache.curator.framework.recipes.barriers.DistributedBarrier;
import org.apache.curator.framework.recipes.barriers.DistributedDoubleBarrier;
import org.apache.curator.framework.recipes.nodes.PersistentTtlNode;
import org.apache.curator.retry.RetryNTimes;

/**
 * One who meets others, by Curator, steered line by line: "enter PATH" answers "in" or "out" after twenty seconds, "leave" answers "left" or
 * "alone"; "raise PATH", "lower PATH" and "wait PATH MILLIS" are a barrier's, and answer "done" or "raised"; "keep PATH MILLIS DATA" keeps a
 * node with a time to live, and answers "kept". The end of the input ends the program. Arguments: SERVER NUMBER.
 */
public class Meet {
    public static void main(String[] args) throws Exception {
        try (CuratorFramework client = CuratorFrameworkFactory.newClient(args[0], 10_000, 10_000, new RetryNTimes(20, 100))) {
            client.start();
            client.blockUntilConnected();
            System.out.println("ready");
            DistributedDoubleBarrier meeting = null;
            BufferedReader in = new BufferedReader(new InputStreamReader(System.in));
            for (String line = in.readLine(); line != null; line = in.readLine()) {
                String[] words = line.split(" ");
                switch (words[0]) {
                    case "enter":
                        meeting = new DistributedDoubleBarrier(client, words[1], Integer.parseInt(args[1]));
                        System.out.println(meeting.enter(20, TimeUnit.SECONDS) ? "in" : "out");
                        break;
                    case "leave":
                        System.out.println(meeting.leave(20, TimeUnit.SECONDS) ? "left" : "alone");
                        break;
                    case "raise":
                        new DistributedBarrier(client, words[1]).setBarrier();
                        System.out.println("done");
                        break;
                    case "lower":
                        new DistributedBarrier(client, words[1]).removeBarrier();
                        System.out.println("done");
                        break;
                    case "wait":
                        boolean passed = new DistributedBarrier(client, words[1]).waitOnBarrier(Long.parseLong(words[2]), TimeUnit.MILLISECONDS);
                        System.out.println(passed ? "done" : "raised");
                        break;
                    default:
                        PersistentTtlNode node = new PersistentTtlNode(client, words[1], Long.parseLong(words[2]),
                                words[3].getBytes(StandardCharsets.UTF_8));
                        node.start();
                        node.waitForInitialCreate(10, TimeUnit.SECONDS);
                        System.out.println("kept");
                }
            }
        }
    }
}
