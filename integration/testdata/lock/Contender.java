import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.util.concurrent.TimeUnit;
import org.apache.curator.framework.CuratorFramework;
import org.apache.curator.framework.CuratorFrameworkFactory;
import org.apache.curator.framework.recipes.locks.InterProcessMutex;
import org.apache.curator.retry.RetryNTimes;

/**
 * One contender for a lock, by Curator, steered line by line: "acquire MILLIS" answers "held" or "busy", "release" answers
 * "released", the end of the input ends the program.
 */
public class Contender {
    public static void main(String[] args) throws Exception {
        try (CuratorFramework client = CuratorFrameworkFactory.newClient(args[0], 10_000, 10_000, new RetryNTimes(20, 100))) {
            client.start();
            client.blockUntilConnected();
            InterProcessMutex mutex = new InterProcessMutex(client, args[1]);
            System.out.println("ready");
            BufferedReader in = new BufferedReader(new InputStreamReader(System.in));
            for (String line = in.readLine(); line != null; line = in.readLine()) {
                String[] words = line.split(" ");
                if (words[0].equals("acquire")) {
                    System.out.println(mutex.acquire(Long.parseLong(words[1]), TimeUnit.MILLISECONDS) ? "held" : "busy");
                } else {
                    mutex.release();
                    System.out.println("released");
                }
            }
        }
    }
}
