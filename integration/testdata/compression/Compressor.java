import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.util.HexFormat;
import org.apache.curator.framework.CuratorFramework;
import org.apache.curator.framework.CuratorFrameworkFactory;
import org.apache.curator.retry.RetryNTimes;

/**
 * Curator's compression, steered line by line: "create PATH HEX" and "set PATH HEX" write compressed data and answer "done", "get PATH"
 * answers with what is there, decompressed, as "=HEX", or with the exception's class. The end of the input ends the program.
 */
public class Compressor {
    public static void main(String[] args) throws Exception {
        try (CuratorFramework client = CuratorFrameworkFactory.newClient(args[0], 10_000, 10_000, new RetryNTimes(20, 100))) {
            client.start();
            client.blockUntilConnected();
            System.out.println("ready");
            BufferedReader in = new BufferedReader(new InputStreamReader(System.in));
            for (String line = in.readLine(); line != null; line = in.readLine()) {
                System.out.println(answer(client, line.split(" ", -1)));
            }
        }
    }

    private static String answer(CuratorFramework client, String[] words) {
        HexFormat hex = HexFormat.of();
        try {
            switch (words[0]) {
                case "create":
                    client.create().compressed().forPath(words[1], hex.parseHex(words[2]));
                    return "done";
                case "set":
                    client.setData().compressed().forPath(words[1], hex.parseHex(words[2]));
                    return "done";
                default:
                    return "=" + hex.formatHex(client.getData().decompressed().forPath(words[1]));
            }
        } catch (Exception e) {
            return e.getClass().getSimpleName();
        }
    }
}
