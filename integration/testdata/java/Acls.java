import static org.apache.zookeeper.ZooDefs.Ids.ANYONE_ID_UNSAFE;
import static org.apache.zookeeper.ZooDefs.Ids.AUTH_IDS;
import static org.apache.zookeeper.ZooDefs.Ids.CREATOR_ALL_ACL;
import static org.apache.zookeeper.ZooDefs.Ids.OPEN_ACL_UNSAFE;
import static org.apache.zookeeper.ZooDefs.Ids.READ_ACL_UNSAFE;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.TreeSet;
import org.apache.zookeeper.AddWatchMode;
import org.apache.zookeeper.CreateMode;
import org.apache.zookeeper.Op;
import org.apache.zookeeper.Watcher;
import org.apache.zookeeper.ZooDefs.Perms;
import org.apache.zookeeper.ZooKeeper;
import org.apache.zookeeper.data.ACL;
import org.apache.zookeeper.data.Id;
import org.apache.zookeeper.data.Stat;
import org.apache.zookeeper.server.auth.DigestAuthenticationProvider;

/** Who may do what. */
final class Acls {
    private Acls() {}

    static void run(Client a, Client b, String address) throws Exception {
        validity(a);
        setAndGet(a);
        permissions(a, address);
        masking(a, address);
        deniedWatches(a, address);
        superUser(a, address);
        badSchemes(a, address);
    }

    /** The ids of a connection come in no particular order, and "auth" becomes one entry for each. */
    private static List<String> sorted(List<?> ids) {
        List<String> all = new ArrayList<>();
        for (Object id : ids) {
            all.add(Transcript.show(id));
        }
        Collections.sort(all);
        return all;
    }

    private static ACL acl(int perms, String scheme, String id) {
        return new ACL(perms, new Id(scheme, id));
    }

    private static void validity(Client a) throws Exception {
        ZooKeeper zk = a.zk;
        String root = a.section("acl: which are valid", "/valid");
        String[][] ids = {
            {"world", "anyone"}, {"world", "someone"}, {"world", ""}, {"ip", "127.0.0.1"}, {"ip", "127.0.0.0/8"}, {"ip", "10.0.0.0/33"},
            {"ip", "10.0.0/8"}, {"ip", "1.2.3.4/0"}, {"ip", "1.2.3.256"}, {"ip", "1.2.3.4/-1"}, {"ip", "::1"}, {"ip", "fe80::/10"}, {"ip", ""},
            {"digest", "user:hash"}, {"digest", "user"}, {"digest", "user:"}, {"digest", ":hash"}, {"digest", "a:b:c"}, {"digest", ""},
            {"auth", ""}, {"auth", "ignored"}, {"super", ""}, {"super", "x"}, {"x509", "CN=someone"}, {"x509", "no name"}, {"sasl", "user"},
            {"nothing", "x"}, {"", "x"},
        };
        int i = 0;
        for (String[] id : ids) {
            String path = root + "/" + i++;
            List<ACL> list = Collections.singletonList(acl(Perms.ALL, id[0], id[1]));
            Transcript.call(id[0] + ":" + id[1], () -> zk.create(path, null, list, CreateMode.PERSISTENT));
        }
        Transcript.call("twice the same", () -> zk.getACL(zk.create(root + "/twice", null,
                Arrays.asList(acl(31, "world", "anyone"), acl(31, "world", "anyone"), acl(1, "world", "anyone")), CreateMode.PERSISTENT), null));
        Transcript.call("strange bits", () -> zk.getACL(zk.create(root + "/bits", null,
                Arrays.asList(acl(31, "world", "anyone"), acl(1 << 10, "ip", "1.2.3.4"), acl(0, "ip", "1.2.3.5")), CreateMode.PERSISTENT), null));
        Transcript.call("stat", () -> zk.exists(root, false));
    }

    private static void setAndGet(Client a) throws Exception {
        ZooKeeper zk = a.zk;
        String root = a.section("acl: setting", "/setacl");
        Stat stat = new Stat();
        Transcript.call("getACL", () -> zk.getACL(root, stat));
        Transcript.call("  its stat", () -> stat);
        Transcript.call("setACL 0", () -> zk.setACL(root, Arrays.asList(acl(31, "world", "anyone"), acl(3, "ip", "127.0.0.1")), 0));
        Transcript.call("setACL 0 again", () -> zk.setACL(root, OPEN_ACL_UNSAFE, 0));
        Transcript.call("setACL any", () -> zk.setACL(root, OPEN_ACL_UNSAFE, -1));
        Transcript.call("setACL invalid", () -> zk.setACL(root, Collections.singletonList(acl(1, "digest", "x")), -1));
        Transcript.call("setACL creator, no auth", () -> zk.setACL(root, CREATOR_ALL_ACL, -1));
        Transcript.call("setACL empty", () -> zk.setACL(root, Collections.emptyList(), -1));
        Transcript.call("setACL missing", () -> zk.setACL(root + "/none", OPEN_ACL_UNSAFE, -1));
        Transcript.call("setACL invalid on missing", () -> zk.setACL(root + "/none", Collections.singletonList(acl(1, "digest", "x")), -1));
        Transcript.call("getACL missing", () -> zk.getACL(root + "/none", null));
        Transcript.call("stat", () -> zk.exists(root, false));
    }

    private static void permissions(Client a, String address) throws Exception {
        String root = a.section("acl: permissions", "/perms");
        String[] digests = {DigestAuthenticationProvider.generateDigest("all:p"), DigestAuthenticationProvider.generateDigest("none:p")};
        Transcript.line(Arrays.toString(digests));
        for (int bit = 0; bit < 5; bit++) {
            String path = root + "/" + bit;
            List<ACL> list = Arrays.asList(acl(1 << bit, "world", "anyone"), acl(Perms.ALL, "digest", digests[0]));
            a.zk.create(path, Nodes.bytes("x"), OPEN_ACL_UNSAFE, CreateMode.PERSISTENT);
            a.zk.create(path + "/child", Nodes.bytes("x"), OPEN_ACL_UNSAFE, CreateMode.PERSISTENT);
            a.zk.setACL(path, list, -1);
            Transcript.line("anyone may " + Arrays.asList("read", "write", "create", "delete", "administer").get(bit));
            everything(a.zk, path, digests[0]);
        }
        Client c = Client.connect("c", address);
        c.zk.addAuthInfo("digest", "all:p".getBytes());
        Transcript.call("whoAmI with auth", () -> sorted(c.zk.whoAmI()));
        Transcript.line("the one with every permission");
        everything(c.zk, root + "/2", digests[0]);
        c.zk.addAuthInfo("digest", "other:q".getBytes());
        c.zk.addAuthInfo("digest", "all:p".getBytes());
        c.zk.addAuthInfo("ip", "x".getBytes());
        Transcript.call("whoAmI with more", () -> sorted(c.zk.whoAmI()));
        Transcript.call("creator all", () -> c.zk.create(root + "/creator", null, CREATOR_ALL_ACL, CreateMode.PERSISTENT));
        Transcript.call("  its acl", () -> sorted(c.zk.getACL(root + "/creator", null)));
        Transcript.call("auth with an id", () -> c.zk.create(root + "/auth", null,
                Arrays.asList(acl(3, "auth", "who"), acl(1, "world", "anyone")), CreateMode.PERSISTENT));
        Transcript.call("  its acl", () -> sorted(c.zk.getACL(root + "/auth", null)));
        Transcript.call("without auth", () -> a.zk.getData(root + "/creator", false, null));
        c.close();
    }

    private static void everything(ZooKeeper zk, String path, String digest) {
        Transcript.call("exists", () -> zk.exists(path, false) != null);
        Transcript.call("getData", () -> zk.getData(path, false, null));
        Transcript.call("getChildren", () -> new TreeSet<>(zk.getChildren(path, false)));
        Transcript.call("getChildren2", () -> new TreeSet<>(zk.getChildren(path, false, new Stat())));
        Transcript.call("getAllChildrenNumber", () -> zk.getAllChildrenNumber(path));
        Transcript.call("getACL", () -> zk.getACL(path, null));
        Transcript.call("multi read", () -> zk.multi(Arrays.asList(Op.getData(path), Op.getChildren(path))));
        Transcript.act("check", () -> zk.multi(Collections.singletonList(Op.check(path, -1))));
        Transcript.call("setData", () -> zk.setData(path, Nodes.bytes("y"), -1).getVersion());
        Transcript.call("setData, bad version", () -> zk.setData(path, Nodes.bytes("y"), 99));
        Transcript.call("create", () -> zk.create(path + "/made", null, OPEN_ACL_UNSAFE, CreateMode.PERSISTENT));
        Transcript.call("create what exists", () -> zk.create(path + "/child", null, OPEN_ACL_UNSAFE, CreateMode.PERSISTENT));
        Transcript.call("create a child's child", () -> zk.create(path + "/child/x", null, OPEN_ACL_UNSAFE, CreateMode.PERSISTENT));
        Transcript.act("delete a missing child", () -> zk.delete(path + "/missing", -1));
        Transcript.act("delete a child's child", () -> zk.delete(path + "/child/x", -1));
        Transcript.act("delete a child", () -> zk.delete(path + "/child", -1));
        Transcript.call("setACL", () -> zk.setACL(path, Arrays.asList(acl(Perms.READ, "world", "anyone"), acl(Perms.ALL, "digest", digest)), 9));
        Transcript.call("setACL", () -> zk.setACL(path, Arrays.asList(acl(Perms.READ, "world", "anyone"), acl(Perms.ALL, "digest", digest)), -1).getAversion());
    }

    private static void masking(Client a, String address) throws Exception {
        String root = a.section("acl: hashes are masked", "/mask");
        List<ACL> list = Arrays.asList(acl(Perms.READ, "world", "anyone"), acl(Perms.ALL, "digest", "user:secret"), acl(1, "ip", "1.2.3.4"),
                acl(1, "digest", ":x"), acl(1, "digest", "a:b:c:d"), acl(Perms.ADMIN, "digest", DigestAuthenticationProvider.generateDigest("boss:p")));
        ArrayList<ACL> valid = new ArrayList<>(list);
        valid.remove(4);
        a.zk.create(root + "/x", null, valid, CreateMode.PERSISTENT);
        Transcript.call("may read", () -> a.zk.getACL(root + "/x", null));
        Client c = Client.connect("c", address);
        c.zk.addAuthInfo("digest", "boss:p".getBytes());
        Transcript.call("may administer", () -> c.zk.getACL(root + "/x", null));
        c.close();
    }

    private static void deniedWatches(Client a, String address) throws Exception {
        String root = a.section("acl: events nobody may see", "/deaf");
        Client c = Client.connect("c", address);
        c.zk.addAuthInfo("digest", "own:er".getBytes());
        a.zk.addWatch(root, a.watcher("recursive"), AddWatchMode.PERSISTENT_RECURSIVE);
        a.zk.exists(root + "/secret", a.watcher("exists"));
        Transcript.call("create", () -> c.zk.create(root + "/secret", null, CREATOR_ALL_ACL, CreateMode.PERSISTENT));
        a.events();
        Transcript.call("exists", () -> a.zk.exists(root + "/secret", a.watcher("exists")));
        Transcript.call("set", () -> c.zk.setData(root + "/secret", Nodes.bytes("x"), -1).getVersion());
        a.events();
        Transcript.call("child", () -> c.zk.create(root + "/secret/child", null, OPEN_ACL_UNSAFE, CreateMode.PERSISTENT));
        a.events();
        Transcript.act("delete the child", () -> c.zk.delete(root + "/secret/child", -1));
        a.events();
        Transcript.call("open it", () -> c.zk.setACL(root + "/secret", READ_ACL_UNSAFE, -1).getAversion());
        a.events();
        Transcript.call("set", () -> a.zk.setData(root, Nodes.bytes("x"), -1).getVersion());
        a.events();
        Transcript.act("delete", () -> c.zk.delete(root + "/secret", -1));
        a.events();
        Transcript.act("no watch any more", () -> a.zk.removeAllWatches(root, Watcher.WatcherType.Any, false));
        a.events();
        c.close();
    }

    private static void superUser(Client a, String address) throws Exception {
        String root = a.section("acl: the super user", "/super");
        a.zk.create(root + "/locked", null, Collections.singletonList(acl(0, "ip", "1.2.3.4")), CreateMode.PERSISTENT);
        Client c = Client.connect("c", address);
        Transcript.call("another", () -> c.zk.getData(root + "/locked", false, null));
        c.zk.addAuthInfo("digest", "super:secret".getBytes());
        Transcript.call("whoAmI", () -> sorted(c.zk.whoAmI()));
        Transcript.call("getData", () -> c.zk.getData(root + "/locked", false, null));
        Transcript.call("getACL", () -> c.zk.getACL(root + "/locked", null));
        Transcript.call("creator all", () -> sorted(c.zk.getACL(c.zk.create(root + "/creator", null, CREATOR_ALL_ACL, CreateMode.PERSISTENT), null)));
        Transcript.act("delete", () -> c.zk.delete(root + "/locked", -1));
        c.close();
    }

    private static void badSchemes(Client a, String address) throws Exception {
        String root = a.section("auth: schemes nobody can be known by", "/badauth");
        String[] schemes = {"nothing", "world", "super", "x509", "sasl", "auth", ""};
        List<Client> refused = new ArrayList<>();
        for (String scheme : schemes) {
            Transcript.line("scheme '" + scheme + "'");
            Client c = new Client("c", address, 1000, false);
            refused.add(c);
            c.await(Watcher.Event.KeeperState.SyncConnected);
            c.zk.create(root + "/of-" + scheme, null, OPEN_ACL_UNSAFE, CreateMode.EPHEMERAL);
            c.zk.addAuthInfo(scheme, "x".getBytes());
            Transcript.act("told of the failure", () -> c.await(Watcher.Event.KeeperState.AuthFailed));
            Transcript.call("and after it", () -> c.zk.exists("/", false) != null);
        }
        // A client that was refused does not close its session: it expires.
        for (int i = 0; i < schemes.length; i++) {
            a.awaitGone(root + "/of-" + schemes[i]);
            refused.get(i).close();
        }
        Transcript.call("all have expired", () -> a.zk.getChildren(root, false));
    }
}
