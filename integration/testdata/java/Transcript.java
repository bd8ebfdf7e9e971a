import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import java.util.TreeSet;
import java.util.concurrent.Callable;
import java.util.concurrent.CompletionException;
import java.util.concurrent.ExecutionException;
import org.apache.zookeeper.KeeperException;
import org.apache.zookeeper.OpResult;
import org.apache.zookeeper.data.ACL;
import org.apache.zookeeper.data.ClientInfo;
import org.apache.zookeeper.data.Stat;

/**
 * Prints what a client saw, one line a call, in a form that is equal whenever servers behave equally: zxids count from the
 * section's base, times are only "0" or "now", session ids are names, unordered lists are sorted.
 */
final class Transcript {
    private static long base;
    private static final List<Long> sessions = new ArrayList<>();

    private Transcript() {}

    /** Begins a section; zxids printed in it count from the given one. */
    static synchronized void section(String name, long zxid) {
        base = zxid;
        System.out.println("## " + name);
    }

    static synchronized void line(String text) {
        System.out.println(text);
        System.out.flush();
    }

    /** Makes the call and prints its result or the error it ended with. */
    static <T> T call(String what, Callable<T> call) {
        T result = null;
        String shown;
        try {
            result = call.call();
            shown = show(result);
        } catch (Throwable t) {
            shown = failure(t);
        }
        line(what + " -> " + shown);
        return result;
    }

    interface Action {
        void run() throws Exception;
    }

    static void act(String what, Action action) {
        call(what, () -> {
            action.run();
            return "done";
        });
    }

    static String failure(Throwable t) {
        if (t instanceof ExecutionException || t instanceof CompletionException) {
            t = t.getCause();
        }
        if (t instanceof KeeperException) {
            KeeperException e = (KeeperException) t;
            String more = e.getResults() == null ? "" : " " + show(e.getResults());
            return "error " + e.code() + (e.getPath() == null ? "" : " at " + e.getPath()) + more;
        }
        return "error " + t.getClass().getSimpleName() + ": " + t.getMessage();
    }

    /** The name a session id goes by in this transcript: s1, s2 ... in order of first mention, 0 for none. */
    static synchronized String session(long id) {
        if (id == 0) {
            return "0";
        }
        if (!sessions.contains(id)) {
            sessions.add(id);
        }
        return "s" + (sessions.indexOf(id) + 1);
    }

    static synchronized String zxid(long zxid) {
        if (zxid == 0) {
            return "0";
        }
        return zxid < 0 ? Long.toString(zxid) : "z" + (zxid >= base ? "+" : "") + (zxid - base);
    }

    static String time(long millis) {
        if (millis == 0) {
            return "0";
        }
        return Math.abs(System.currentTimeMillis() - millis) < 300_000 ? "now" : "another time " + millis;
    }

    static String show(Stat s) {
        return "[czxid " + zxid(s.getCzxid()) + " mzxid " + zxid(s.getMzxid()) + " pzxid " + zxid(s.getPzxid()) + " ctime "
                + time(s.getCtime()) + " mtime " + time(s.getMtime()) + " version " + s.getVersion() + " cversion "
                + s.getCversion() + " aversion " + s.getAversion() + " owner " + session(s.getEphemeralOwner()) + " length "
                + s.getDataLength() + " children " + s.getNumChildren() + "]";
    }

    static String show(byte[] data) {
        if (data == null) {
            return "null";
        }
        return data.length > 200 ? data.length + " bytes" : "'" + new String(data, StandardCharsets.UTF_8) + "'";
    }

    static String show(OpResult r) {
        if (r instanceof OpResult.CreateResult) {
            OpResult.CreateResult c = (OpResult.CreateResult) r;
            return "create(" + c.getType() + ") " + c.getPath() + (c.getStat() == null ? "" : " " + show(c.getStat()));
        }
        if (r instanceof OpResult.SetDataResult) {
            return "set " + show(((OpResult.SetDataResult) r).getStat());
        }
        if (r instanceof OpResult.GetDataResult) {
            OpResult.GetDataResult g = (OpResult.GetDataResult) r;
            return "get " + show(g.getData()) + " " + show(g.getStat());
        }
        if (r instanceof OpResult.GetChildrenResult) {
            return "children " + new TreeSet<>(((OpResult.GetChildrenResult) r).getChildren());
        }
        if (r instanceof OpResult.ErrorResult) {
            return "error " + KeeperException.Code.get(((OpResult.ErrorResult) r).getErr());
        }
        return r.getClass().getSimpleName();
    }

    static String show(Object o) {
        if (o instanceof Stat) {
            return show((Stat) o);
        }
        if (o instanceof byte[] || o == null) {
            return show((byte[]) o);
        }
        if (o instanceof OpResult) {
            return show((OpResult) o);
        }
        if (o instanceof ACL) {
            ACL a = (ACL) o;
            return a.getId().getScheme() + ":" + a.getId().getId() + ":" + a.getPerms();
        }
        if (o instanceof ClientInfo) {
            return ((ClientInfo) o).getAuthScheme() + ":" + ((ClientInfo) o).getUser();
        }
        if (o instanceof Collection) {
            List<String> all = new ArrayList<>();
            for (Object e : (Collection<?>) o) {
                all.add(show(e));
            }
            return all.toString();
        }
        return o.toString();
    }
}
