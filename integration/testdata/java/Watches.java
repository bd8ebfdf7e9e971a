import static org.apache.zookeeper.ZooDefs.Ids.OPEN_ACL_UNSAFE;

import java.util.Arrays;
import org.apache.zookeeper.AddWatchMode;
import org.apache.zookeeper.CreateMode;
import org.apache.zookeeper.Op;
import org.apache.zookeeper.Watcher;
import org.apache.zookeeper.Watcher.WatcherType;
import org.apache.zookeeper.ZooKeeper;
import org.apache.zookeeper.data.Stat;

/** Being told: one-shot, persistent and recursive watches, and taking them back. */
final class Watches {
    private Watches() {}

    static void run(Client a, Client b) throws Exception {
        oneShot(a, b);
        ownChanges(a);
        persistent(a, b, AddWatchMode.PERSISTENT, "/persistent");
        persistent(a, b, AddWatchMode.PERSISTENT_RECURSIVE, "/recursive");
        together(a, b);
        multi(a, b);
        removing(a, b);
        removingModes(a, b);
        defaultWatcher(a, b);
    }

    private static void make(ZooKeeper zk, String path) throws Exception {
        zk.create(path, null, OPEN_ACL_UNSAFE, CreateMode.PERSISTENT);
    }

    private static void oneShot(Client a, Client b) throws Exception {
        String root = a.section("watches: once", "/once");
        String x = root + "/x";
        Transcript.call("exists, missing", () -> a.zk.exists(x, a.watcher("exists")));
        Transcript.call("getData, missing", () -> a.zk.getData(x, a.watcher("data"), null));
        Transcript.call("getChildren, missing", () -> a.zk.getChildren(x, a.watcher("children")));
        Transcript.act("create", () -> make(b.zk, x));
        a.events();
        Transcript.act("set", () -> b.zk.setData(x, Nodes.bytes("1"), -1));
        a.events();
        a.zk.exists(x, a.watcher("exists"));
        a.zk.getData(x, a.watcher("data"), null);
        a.zk.getChildren(x, a.watcher("children"));
        a.zk.getChildren(root, a.watcher("parent's children"), new Stat());
        Transcript.act("set", () -> b.zk.setData(x, Nodes.bytes("2"), -1));
        a.events();
        Transcript.act("set again", () -> b.zk.setData(x, Nodes.bytes("3"), -1));
        a.events();
        Transcript.act("child", () -> make(b.zk, x + "/y"));
        a.events();
        a.zk.exists(x, a.watcher("exists"));
        a.zk.getData(x, a.watcher("data"), null);
        a.zk.getChildren(x, a.watcher("children"));
        Transcript.act("set the child", () -> b.zk.setData(x + "/y", Nodes.bytes("3"), -1));
        Transcript.act("setACL", () -> b.zk.setACL(x, OPEN_ACL_UNSAFE, -1));
        a.events();
        Transcript.act("delete the child", () -> b.zk.delete(x + "/y", -1));
        a.events();
        a.zk.getChildren(x, a.watcher("children"));
        Transcript.act("refused", () -> b.zk.delete(x, 77));
        a.events();
        Transcript.act("delete", () -> b.zk.delete(x, -1));
        a.events();
        a.zk.exists(x, a.watcher("exists"));
        a.zk.exists(x, a.watcher("exists, another"));
        Transcript.act("ephemeral", () -> b.zk.create(x, null, OPEN_ACL_UNSAFE, CreateMode.EPHEMERAL));
        a.events();
        a.zk.getConfig(a.watcher("config"), new Stat());
        Transcript.act("config", () -> b.zk.setData("/zookeeper/config", new byte[0], -1));
        a.events();
    }

    private static void ownChanges(Client a) throws Exception {
        String root = a.section("watches: one's own changes", "/own");
        a.zk.getChildren(root, a.watcher("children"));
        a.zk.exists(root + "/x", a.watcher("exists"));
        make(a.zk, root + "/x");
        a.events();
        a.zk.getData(root + "/x", a.watcher("data"), null);
        a.zk.getChildren(root, a.watcher("children"));
        a.zk.setData(root + "/x", null, -1);
        a.zk.delete(root + "/x", -1);
        a.events();
    }

    private static void persistent(Client a, Client b, AddWatchMode mode, String path) throws Exception {
        String root = a.section("watches: " + mode, path);
        Transcript.act("addWatch", () -> a.zk.addWatch(root, a.watcher("w"), mode));
        Transcript.act("addWatch again", () -> a.zk.addWatch(root, a.watcher("w"), mode));
        Transcript.act("addWatch missing", () -> a.zk.addWatch(root + "/missing/deep", a.watcher("deep"), mode));
        for (int round = 0; round < 2; round++) {
            changes(b.zk, root);
            a.events();
        }
        Transcript.act("the missing one", () -> {
            make(b.zk, root + "/missing");
            make(b.zk, root + "/missing/deep");
            make(b.zk, root + "/missing/deep/er");
            b.zk.setData(root + "/missing/deep", null, -1);
            b.zk.delete(root + "/missing/deep/er", -1);
            b.zk.delete(root + "/missing/deep", -1);
            make(b.zk, root + "/missing/deep");
        });
        a.events();
        Transcript.act("removeAllWatches", () -> a.zk.removeAllWatches(root, WatcherType.Any, false));
        a.events();
        changes(b.zk, root);
        a.events();
    }

    private static void changes(ZooKeeper zk, String root) {
        Transcript.act("set, create, set below, create below, delete, delete", () -> {
            zk.setData(root, Nodes.bytes("x"), -1);
            make(zk, root + "/a");
            zk.setData(root + "/a", Nodes.bytes("x"), -1);
            make(zk, root + "/a/b");
            zk.delete(root + "/a/b", -1);
            zk.delete(root + "/a", -1);
        });
    }

    private static void together(Client a, Client b) throws Exception {
        String root = a.section("watches: all kinds on one node", "/together");
        a.zk.addWatch(root, a.watcher("persistent"), AddWatchMode.PERSISTENT);
        a.zk.addWatch(root, a.watcher("recursive"), AddWatchMode.PERSISTENT_RECURSIVE);
        a.zk.exists(root, a.watcher("exists"));
        a.zk.getData(root, a.watcher("data"), null);
        a.zk.getChildren(root, a.watcher("children"));
        changes(b.zk, root);
        a.events();
        a.zk.getData(root, a.watcher("data"), null);
        a.zk.getChildren(root, a.watcher("children"));
        Transcript.act("delete", () -> b.zk.delete(root, -1));
        a.events();
        Transcript.act("create", () -> make(b.zk, root));
        a.events();
        Transcript.act("removeAllWatches", () -> a.zk.removeAllWatches(root, WatcherType.Any, false));
        a.events();
    }

    private static void multi(Client a, Client b) throws Exception {
        String root = a.section("watches: one transaction", "/transaction");
        make(a.zk, root + "/gone");
        a.zk.addWatch(root, a.watcher("recursive"), AddWatchMode.PERSISTENT_RECURSIVE);
        a.zk.getChildren(root, a.watcher("children"));
        a.zk.exists(root + "/new", a.watcher("exists"));
        Transcript.act("multi", () -> b.zk.multi(Arrays.asList(
                Op.create(root + "/new", null, OPEN_ACL_UNSAFE, CreateMode.PERSISTENT),
                Op.setData(root, Nodes.bytes("x"), -1),
                Op.create(root + "/new/child", null, OPEN_ACL_UNSAFE, CreateMode.EPHEMERAL),
                Op.delete(root + "/gone", -1),
                Op.setData(root + "/new", Nodes.bytes("x"), -1))));
        a.events();
        Transcript.act("refused multi", () -> b.zk.multi(Arrays.asList(
                Op.setData(root, Nodes.bytes("x"), -1), Op.delete(root + "/none", -1))));
        a.events();
        a.zk.removeAllWatches(root, WatcherType.Any, false);
        a.events();
    }

    private static void removing(Client a, Client b) throws Exception {
        String root = a.section("watches: taking back", "/remove");
        for (WatcherType type : WatcherType.values()) {
            Transcript.act("nothing to take, " + type, () -> a.zk.removeAllWatches(root, type, false));
            Transcript.act("nothing of this one, " + type, () -> a.zk.removeWatches(root, a.watcher("none"), type, false));
            Transcript.act("nothing to take here, " + type, () -> a.zk.removeAllWatches(root, type, true));
        }
        for (WatcherType type : new WatcherType[] {WatcherType.Children, WatcherType.Data, WatcherType.Any}) {
            Watcher data = a.watcher("data");
            Watcher child = a.watcher("children");
            a.zk.getData(root, data, null);
            a.zk.getChildren(root, child);
            Transcript.act("take the data watch as " + type, () -> a.zk.removeWatches(root, data, type, false));
            a.events();
            Transcript.act("take the child watch as " + type, () -> a.zk.removeWatches(root, child, type, false));
            a.events();
            a.zk.getData(root, a.watcher("data"), null);
            a.zk.getData(root, a.watcher("data, another"), null);
            a.zk.exists(root, a.watcher("exists"));
            a.zk.getChildren(root, a.watcher("children"));
            Transcript.act("take all of " + type, () -> a.zk.removeAllWatches(root, type, false));
            a.events();
            Transcript.act("change", () -> {
                b.zk.setData(root, null, -1);
                make(b.zk, root + "/x");
                b.zk.delete(root + "/x", -1);
            });
            a.events();
        }
        Watcher missing = a.watcher("missing");
        a.zk.exists(root + "/missing", missing);
        Transcript.act("of a missing node", () -> a.zk.removeWatches(root + "/missing", missing, WatcherType.Data, false));
        a.events();
        a.zk.getData(root, a.watcher("local"), null);
        Transcript.act("here only", () -> a.zk.removeAllWatches(root, WatcherType.Data, true));
        a.events();
        Transcript.act("change", () -> b.zk.setData(root, null, -1));
        a.events();
    }

    private static void removingModes(Client a, Client b) throws Exception {
        String root = a.section("watches: taking back persistent ones", "/removemodes");
        for (WatcherType type : WatcherType.values()) {
            Watcher persistent = a.watcher("persistent");
            Watcher recursive = a.watcher("recursive");
            a.zk.addWatch(root, persistent, AddWatchMode.PERSISTENT);
            a.zk.addWatch(root, recursive, AddWatchMode.PERSISTENT_RECURSIVE);
            a.zk.getData(root, a.watcher("data"), null);
            a.zk.getChildren(root, a.watcher("children"));
            Transcript.act("take all of " + type, () -> a.zk.removeAllWatches(root, type, false));
            a.events();
            Transcript.act("change", () -> {
                b.zk.setData(root, null, -1);
                make(b.zk, root + "/x");
                b.zk.delete(root + "/x", -1);
            });
            a.events();
            Transcript.act("take the persistent one as " + type, () -> a.zk.removeWatches(root, persistent, type, false));
            Transcript.act("take the recursive one as " + type, () -> a.zk.removeWatches(root, recursive, type, false));
            a.events();
            Transcript.act("change", () -> b.zk.setData(root, null, -1));
            a.events();
            Transcript.act("take the rest", () -> a.zk.removeAllWatches(root, WatcherType.Any, false));
            a.events();
        }
    }

    private static void defaultWatcher(Client a, Client b) throws Exception {
        String root = a.section("watches: the default watcher", "/default");
        a.zk.exists(root, true);
        a.zk.getData(root, true, null);
        a.zk.getChildren(root, true);
        a.zk.addWatch(root + "/x", AddWatchMode.PERSISTENT);
        make(b.zk, root + "/x");
        b.zk.setData(root, null, -1);
        a.events();
        Transcript.act("remove", () -> a.zk.removeWatches(root + "/x", a.watcher, WatcherType.Any, false));
        a.events();
    }
}
