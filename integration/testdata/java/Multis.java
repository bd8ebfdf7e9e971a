import static org.apache.zookeeper.ZooDefs.Ids.OPEN_ACL_UNSAFE;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.TreeSet;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import org.apache.zookeeper.CreateMode;
import org.apache.zookeeper.KeeperException;
import org.apache.zookeeper.Op;
import org.apache.zookeeper.ZooDefs.Perms;
import org.apache.zookeeper.data.ACL;
import org.apache.zookeeper.data.Id;

/** Transactions and reads of many. */
final class Multis {
    private Multis() {}

    static void run(Client a, Client b) throws Exception {
        everyOperation(a);
        failures(a);
        checksInOrder(a);
        reads(a);
        transaction(a);
        odd(a);
    }

    private static List<Op> all(String root) {
        return new ArrayList<>(Arrays.asList(
                Op.create(root + "/a", Nodes.bytes("a"), OPEN_ACL_UNSAFE, CreateMode.PERSISTENT),
                Op.create(root + "/a/e", null, OPEN_ACL_UNSAFE, CreateMode.EPHEMERAL),
                Op.create(root + "/a/s-", null, OPEN_ACL_UNSAFE, CreateMode.PERSISTENT_SEQUENTIAL),
                Op.create(root + "/a/s-", null, OPEN_ACL_UNSAFE, CreateMode.EPHEMERAL_SEQUENTIAL),
                Op.create(root + "/c", null, OPEN_ACL_UNSAFE, CreateMode.CONTAINER),
                Op.create(root + "/t", null, OPEN_ACL_UNSAFE, CreateMode.PERSISTENT_WITH_TTL, 60_000),
                Op.create(root + "/t", null, OPEN_ACL_UNSAFE, CreateMode.PERSISTENT_SEQUENTIAL_WITH_TTL, 60_000),
                Op.check(root + "/a", 0),
                Op.setData(root + "/a", Nodes.bytes("b"), 0),
                Op.check(root + "/a", 1),
                Op.setData(root, Nodes.bytes("r"), -1),
                Op.delete(root + "/a/e", 0),
                Op.delete(root + "/c", -1)));
    }

    private static void everyOperation(Client a) throws Exception {
        String root = a.section("multi: every operation", "/multi");
        Transcript.call("all", () -> a.zk.multi(all(root)));
        Transcript.call("children", () -> new TreeSet<>(a.zk.getChildren(root, false)));
        for (String path : new String[] {"", "/a", "/a/s-0000000001", "/a/s-0000000002", "/t"}) {
            Transcript.call("stat " + path, () -> a.zk.exists(root + path, false));
        }
    }

    private static void failures(Client a) throws Exception {
        String root = a.section("multi: failing at each place", "/failing");
        int n = all(root).size();
        for (int i = 0; i <= n; i++) {
            List<Op> ops = all(root);
            ops.add(i, Op.delete(root + "/missing", -1));
            Transcript.call("at " + i, () -> a.zk.multi(ops));
        }
        Transcript.call("stat", () -> a.zk.exists(root, false));
        Transcript.call("children", () -> a.zk.getChildren(root, false));
        Op[] wrong = {
            Op.create(root, null, OPEN_ACL_UNSAFE, CreateMode.PERSISTENT),
            Op.create(root + "/x/y", null, OPEN_ACL_UNSAFE, CreateMode.PERSISTENT),
            Op.create(root + "/x", null, Collections.singletonList(new ACL(1, new Id("digest", "x"))), CreateMode.PERSISTENT),
            Op.create(root + "/x", null, Collections.emptyList(), CreateMode.PERSISTENT),
            Op.create(root + "/x", null, OPEN_ACL_UNSAFE, CreateMode.PERSISTENT_WITH_TTL, 1L << 40),
            Op.delete(root, 9), Op.delete("/zookeeper", -1), Op.setData(root, null, 9), Op.setData(root + "/none", null, -1),
            Op.check(root, 9), Op.check(root + "/none", -1),
        };
        for (int i = 0; i < wrong.length; i++) {
            Op op = wrong[i];
            Transcript.call("wrong " + i, () -> a.zk.multi(Arrays.asList(Op.check("/", -1), op, Op.check("/", -1))));
        }
        Transcript.call("the zxids are taken", () -> a.zk.exists(
                a.zk.create(root + "/n-", null, OPEN_ACL_UNSAFE, CreateMode.PERSISTENT_SEQUENTIAL), false));
    }

    private static void checksInOrder(Client a) throws Exception {
        String root = a.section("multi: each sees what the ones before did", "/order");
        Transcript.call("create and delete and create", () -> a.zk.multi(Arrays.asList(
                Op.create(root + "/x", null, OPEN_ACL_UNSAFE, CreateMode.PERSISTENT), Op.delete(root + "/x", 0),
                Op.create(root + "/x", Nodes.bytes("2"), OPEN_ACL_UNSAFE, CreateMode.PERSISTENT))));
        Transcript.call("stat", () -> a.zk.exists(root + "/x", false));
        Transcript.call("create twice", () -> a.zk.multi(Arrays.asList(
                Op.create(root + "/y", null, OPEN_ACL_UNSAFE, CreateMode.PERSISTENT),
                Op.create(root + "/y", null, OPEN_ACL_UNSAFE, CreateMode.PERSISTENT))));
        Transcript.call("parent gone", () -> a.zk.multi(Arrays.asList(
                Op.delete(root + "/x", -1), Op.create(root + "/x/y", null, OPEN_ACL_UNSAFE, CreateMode.PERSISTENT))));
        Transcript.call("not empty any more", () -> a.zk.multi(Arrays.asList(
                Op.create(root + "/x/y", null, OPEN_ACL_UNSAFE, CreateMode.PERSISTENT), Op.delete(root + "/x", -1))));
        Transcript.call("below a fresh ephemeral", () -> a.zk.multi(Arrays.asList(
                Op.create(root + "/e", null, OPEN_ACL_UNSAFE, CreateMode.EPHEMERAL),
                Op.create(root + "/e/y", null, OPEN_ACL_UNSAFE, CreateMode.PERSISTENT))));
        Transcript.call("locked by the one before", () -> a.zk.multi(Arrays.asList(
                Op.create(root + "/l", null, Collections.singletonList(new ACL(Perms.READ, new Id("world", "anyone"))), CreateMode.PERSISTENT),
                Op.create(root + "/l/y", null, OPEN_ACL_UNSAFE, CreateMode.PERSISTENT))));
        Transcript.call("set twice", () -> a.zk.multi(Arrays.asList(
                Op.setData(root, Nodes.bytes("1"), 0), Op.setData(root, Nodes.bytes("2"), 1), Op.check(root, 2))));
        Transcript.call("set and restored", () -> a.zk.multi(Arrays.asList(Op.setData(root, Nodes.bytes("3"), -1), Op.check(root, 2))));
        Transcript.call("stat", () -> a.zk.exists(root, false));
        Transcript.call("data", () -> a.zk.getData(root, false, null));
    }

    private static void reads(Client a) throws Exception {
        String root = a.section("multi: reads", "/reads");
        a.zk.create(root + "/x", Nodes.bytes("x"), OPEN_ACL_UNSAFE, CreateMode.PERSISTENT);
        a.zk.create(root + "/locked", null, Collections.singletonList(new ACL(Perms.WRITE, new Id("world", "anyone"))), CreateMode.PERSISTENT);
        Transcript.call("all kinds", () -> a.zk.multi(Arrays.asList(Op.getData(root), Op.getChildren(root), Op.getData(root + "/x"),
                Op.getData(root + "/none"), Op.getChildren(root + "/none"), Op.getData(root + "/locked"), Op.getChildren(root + "/locked"),
                Op.getChildren(root + "/x"))));
        Transcript.call("mixed", () -> a.zk.multi(Arrays.asList(Op.getData(root), Op.check(root, 0))));
        Transcript.call("mixed the other way", () -> a.zk.multi(Arrays.asList(Op.check(root, 0), Op.getData(root))));
    }

    private static void transaction(Client a) throws Exception {
        String root = a.section("multi: the transaction builder", "/builder");
        Transcript.call("commit", () -> a.zk.transaction().create(root + "/x", null, OPEN_ACL_UNSAFE, CreateMode.PERSISTENT)
                .check(root + "/x", 0).setData(root + "/x", Nodes.bytes("1"), 0).delete(root + "/x", 1).commit());
        CompletableFuture<String> answer = new CompletableFuture<>();
        a.zk.multi(Arrays.asList(Op.check(root, 0), Op.check(root, 1), Op.check(root, 2)),
                (rc, path, ctx, results) -> answer.complete(KeeperException.Code.get(rc) + " " + Transcript.show(results)), null);
        Transcript.call("with a callback", () -> answer.get(20, TimeUnit.SECONDS));
    }

    private static void odd(Client a) throws Exception {
        String root = a.section("multi: odd ones", "/odd");
        Transcript.call("nothing", () -> a.zk.multi(Collections.emptyList()));
        List<Op> many = new ArrayList<>();
        for (int i = 0; i < 500; i++) {
            many.add(Op.create(root + "/n-", null, OPEN_ACL_UNSAFE, CreateMode.PERSISTENT_SEQUENTIAL));
        }
        Transcript.call("five hundred", () -> a.zk.multi(many).size());
        Transcript.call("stat", () -> a.zk.exists(root, false));
        Transcript.call("last", () -> a.zk.exists(root + "/n-0000000499", false));
    }
}
