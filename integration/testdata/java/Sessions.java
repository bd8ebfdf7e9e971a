import static org.apache.zookeeper.ZooDefs.Ids.OPEN_ACL_UNSAFE;

import java.util.TreeSet;
import org.apache.zookeeper.AddWatchMode;
import org.apache.zookeeper.CreateMode;
import org.apache.zookeeper.Watcher.Event.KeeperState;
import org.apache.zookeeper.ZooKeeper;
import org.apache.zookeeper.admin.ZooKeeperAdmin;
import org.apache.zookeeper.data.Stat;

/** Opening, moving, losing and closing sessions. */
final class Sessions {
    private Sessions() {}

    static void run(String address) throws Exception {
        negotiation(address);
        Client a = Client.connect("a", address);
        reconnect(a, address);
        taken(a, address);
        refused(a, address);
        catchUp(a, address);
        expiry(a, address);
        closing(a, address);
        chroot(a, address);
        readOnly(a, address);
        reconfig(a, address);
        a.close();
    }

    private static void negotiation(String address) throws Exception {
        Transcript.section("session: timeouts", 0);
        for (int timeout : new int[] {800, 999, 1000, 1001, 5000, 10_000, 10_001, 1 << 30}) {
            Client c = new Client("c", address, timeout, false);
            c.await(KeeperState.SyncConnected);
            Transcript.line(timeout + " ms -> " + c.zk.getSessionTimeout() + " ms, password of " + c.zk.getSessionPasswd().length + " bytes");
            c.close();
        }
    }

    private static void reconnect(Client a, String address) throws Exception {
        String root = a.section("session: the connection is lost", "/lost");
        Proxy way = new Proxy(address);
        Client c = Client.connect("c", way.address());
        c.zk.addAuthInfo("digest", "u:p".getBytes());
        c.zk.create(root + "/e", null, OPEN_ACL_UNSAFE, CreateMode.EPHEMERAL);
        long id = c.zk.getSessionId();
        way.cut();
        c.await(KeeperState.Disconnected);
        Transcript.call("while it is away", () -> a.zk.exists(root + "/e", false));
        way.mend();
        c.await(KeeperState.SyncConnected);
        Transcript.line("same session: " + (id == c.zk.getSessionId()) + ", " + c.zk.getSessionTimeout() + " ms");
        Transcript.call("its node", () -> c.zk.exists(root + "/e", false));
        Transcript.call("who it is", () -> c.zk.whoAmI());
        Transcript.call("its ephemerals", () -> c.zk.getEphemerals());
        c.close();
        Transcript.call("after closing", () -> a.zk.exists(root + "/e", false));
        // Moving to another connection takes no zxid, opening and closing the session one each.
        Transcript.call("root", () -> a.zk.exists(a.zk.create(root + "/x", null, OPEN_ACL_UNSAFE, CreateMode.PERSISTENT), false));
    }

    private static void taken(Client a, String address) throws Exception {
        String root = a.section("session: taken over with id and password", "/taken");
        Proxy way = new Proxy(address);
        Client c = Client.connect("c", way.address());
        c.zk.create(root + "/e", null, OPEN_ACL_UNSAFE, CreateMode.EPHEMERAL);
        long id = c.zk.getSessionId();
        way.cut();
        Client d = new Client("d", address, 3000, id, c.zk.getSessionPasswd());
        d.await(KeeperState.SyncConnected);
        Transcript.line("same session: " + (id == d.zk.getSessionId()) + ", " + d.zk.getSessionTimeout() + " ms");
        Transcript.call("its ephemerals", () -> d.zk.getEphemerals());
        Transcript.act("delete", () -> d.zk.delete(root + "/e", -1));
        d.close();
        way.mend();
        c.await(KeeperState.Expired);
        Transcript.call("the first one is told", () -> c.zk.exists(root, false));
        c.close();
    }

    private static void refused(Client a, String address) throws Exception {
        String root = a.section("session: wrong id or password", "/wrong");
        Client d = new Client("d", address, 3000, a.zk.getSessionId(), new byte[16]);
        Transcript.act("wrong password", () -> d.await(KeeperState.Expired));
        // The server drops the connection of a session that somebody else asks for, whatever the password.
        a.await(KeeperState.SyncConnected);
        Client e = new Client("e", address, 3000, 0x1234567890L, a.zk.getSessionPasswd());
        Transcript.act("unknown session", () -> e.await(KeeperState.Expired));
        Client f = new Client("f", address, 3000, a.zk.getSessionId(), new byte[3]);
        Transcript.act("short password", () -> f.await(KeeperState.Expired));
        d.close();
        e.close();
        f.close();
        a.await(KeeperState.SyncConnected);
        Transcript.call("the real one lives", () -> a.zk.exists(root, false));
    }

    private static void catchUp(Client a, String address) throws Exception {
        String root = a.section("session: watches after a reconnect", "/catchup");
        ZooKeeper zk = a.zk;
        for (String name : new String[] {"set", "deleted", "same", "children", "childdeleted", "recursive", "persistent", "recreated"}) {
            zk.create(root + "/" + name, null, OPEN_ACL_UNSAFE, CreateMode.PERSISTENT);
        }
        Proxy way = new Proxy(address);
        Client c = Client.connect("c", way.address());
        c.zk.getData(root + "/set", c.watcher("data"), null);
        c.zk.getData(root + "/deleted", c.watcher("data"), null);
        c.zk.getData(root + "/recreated", c.watcher("data"), null);
        c.zk.getData(root + "/same", c.watcher("data"), null);
        c.zk.getChildren(root + "/same", c.watcher("children"));
        c.zk.getChildren(root + "/children", c.watcher("children"));
        c.zk.getChildren(root + "/childdeleted", c.watcher("children"));
        c.zk.exists(root + "/created", c.watcher("exists"));
        c.zk.exists(root + "/never", c.watcher("exists"));
        c.zk.exists(root + "/same", c.watcher("exists"));
        c.zk.addWatch(root + "/recursive", c.watcher("recursive"), AddWatchMode.PERSISTENT_RECURSIVE);
        c.zk.addWatch(root + "/persistent", c.watcher("persistent"), AddWatchMode.PERSISTENT);
        c.events();
        way.cut();
        c.await(KeeperState.Disconnected);
        zk.setData(root + "/set", null, -1);
        zk.delete(root + "/deleted", -1);
        zk.delete(root + "/recreated", -1);
        zk.create(root + "/recreated", null, OPEN_ACL_UNSAFE, CreateMode.PERSISTENT);
        zk.create(root + "/children/x", null, OPEN_ACL_UNSAFE, CreateMode.PERSISTENT);
        zk.delete(root + "/childdeleted", -1);
        zk.create(root + "/created", null, OPEN_ACL_UNSAFE, CreateMode.PERSISTENT);
        zk.create(root + "/recursive/x", null, OPEN_ACL_UNSAFE, CreateMode.PERSISTENT);
        zk.setData(root + "/persistent", null, -1);
        way.mend();
        c.await(KeeperState.SyncConnected);
        Transcript.line("what was missed");
        c.events();
        for (String name : new String[] {"set", "same", "children", "never", "recursive", "recursive/x", "persistent"}) {
            if (name.equals("never")) {
                zk.create(root + "/never", null, OPEN_ACL_UNSAFE, CreateMode.PERSISTENT);
            } else {
                zk.setData(root + "/" + name, null, -1);
            }
            zk.create(root + "/" + name + "/new", null, OPEN_ACL_UNSAFE, CreateMode.PERSISTENT);
        }
        Transcript.line("what comes now");
        c.events();
        c.close();
    }

    private static void expiry(Client a, String address) throws Exception {
        String root = a.section("session: expiry", "/expiry");
        Proxy way = new Proxy(address);
        Client c = new Client("c", way.address(), 1000, false);
        c.await(KeeperState.SyncConnected);
        c.zk.create(root + "/e", null, OPEN_ACL_UNSAFE, CreateMode.EPHEMERAL);
        c.zk.create(root + "/p", null, OPEN_ACL_UNSAFE, CreateMode.PERSISTENT);
        a.zk.exists(root + "/e", a.watcher("e"));
        way.cut();
        a.event();
        way.mend();
        c.await(KeeperState.Expired);
        Transcript.call("a request of it", () -> c.zk.exists(root, false));
        Transcript.call("what is left", () -> new TreeSet<>(a.zk.getChildren(root, false)));
        Transcript.call("root", () -> a.zk.exists(root, false));
        c.close();
    }

    private static void closing(Client a, String address) throws Exception {
        String root = a.section("session: closing", "/closing");
        Client c = Client.connect("c", address);
        a.zk.addWatch(root, a.watcher("recursive"), AddWatchMode.PERSISTENT_RECURSIVE);
        c.zk.create(root + "/e", null, OPEN_ACL_UNSAFE, CreateMode.EPHEMERAL);
        c.zk.create(root + "/keep", null, OPEN_ACL_UNSAFE, CreateMode.PERSISTENT);
        c.close();
        a.events();
        Transcript.call("after closing", () -> c.zk.exists(root, false));
        Transcript.call("root", () -> a.zk.exists(root, false));
    }

    private static void chroot(Client a, String address) throws Exception {
        String root = a.section("session: chroot", "/chroot");
        Client c = Client.connect("c", address + root);
        Transcript.call("create", () -> c.zk.create("/x", Nodes.bytes("x"), OPEN_ACL_UNSAFE, CreateMode.PERSISTENT));
        Transcript.call("sequential", () -> c.zk.create("/s-", null, OPEN_ACL_UNSAFE, CreateMode.EPHEMERAL_SEQUENTIAL));
        Transcript.call("root", () -> c.zk.exists("/", false));
        Transcript.call("children", () -> new TreeSet<>(c.zk.getChildren("/", false)));
        c.zk.addWatch("/", c.watcher("recursive"), AddWatchMode.PERSISTENT_RECURSIVE);
        a.zk.setData(root + "/x", null, -1);
        a.zk.create(root + "/x/y", null, OPEN_ACL_UNSAFE, CreateMode.PERSISTENT);
        c.events();
        Transcript.call("missing", () -> c.zk.getData("/none", false, null));
        Transcript.call("ephemerals", () -> c.zk.getEphemerals());
        c.close();
        Client lost = Client.connect("lost", address + "/no/such/root");
        Transcript.call("missing root", () -> lost.zk.exists("/", false));
        Transcript.call("create", () -> lost.zk.create("/x", null, OPEN_ACL_UNSAFE, CreateMode.PERSISTENT));
        lost.close();
    }

    private static void readOnly(Client a, String address) throws Exception {
        String root = a.section("session: may be read only", "/readonly");
        Client c = new Client("c", address, 6000, true);
        c.await(KeeperState.SyncConnected);
        Transcript.line("state " + c.zk.getState());
        Transcript.call("write", () -> c.zk.create(root + "/x", null, OPEN_ACL_UNSAFE, CreateMode.PERSISTENT));
        c.close();
    }

    private static void reconfig(Client a, String address) throws Exception {
        Transcript.section("reconfig on one server", 0);
        try (ZooKeeperAdmin admin = new ZooKeeperAdmin(address, 6000, a.watcher)) {
            a.await(KeeperState.SyncConnected);
            Transcript.call("getConfig", () -> admin.getConfig(false, new Stat()));
            Transcript.call("incremental", () -> admin.reconfigure("server.2=127.0.0.1:1:2:participant;3", null, null, -1, new Stat()));
            Transcript.call("whole", () -> admin.reconfigure(null, null, "server.2=127.0.0.1:1:2:participant;3", -1, new Stat()));
            admin.addAuthInfo("digest", "super:secret".getBytes());
            Transcript.call("as super", () -> admin.reconfigure(null, "1", null, -1, new Stat()));
            Transcript.call("of another version", () -> admin.reconfigure(null, "1", null, 77, new Stat()));
        }
    }
}
