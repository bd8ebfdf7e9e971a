import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.util.Map;
import java.util.TreeMap;
import java.util.stream.Collectors;
import org.apache.curator.framework.CuratorFramework;
import org.apache.curator.framework.CuratorFrameworkFactory;
import org.apache.curator.framework.recipes.nodes.GroupMember;
import org.apache.curator.retry.RetryNTimes;

/**
 * One member of a group, by Curator's GroupMember, steered line by line: "join" answers "joined", "set PAYLOAD" answers "set", "members" answers
 * with the ids and payloads that Curator sees, sorted, "leave" answers "left". The end of the input ends the program. Arguments: server, path, id,
 * payload.
 */
public class Member {
    public static void main(String[] args) throws Exception {
        try (CuratorFramework client = CuratorFrameworkFactory.newClient(args[0], 10_000, 10_000, new RetryNTimes(20, 100))) {
            client.start();
            client.blockUntilConnected();
            System.out.println("ready");
            GroupMember member = null;
            BufferedReader in = new BufferedReader(new InputStreamReader(System.in));
            for (String line = in.readLine(); line != null; line = in.readLine()) {
                String[] words = line.split(" ", 2);
                switch (words[0]) {
                    case "join":
                        member = new GroupMember(client, args[1], args[2], args[3].getBytes(StandardCharsets.UTF_8));
                        member.start();
                        System.out.println("joined");
                        break;
                    case "set":
                        member.setThisData(words[1].getBytes(StandardCharsets.UTF_8));
                        System.out.println("set");
                        break;
                    case "members":
                        Map<String, byte[]> all = new TreeMap<>(member.getCurrentMembers());
                        System.out.println(all.entrySet().stream()
                                .map(e -> e.getKey() + "=" + new String(e.getValue(), StandardCharsets.UTF_8)).collect(Collectors.joining(" ")));
                        break;
                    default:
                        member.close();
                        System.out.println("left");
                }
            }
        }
    }
}
