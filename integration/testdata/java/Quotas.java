import static org.apache.zookeeper.ZooDefs.Ids.OPEN_ACL_UNSAFE;

import java.util.Arrays;
import org.apache.zookeeper.CreateMode;
import org.apache.zookeeper.Op;
import org.apache.zookeeper.StatsTrack;
import org.apache.zookeeper.ZooKeeper;
import org.apache.zookeeper.cli.DelQuotaCommand;
import org.apache.zookeeper.cli.SetQuotaCommand;

/** Quotas, made by the client's own tools; the server enforces the hard ones (enforceQuota=true). */
final class Quotas {
    private Quotas() {}

    static void run(Client a) throws Exception {
        ZooKeeper zk = a.zk;
        String root = a.section("quota", "/quota");
        zk.create(root + "/before", Nodes.bytes("12345"), OPEN_ACL_UNSAFE, CreateMode.PERSISTENT);
        StatsTrack hard = new StatsTrack();
        hard.setCount(3);
        hard.setBytes(20);
        hard.setCountHardLimit(5);
        hard.setByteHardLimit(40);
        Transcript.call("setquota", () -> SetQuotaCommand.createQuota(zk, root, hard));
        usage(zk, root);
        Transcript.call("third", () -> zk.create(root + "/c", Nodes.bytes("12345"), OPEN_ACL_UNSAFE, CreateMode.PERSISTENT));
        Transcript.call("fourth, over the soft one", () -> zk.create(root + "/c/d", Nodes.bytes("12345"), OPEN_ACL_UNSAFE, CreateMode.EPHEMERAL));
        Transcript.call("fifth", () -> zk.create(root + "/e", null, OPEN_ACL_UNSAFE, CreateMode.PERSISTENT));
        Transcript.call("sixth", () -> zk.create(root + "/f", null, OPEN_ACL_UNSAFE, CreateMode.PERSISTENT));
        usage(zk, root);
        Transcript.call("bytes", () -> zk.setData(root, new byte[20], -1).getVersion());
        Transcript.call("one byte more than allowed", () -> zk.setData(root, new byte[26], -1).getVersion());
        Transcript.call("too many and a bad version", () -> zk.setData(root, new byte[99], 77).getVersion());
        Transcript.call("all that are allowed", () -> zk.setData(root, new byte[25], -1).getVersion());
        usage(zk, root);
        Transcript.call("in a multi", () -> zk.multi(Arrays.asList(Op.delete(root + "/e", -1),
                Op.create(root + "/g", null, OPEN_ACL_UNSAFE, CreateMode.PERSISTENT), Op.setData(root, new byte[26], -1))));
        Transcript.act("delete", () -> zk.delete(root + "/e", -1));
        usage(zk, root);
        Transcript.call("below it", () -> SetQuotaCommand.createQuota(zk, root + "/c", hard));
        Transcript.call("above it", () -> SetQuotaCommand.createQuota(zk, "/", hard));
        Transcript.call("children", () -> zk.getChildren("/zookeeper/quota", false));
        Transcript.call("limits' stat", () -> zk.exists("/zookeeper/quota/quota/zookeeper_limits", false));
        Transcript.call("stats' stat", () -> zk.exists("/zookeeper/quota/quota/zookeeper_stats", false));
        Transcript.call("stats set by hand", () -> zk.setData("/zookeeper/quota/quota/zookeeper_stats", Nodes.bytes("count=1,bytes=2"), -1).getVersion());
        Transcript.call("set", () -> zk.setData(root, new byte[30], -1).getVersion());
        usage(zk, root);
        Transcript.call("delquota", () -> DelQuotaCommand.delQuota(zk, root, null));
        usage(zk, root);
        Transcript.call("free again", () -> zk.setData(root, new byte[100], -1).getVersion());
    }

    private static void usage(ZooKeeper zk, String path) {
        Transcript.call("  limits", () -> zk.getData("/zookeeper/quota" + path + "/zookeeper_limits", false, null));
        Transcript.call("  usage", () -> zk.getData("/zookeeper/quota" + path + "/zookeeper_stats", false, null));
    }
}
