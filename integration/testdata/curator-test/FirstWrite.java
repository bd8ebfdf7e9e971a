import java.io.Closeable;
import org.apache.curator.framework.CuratorFramework;
import org.apache.curator.framework.CuratorFrameworkFactory;
import org.apache.curator.retry.RetryOneTime;
import org.apache.curator.test.TestingCluster;
import org.apache.curator.test.TestingServer;

/** Starts Curator's server for tests, or its cluster, again and again: nanoseconds until a client's first write is done, a line each. */
public class FirstWrite {
    public static void main(String[] args) throws Exception {
        int servers = Integer.parseInt(args[0]);
        int times = Integer.parseInt(args[1]);
        for (int i = 0; i < times; i++) {
            long begun = System.nanoTime();
            Closeable server;
            String connect;
            if (servers == 1) {
                TestingServer one = new TestingServer();
                server = one;
                connect = one.getConnectString();
            } else {
                TestingCluster several = new TestingCluster(servers);
                server = several;
                several.start();
                connect = several.getConnectString();
            }
            try (CuratorFramework client = CuratorFrameworkFactory.newClient(connect, new RetryOneTime(100))) {
                client.start();
                client.create().forPath("/n");
                System.out.println(System.nanoTime() - begun);
            } finally {
                server.close();
            }
        }
        System.exit(0);
    }
}
