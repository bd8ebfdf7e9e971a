import static org.apache.zookeeper.ZooDefs.Ids.OPEN_ACL_UNSAFE;

import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.TreeSet;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import org.apache.zookeeper.AsyncCallback;
import org.apache.zookeeper.CreateMode;
import org.apache.zookeeper.KeeperException;
import org.apache.zookeeper.Watcher;
import org.apache.zookeeper.ZooKeeper;
import org.apache.zookeeper.data.Stat;

/** Creating, reading, changing and deleting. */
final class Nodes {
    private Nodes() {}

    static byte[] bytes(String s) {
        return s.getBytes(StandardCharsets.UTF_8);
    }

    static void run(Client a, Client b) throws Exception {
        initialTree(a);
        createModes(a);
        createErrors(a);
        sequence(a, b);
        names(a);
        readAndWrite(a, b);
        children(a, b);
        deletes(a);
        asynchronous(a);
        sizes(a);
    }

    private static void initialTree(Client a) throws Exception {
        Transcript.section("the tree of a fresh server", 0);
        ZooKeeper zk = a.zk;
        for (String path : new String[] {"/", "/zookeeper", "/zookeeper/quota", "/zookeeper/config"}) {
            Stat stat = new Stat();
            Transcript.call("getData " + path, () -> zk.getData(path, false, stat));
            Transcript.call("stat " + path, () -> stat);
            Transcript.call("getChildren " + path, () -> new TreeSet<>(zk.getChildren(path, false)));
            Transcript.call("getACL " + path, () -> zk.getACL(path, null));
            Transcript.call("getAllChildrenNumber " + path, () -> zk.getAllChildrenNumber(path));
        }
        Transcript.call("getConfig", () -> zk.getConfig(false, new Stat()));
        Transcript.call("whoAmI", () -> zk.whoAmI());
    }

    private static void createModes(Client a) throws Exception {
        ZooKeeper zk = a.zk;
        String root = a.section("create in every mode", "/create");
        for (CreateMode mode : CreateMode.values()) {
            String path = root + "/" + mode.toString().toLowerCase() + "-";
            long ttl = mode.isTTL() ? 600_000 : -1;
            Stat stat = new Stat();
            String made = Transcript.call("create " + path, () -> zk.create(path, bytes("v"), OPEN_ACL_UNSAFE, mode, stat, ttl));
            Transcript.call("  its stat", () -> stat);
            if (made != null) {
                Transcript.call("  exists", () -> zk.exists(made, false));
                Transcript.call("  getData", () -> zk.getData(made, false, null));
            }
            if (!mode.isTTL()) {
                Transcript.call("create without stat", () -> zk.create(path + "plain", bytes("v"), OPEN_ACL_UNSAFE, mode));
            }
            Transcript.call("  child", () -> zk.create(made + "/child", null, OPEN_ACL_UNSAFE, CreateMode.PERSISTENT));
        }
        Transcript.call("create null data", () -> zk.create(root + "/null", null, OPEN_ACL_UNSAFE, CreateMode.PERSISTENT));
        Transcript.call("  getData", () -> zk.getData(root + "/null", false, null));
        Transcript.call("create empty data", () -> zk.create(root + "/empty", new byte[0], OPEN_ACL_UNSAFE, CreateMode.PERSISTENT));
        Transcript.call("  getData", () -> zk.getData(root + "/empty", false, null));
        Transcript.call("root's stat", () -> zk.exists(root, false));
    }

    private static void createErrors(Client a) throws Exception {
        ZooKeeper zk = a.zk;
        String root = a.section("create refused", "/refused");
        Transcript.call("no parent", () -> zk.create(root + "/x/y", null, OPEN_ACL_UNSAFE, CreateMode.PERSISTENT));
        Transcript.call("exists", () -> zk.create(root, null, OPEN_ACL_UNSAFE, CreateMode.PERSISTENT));
        Transcript.call("the root", () -> zk.create("/", null, OPEN_ACL_UNSAFE, CreateMode.PERSISTENT));
        Transcript.call("reserved exists", () -> zk.create("/zookeeper", null, OPEN_ACL_UNSAFE, CreateMode.PERSISTENT));
        Transcript.call("below reserved", () -> zk.create("/zookeeper/mine", null, OPEN_ACL_UNSAFE, CreateMode.PERSISTENT));
        Transcript.call("below reserved, again", () -> zk.create("/zookeeper/mine", null, OPEN_ACL_UNSAFE, CreateMode.PERSISTENT));
        Transcript.act("delete it", () -> zk.delete("/zookeeper/mine", -1));
        Transcript.call("empty acl", () -> zk.create(root + "/acl", null, Collections.emptyList(), CreateMode.PERSISTENT));
        Transcript.call("null acl", () -> zk.create(root + "/acl", null, null, CreateMode.PERSISTENT));
        Transcript.call("ephemeral", () -> zk.create(root + "/e", null, OPEN_ACL_UNSAFE, CreateMode.EPHEMERAL));
        Transcript.call("below an ephemeral", () -> zk.create(root + "/e/x", null, OPEN_ACL_UNSAFE, CreateMode.PERSISTENT));
        Transcript.call("sequential below an ephemeral", () -> zk.create(root + "/e/x", null, OPEN_ACL_UNSAFE, CreateMode.EPHEMERAL_SEQUENTIAL));
        for (long ttl : new long[] {1, 1099511627775L, 1099511627776L}) {
            Transcript.call("ttl " + ttl, () -> zk.create(root + "/ttl" + ttl, null, OPEN_ACL_UNSAFE, CreateMode.PERSISTENT_WITH_TTL, null, ttl));
        }
        // The zxid of the last child shows how many the refused ones took.
        Transcript.call("after all", () -> zk.exists(zk.create(root + "/last", null, OPEN_ACL_UNSAFE, CreateMode.PERSISTENT), false));
        Transcript.call("root's stat", () -> zk.exists(root, false));
    }

    private static void sequence(Client a, Client b) throws Exception {
        ZooKeeper zk = a.zk;
        String root = a.section("sequence numbers", "/sequence");
        Transcript.call("first", () -> zk.create(root + "/n-", null, OPEN_ACL_UNSAFE, CreateMode.PERSISTENT_SEQUENTIAL));
        Transcript.call("second, other session", () -> b.zk.create(root + "/n-", null, OPEN_ACL_UNSAFE, CreateMode.EPHEMERAL_SEQUENTIAL));
        Transcript.call("plain one between", () -> zk.create(root + "/plain", null, OPEN_ACL_UNSAFE, CreateMode.PERSISTENT));
        Transcript.act("deleted", () -> zk.delete(root + "/plain", -1));
        Transcript.call("after a delete", () -> zk.create(root + "/m", null, OPEN_ACL_UNSAFE, CreateMode.PERSISTENT_SEQUENTIAL));
        Transcript.call("refused one", () -> zk.create(root + "/n-0000000000", null, OPEN_ACL_UNSAFE, CreateMode.PERSISTENT));
        Transcript.call("after a refusal", () -> zk.create(root + "/n-", null, OPEN_ACL_UNSAFE, CreateMode.PERSISTENT_SEQUENTIAL));
        Transcript.call("nothing but the number", () -> zk.create(root + "/", null, OPEN_ACL_UNSAFE, CreateMode.PERSISTENT_SEQUENTIAL));
        Transcript.call("ttl sequential", () -> zk.create(root + "/t", null, OPEN_ACL_UNSAFE, CreateMode.PERSISTENT_SEQUENTIAL_WITH_TTL, null, 60_000));
        Transcript.call("below a container", () -> {
            zk.create(root + "/container", null, OPEN_ACL_UNSAFE, CreateMode.CONTAINER);
            return zk.create(root + "/container/c-", null, OPEN_ACL_UNSAFE, CreateMode.EPHEMERAL_SEQUENTIAL);
        });
        Transcript.call("children", () -> new TreeSet<>(zk.getChildren(root, false)));
        Transcript.call("stat", () -> zk.exists(root, false));
    }

    private static void names(Client a) throws Exception {
        ZooKeeper zk = a.zk;
        String root = a.section("names", "/names");
        String[] names = {
            "...", ".hidden", "a b", "a:b", "a=b,c;d", "%20", "\u00e9\u00e8", "\u65e5\u672c", "\u0001", "\u001f", "\u007f", "\u009f", "\u00a0",
            "\ud7ff", "\ue000", "\uf8ff", "\uf900", "\uffef", "\ufff0", "\uffff", ".", "..", "x/", "x//y", "zookeeper",
        };
        for (String name : names) {
            StringBuilder shown = new StringBuilder();
            for (char c : name.toCharArray()) {
                shown.append(c >= 0x20 && c < 0x7f ? String.valueOf(c) : String.format("\\u%04x", (int) c));
            }
            try {
                String made = zk.create(root + "/" + name, bytes(name), OPEN_ACL_UNSAFE, CreateMode.PERSISTENT);
                boolean same = made.equals(root + "/" + name) && zk.getChildren(root, false).contains(name)
                        && new String(zk.getData(made, false, null), StandardCharsets.UTF_8).equals(name);
                Transcript.line(shown + " -> " + (same ? "created" : "changed on the way"));
            } catch (KeeperException e) {
                Transcript.line(shown + " -> error " + e.code());
            } catch (IllegalArgumentException e) {
                Transcript.line(shown + " -> refused by the client");
            }
        }
    }

    private static void readAndWrite(Client a, Client b) throws Exception {
        ZooKeeper zk = a.zk;
        String root = a.section("reading and writing", "/data");
        Transcript.call("exists missing", () -> zk.exists(root + "/none", false));
        Transcript.call("getData missing", () -> zk.getData(root + "/none", false, null));
        Transcript.call("setData missing", () -> zk.setData(root + "/none", bytes("x"), -1));
        Transcript.call("setData 0", () -> zk.setData(root, bytes("one"), 0));
        Transcript.call("setData 0 again", () -> zk.setData(root, bytes("two"), 0));
        Transcript.call("setData 7", () -> zk.setData(root, bytes("two"), 7));
        Transcript.call("setData any", () -> zk.setData(root, bytes("three"), -1));
        Transcript.call("setData -2", () -> zk.setData(root, bytes("four"), -2));
        Transcript.call("getData, other session", () -> b.zk.getData(root, false, null));
        Transcript.call("setData null", () -> zk.setData(root, null, -1));
        Transcript.call("getData", () -> zk.getData(root, false, null));
        Transcript.call("setData empty", () -> zk.setData(root, new byte[0], -1));
        Transcript.call("getData", () -> zk.getData(root, false, null));
        Transcript.call("setData on the root", () -> zk.setData("/", bytes("root"), -1));
        Transcript.call("setData on /zookeeper", () -> zk.setData("/zookeeper", bytes("zoo"), -1));
        Transcript.call("setData on the config", () -> zk.setData("/zookeeper/config", bytes("config"), -1));
        Transcript.act("back", () -> zk.setData("/", new byte[0], -1));
        Transcript.call("root", () -> zk.exists("/", false));
    }

    private static void children(Client a, Client b) throws Exception {
        ZooKeeper zk = a.zk;
        String root = a.section("children", "/family");
        for (String name : new String[] {"c", "a", "b", "a/1", "a/2", "a/2/x"}) {
            zk.create(root + "/" + name, bytes(name), OPEN_ACL_UNSAFE, CreateMode.PERSISTENT);
        }
        b.zk.create(root + "/a/b", null, OPEN_ACL_UNSAFE, CreateMode.EPHEMERAL);
        b.zk.create(root + "/ab", null, OPEN_ACL_UNSAFE, CreateMode.EPHEMERAL);
        Stat stat = new Stat();
        Transcript.call("getChildren", () -> new TreeSet<>(zk.getChildren(root, false)));
        Transcript.call("getChildren with stat", () -> new TreeSet<>(zk.getChildren(root, false, stat)));
        Transcript.call("  its stat", () -> stat);
        Transcript.call("getChildren of a leaf", () -> zk.getChildren(root + "/c", false));
        Transcript.call("getChildren missing", () -> zk.getChildren(root + "/none", false));
        Transcript.call("getChildren missing with stat", () -> zk.getChildren(root + "/none", false, new Stat()));
        for (String path : new String[] {"", "/a", "/a/2", "/c", "/none"}) {
            Transcript.call("getAllChildrenNumber " + path, () -> zk.getAllChildrenNumber(root + path));
        }
        Transcript.call("getEphemerals", () -> new TreeSet<>(b.zk.getEphemerals()));
        for (String prefix : new String[] {"/", root, root + "/a", root + "/ab", root + "/a/", "/none"}) {
            Transcript.call("getEphemerals " + prefix, () -> new TreeSet<>(b.zk.getEphemerals(prefix)));
        }
        Transcript.call("getEphemerals of a", () -> new TreeSet<>(zk.getEphemerals(root)));
    }

    private static void deletes(Client a) throws Exception {
        ZooKeeper zk = a.zk;
        String root = a.section("deleting", "/delete");
        zk.create(root + "/x", null, OPEN_ACL_UNSAFE, CreateMode.PERSISTENT);
        zk.create(root + "/x/y", null, OPEN_ACL_UNSAFE, CreateMode.PERSISTENT);
        Transcript.act("not empty", () -> zk.delete(root + "/x", -1));
        Transcript.act("bad version, not empty", () -> zk.delete(root + "/x", 5));
        Transcript.act("bad version", () -> zk.delete(root + "/x/y", 5));
        Transcript.act("missing", () -> zk.delete(root + "/none", -1));
        Transcript.act("missing parent", () -> zk.delete(root + "/none/x", -1));
        Transcript.act("right version", () -> zk.delete(root + "/x/y", 0));
        Transcript.act("again", () -> zk.delete(root + "/x/y", 0));
        Transcript.call("parent", () -> zk.exists(root + "/x", false));
        Transcript.act("parent", () -> zk.delete(root + "/x", -1));
        for (String path : new String[] {"/", "/zookeeper", "/zookeeper/quota", "/zookeeper/config"}) {
            Transcript.act("delete " + path, () -> zk.delete(path, -1));
        }
        Transcript.call("root's stat", () -> zk.exists(root, false));
    }

    private static void asynchronous(Client a) throws Exception {
        String root = a.section("a hundred requests at once", "/async");
        int n = 100;
        CountDownLatch left = new CountDownLatch(3 * n);
        List<String> order = Collections.synchronizedList(new ArrayList<>());
        AsyncCallback.StringCallback created = (rc, path, ctx, name) -> {
            order.add("create " + rc + " " + name);
            left.countDown();
        };
        AsyncCallback.StatCallback set = (rc, path, ctx, stat) -> {
            order.add("set " + rc + " " + (stat == null ? "" : stat.getVersion() + " " + Transcript.zxid(stat.getMzxid())));
            left.countDown();
        };
        AsyncCallback.DataCallback got = (rc, path, ctx, data, stat) -> {
            order.add("get " + rc + " " + Transcript.show(data) + " " + Transcript.zxid(stat.getMzxid()));
            left.countDown();
        };
        for (int i = 0; i < n; i++) {
            a.zk.create(root + "/n-", null, OPEN_ACL_UNSAFE, CreateMode.EPHEMERAL_SEQUENTIAL, created, null);
            a.zk.setData(root, bytes("value " + i), i % 10 == 9 ? 1 : -1, set, null);
            a.zk.getData(root, false, got, null);
        }
        if (!left.await(30, TimeUnit.SECONDS)) {
            Transcript.line("not all were answered");
        }
        order.forEach(Transcript::line);
    }

    private static void sizes(Client a) throws Exception {
        ZooKeeper zk = a.zk;
        String root = a.section("large data", "/large");
        Transcript.call("1 MB less 1 KB", () -> zk.setData(root, new byte[(1 << 20) - 1024], -1));
        Transcript.call("read", () -> zk.getData(root, false, null));
        Transcript.call("2 MB", () -> zk.setData(root, new byte[2 << 20], -1));
        a.await(Watcher.Event.KeeperState.SyncConnected);
        Transcript.call("the connection is back", () -> zk.exists(root, false));
    }
}
