import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.util.Collections;
import java.util.HexFormat;
import org.apache.curator.framework.schema.Schema;
import org.apache.curator.framework.schema.SchemaSet;
import org.apache.curator.framework.schema.SchemaSetLoader;
import org.apache.curator.framework.schema.SchemaViolation;
import org.apache.zookeeper.CreateMode;

/**
 * Curator's opinion of operations, line by line. "load OTHERS JSON" answers "loaded" or "refused", OTHERS being whether what has no schema is
 * allowed, and the JSON hexadecimal; the validator "even" takes data of an even length. Any other line is a list, between bars, of
 * "create PATH MODE DATA", "set PATH DATA", "delete PATH", "read PATH" and "watch PATH", with path and data hexadecimal; the answer has
 * "yes" or "no" for each.
 */
public class Schemas {
    public static void main(String[] args) throws Exception {
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in));
        SchemaSet set = null;
        System.out.println("ready");
        for (String line = in.readLine(); line != null; line = in.readLine()) {
            String[] words = line.split(" ", -1);
            if (words[0].equals("load")) {
                try {
                    set = new SchemaSetLoader(text(words[2]), name -> (schema, path, data, acl) -> data.length % 2 == 0)
                            .toSchemaSet(Boolean.parseBoolean(words[1]));
                    System.out.println("loaded");
                } catch (RuntimeException e) {
                    System.out.println("refused");
                }
                continue;
            }
            StringBuilder answers = new StringBuilder();
            for (String question : line.split("\\|")) {
                answers.append(answers.length() == 0 ? "" : "|").append(allows(set, question.split(" ", -1)) ? "yes" : "no");
            }
            System.out.println(answers);
        }
    }

    private static boolean allows(SchemaSet set, String[] words) {
        try {
            judge(set, words);
            return true;
        } catch (SchemaViolation e) {
            return false;
        }
    }

    private static void judge(SchemaSet set, String[] words) {
        String path = text(words[1]);
        Schema schema = set.getSchema(path);
        switch (words[0]) {
        case "create":
            for (CreateMode mode : CreateMode.values()) {
                if (mode.toFlag() == Integer.parseInt(words[2])) {
                    schema.validateCreate(mode, path, HexFormat.of().parseHex(words[3]), Collections.emptyList());
                }
            }
            break;
        case "set":
            schema.validateGeneral(path, HexFormat.of().parseHex(words[2]), Collections.emptyList());
            break;
        case "delete":
            schema.validateDelete(path);
            break;
        default:
            schema.validateWatch(path, words[0].equals("watch"));
        }
    }

    private static String text(String hex) {
        return new String(HexFormat.of().parseHex(hex), StandardCharsets.UTF_8);
    }
}
