import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.List;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import org.apache.curator.framework.CuratorFramework;
import org.apache.curator.framework.CuratorFrameworkFactory;
import org.apache.curator.framework.api.transaction.CuratorOp;
import org.apache.curator.framework.imps.ExtractingCuratorOp;
import org.apache.curator.retry.RetryNTimes;
import org.apache.curator.x.async.AsyncCuratorFramework;
import org.apache.curator.x.async.migrations.Migration;
import org.apache.curator.x.async.migrations.MigrationException;
import org.apache.curator.x.async.migrations.MigrationManager;
import org.apache.curator.x.async.migrations.MigrationSet;
import org.apache.zookeeper.CreateMode;
import org.apache.zookeeper.data.ACL;
import org.apache.zookeeper.data.Id;

/**
 * Curator's migrations, steered line by line, in a namespace if one is given:
 *
 * <pre>
 *   digest MIGRATIONS       answers the digest of each
 *   migrate SET MIGRATIONS  answers "done", "mismatch" or a failure
 *   slowly SET MIGRATIONS   answers "read" when it holds the lock and has read the metadata; the next line lets it go on, which is answered as above
 * </pre>
 *
 * Migrations are separated by bars, and their operations by semicolons; the parts of an operation, between commas, are hexadecimal but for
 * numbers. The end of the input ends the program.
 */
public class Migrator {
    private static final BufferedReader in = new BufferedReader(new InputStreamReader(System.in));

    public static void main(String[] args) throws Exception {
        ExecutorService executor = Executors.newCachedThreadPool();
        try (CuratorFramework client = CuratorFrameworkFactory.builder().connectString(args[0]).namespace(args[1])
                .sessionTimeoutMs(10_000).connectionTimeoutMs(10_000).retryPolicy(new RetryNTimes(20, 100)).build()) {
            client.start();
            client.blockUntilConnected();
            AsyncCuratorFramework async = AsyncCuratorFramework.wrap(client);
            System.out.println("ready");
            for (String line = in.readLine(); line != null; line = in.readLine()) {
                String[] words = line.split(" ", -1);
                switch (words[0]) {
                case "digest":
                    System.out.println(digests(async, words[1]));
                    break;
                case "migrate":
                case "slowly":
                    MigrationSet set = MigrationSet.build(words[1], migrations(async, words[2]));
                    System.out.println(migrate(new Manager(async, executor, words[0].equals("slowly")), set));
                    break;
                default:
                    System.out.println("what is " + line);
                }
            }
        } finally {
            executor.shutdownNow();
        }
    }

    /** A manager that can be stopped between its reading and its writing. */
    private static class Manager extends MigrationManager {
        private final boolean slow;

        Manager(AsyncCuratorFramework client, ExecutorService executor, boolean slow) {
            super(client, "/locks", "/meta", executor, Duration.ofSeconds(30));
            this.slow = slow;
        }

        @Override
        protected List<Migration> filter(MigrationSet set, List<byte[]> hashes) throws MigrationException {
            if (slow) {
                System.out.println("read");
                try {
                    in.readLine();
                } catch (java.io.IOException e) {
                    throw new java.io.UncheckedIOException(e);
                }
            }
            return super.filter(set, hashes);
        }
    }

    private static String migrate(MigrationManager manager, MigrationSet set) throws InterruptedException {
        try {
            manager.migrate(set).toCompletableFuture().get();
            return "done";
        } catch (ExecutionException e) {
            Throwable root = e;
            while (root.getCause() != null) {
                root = root.getCause();
            }
            return root instanceof MigrationException ? "mismatch" : "failed: " + root;
        }
    }

    private static String digests(AsyncCuratorFramework client, String text) throws Exception {
        List<String> all = new ArrayList<>();
        for (Migration migration : migrations(client, text)) {
            MessageDigest digest = MessageDigest.getInstance("SHA-256");
            for (CuratorOp op : migration.operations()) {
                ((ExtractingCuratorOp) op).addToDigest(digest);
            }
            all.add(HexFormat.of().formatHex(digest.digest()));
        }
        return String.join(" ", all);
    }

    private static List<Migration> migrations(AsyncCuratorFramework client, String text) {
        List<Migration> all = new ArrayList<>();
        for (String migration : text.split("\\|", -1)) {
            List<CuratorOp> ops = new ArrayList<>();
            for (String op : migration.isEmpty() ? new String[0] : migration.split(";", -1)) {
                ops.add(op(client, op.split(",", -1)));
            }
            all.add(() -> ops);
        }
        return all;
    }

    private static CuratorOp op(AsyncCuratorFramework client, String[] parts) {
        String path = text(parts[1]);
        int number = Integer.parseInt(parts[2]);
        switch (parts[0]) {
        case "create":
            return client.transactionOp().create().withOptions(mode(number), acl(parts[4]), false).forPath(path, bytes(parts[3]));
        case "set":
            return client.transactionOp().setData().withVersion(number).forPath(path, bytes(parts[3]));
        case "delete":
            return client.transactionOp().delete().withVersion(number).forPath(path);
        default:
            return client.transactionOp().check().withVersion(number).forPath(path);
        }
    }

    private static CreateMode mode(int flag) {
        for (CreateMode mode : CreateMode.values()) {
            if (mode.toFlag() == flag) {
                return mode;
            }
        }
        throw new IllegalArgumentException("mode " + flag);
    }

    /** An access control list between plus signs; none is Curator's default. */
    private static List<ACL> acl(String text) {
        if (text.isEmpty()) {
            return null;
        }
        List<ACL> all = new ArrayList<>();
        for (String entry : text.split("\\+")) {
            String[] parts = entry.split(":", -1);
            all.add(new ACL(Integer.parseInt(parts[0]), new Id(text(parts[1]), text(parts[2]))));
        }
        return all;
    }

    private static String text(String hex) {
        return new String(bytes(hex), StandardCharsets.UTF_8);
    }

    private static byte[] bytes(String hex) {
        return HexFormat.of().parseHex(hex);
    }
}
