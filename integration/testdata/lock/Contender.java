import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.util.ArrayDeque;
import java.util.Collection;
import java.util.Deque;
import java.util.concurrent.Semaphore;
import java.util.concurrent.TimeUnit;
import org.apache.curator.framework.CuratorFramework;
import org.apache.curator.framework.CuratorFrameworkFactory;
import org.apache.curator.framework.recipes.locks.InterProcessLock;
import org.apache.curator.framework.recipes.locks.InterProcessMutex;
import org.apache.curator.framework.recipes.locks.InterProcessReadWriteLock;
import org.apache.curator.framework.recipes.locks.InterProcessSemaphoreMutex;
import org.apache.curator.framework.recipes.locks.InterProcessSemaphoreV2;
import org.apache.curator.framework.recipes.locks.Lease;
import org.apache.curator.framework.recipes.locks.Revoker;
import org.apache.curator.framework.recipes.shared.SharedCount;
import org.apache.curator.retry.RetryNTimes;

/**
 * One contender for a lock, by Curator, steered line by line: "acquire MILLIS" answers "held" or "busy", "release" answers
 * "released", the end of the input ends the program. A read-write lock is acquired for writing, and with "share" and "unshare" for
 * reading; a semaphore is asked "acquire MILLIS PERMITS", and gives back what it acquired last. A revocable mutex answers "asked MILLIS"
 * with "asked" or "not asked", and "revoke NODE", which asks another, with "sent".
 *
 * Arguments: SERVER PATH [rw | semaphore-mutex | semaphore LIMIT | shared-semaphore LIMIT-PATH | revocable]; a mutex by default.
 */
public class Contender {
    interface Answer {
        String to(String[] words) throws Exception;
    }

    public static void main(String[] args) throws Exception {
        try (CuratorFramework client = CuratorFrameworkFactory.newClient(args[0], 10_000, 10_000, new RetryNTimes(20, 100))) {
            client.start();
            client.blockUntilConnected();
            Answer answer = contender(client, args);
            System.out.println("ready");
            BufferedReader in = new BufferedReader(new InputStreamReader(System.in));
            for (String line = in.readLine(); line != null; line = in.readLine()) {
                System.out.println(answer.to(line.split(" ")));
            }
        }
    }

    static Answer contender(CuratorFramework client, String[] args) throws Exception {
        String path = args[1];
        switch (args.length > 2 ? args[2] : "mutex") {
            case "rw":
                InterProcessReadWriteLock rw = new InterProcessReadWriteLock(client, path);
                Answer write = lock(rw.writeLock()), read = lock(rw.readLock());
                return words -> {
                    switch (words[0]) {
                        case "share":
                            words[0] = "acquire";
                            return read.to(words);
                        case "unshare":
                            words[0] = "release";
                            return read.to(words);
                    }
                    return write.to(words);
                };
            case "semaphore-mutex":
                return lock(new InterProcessSemaphoreMutex(client, path));
            case "semaphore":
                return semaphore(new InterProcessSemaphoreV2(client, path, Integer.parseInt(args[3])));
            case "shared-semaphore":
                SharedCount limit = new SharedCount(client, args[3], 1);
                limit.start();
                return semaphore(new InterProcessSemaphoreV2(client, path, limit));
            case "revocable":
                InterProcessMutex mutex = new InterProcessMutex(client, path);
                Semaphore asked = new Semaphore(0);
                mutex.makeRevocable(lock -> asked.release());
                Answer others = lock(mutex);
                return words -> {
                    switch (words[0]) {
                        case "asked":
                            return asked.tryAcquire(Long.parseLong(words[1]), TimeUnit.MILLISECONDS) ? "asked" : "not asked";
                        case "revoke":
                            Revoker.attemptRevoke(client, words[1]);
                            return "sent";
                    }
                    return others.to(words);
                };
        }
        return lock(new InterProcessMutex(client, path));
    }

    static Answer lock(InterProcessLock lock) {
        return words -> {
            if (words[0].equals("acquire")) {
                return lock.acquire(Long.parseLong(words[1]), TimeUnit.MILLISECONDS) ? "held" : "busy";
            }
            lock.release();
            return "released";
        };
    }

    static Answer semaphore(InterProcessSemaphoreV2 semaphore) {
        Deque<Collection<Lease>> held = new ArrayDeque<>();
        return words -> {
            if (words[0].equals("acquire")) {
                Collection<Lease> leases = semaphore.acquire(Integer.parseInt(words[2]), Long.parseLong(words[1]), TimeUnit.MILLISECONDS);
                if (leases == null) {
                    return "busy";
                }
                held.push(leases);
                return "held";
            }
            semaphore.returnAll(held.pop());
            return "released";
        };
    }
}
