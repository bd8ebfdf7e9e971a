import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.Collection;
import java.util.stream.Collectors;
import org.apache.curator.framework.CuratorFramework;
import org.apache.curator.framework.CuratorFrameworkFactory;
import org.apache.curator.framework.recipes.leader.LeaderLatch;
import org.apache.curator.framework.recipes.leader.LeaderSelector;
import org.apache.curator.framework.recipes.leader.LeaderSelectorListenerAdapter;
import org.apache.curator.framework.recipes.leader.Participant;
import org.apache.curator.retry.RetryNTimes;

/**
 * One candidate in an election, by Curator, steered line by line: "stand" answers "stands", "await MILLIS" answers "leads" or "waits",
 * "participants" answers with the ids Curator sees, in order and the leader's with a star, "leave" answers "left". The end of the input ends
 * the program. Arguments: server, path, "latch" or "selector", id.
 */
public class Candidate {
    interface Election {
        boolean await(long millis) throws Exception;
        Collection<Participant> participants() throws Exception;
        void leave() throws Exception;
    }

    public static void main(String[] args) throws Exception {
        try (CuratorFramework client = CuratorFrameworkFactory.newClient(args[0], 10_000, 10_000, new RetryNTimes(20, 100))) {
            client.start();
            client.blockUntilConnected();
            System.out.println("ready");
            Election election = null;
            BufferedReader in = new BufferedReader(new InputStreamReader(System.in));
            for (String line = in.readLine(); line != null; line = in.readLine()) {
                String[] words = line.split(" ");
                switch (words[0]) {
                    case "stand":
                        election = args[2].equals("latch") ? latch(client, args[1], args[3]) : selector(client, args[1], args[3]);
                        System.out.println("stands");
                        break;
                    case "await":
                        System.out.println(election.await(Long.parseLong(words[1])) ? "leads" : "waits");
                        break;
                    case "participants":
                        System.out.println(election.participants().stream().map(p -> p.getId() + (p.isLeader() ? "*" : ""))
                                .collect(Collectors.joining(" ")));
                        break;
                    default:
                        election.leave();
                        System.out.println("left");
                }
            }
        }
    }

    static Election latch(CuratorFramework client, String path, String id) throws Exception {
        LeaderLatch latch = new LeaderLatch(client, path, id);
        latch.start();
        return new Election() {
            public boolean await(long millis) throws Exception {
                return latch.await(millis, TimeUnit.MILLISECONDS);
            }

            public Collection<Participant> participants() throws Exception {
                return latch.getParticipants();
            }

            public void leave() throws Exception {
                latch.close();
            }
        };
    }

    static Election selector(CuratorFramework client, String path, String id) {
        CountDownLatch leads = new CountDownLatch(1);
        CountDownLatch enough = new CountDownLatch(1);
        CountDownLatch returned = new CountDownLatch(1);
        LeaderSelector selector = new LeaderSelector(client, path, new LeaderSelectorListenerAdapter() {
            @Override
            public void takeLeadership(CuratorFramework c) throws Exception {
                leads.countDown();
                enough.await();
                returned.countDown();
            }
        });
        selector.setId(id);
        selector.start();
        return new Election() {
            public boolean await(long millis) throws Exception {
                return leads.await(millis, TimeUnit.MILLISECONDS);
            }

            public Collection<Participant> participants() throws Exception {
                return selector.getParticipants();
            }

            public void leave() throws Exception {
                enough.countDown();
                if (leads.getCount() == 0) {
                    returned.await();
                }
                selector.close();
            }
        };
    }
}
