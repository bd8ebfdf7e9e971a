import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Future;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.ThreadPoolExecutor;
import java.util.concurrent.TimeUnit;
import java.util.stream.Collectors;
import org.apache.curator.framework.CuratorFramework;
import org.apache.curator.framework.CuratorFrameworkFactory;
import org.apache.curator.retry.RetryNTimes;
import org.apache.curator.x.discovery.ProviderStrategy;
import org.apache.curator.x.discovery.ServiceCache;
import org.apache.curator.x.discovery.ServiceDiscovery;
import org.apache.curator.x.discovery.ServiceDiscoveryBuilder;
import org.apache.curator.x.discovery.ServiceInstance;
import org.apache.curator.x.discovery.ServiceInstanceBuilder;
import org.apache.curator.x.discovery.ServiceProvider;
import org.apache.curator.x.discovery.ServiceType;
import org.apache.curator.x.discovery.UriSpec;
import org.apache.curator.x.discovery.details.JsonInstanceSerializer;
import org.apache.curator.x.discovery.strategies.RandomStrategy;
import org.apache.curator.x.discovery.strategies.RoundRobinStrategy;
import org.apache.curator.x.discovery.strategies.StickyStrategy;
import org.apache.zookeeper.CreateMode;

/**
 * Curator's service discovery, steered line by line. Arguments: server, base path, and whether "enabled" is written ("full") or not ("old").
 *
 * <pre>
 * register NAME ID PORT TYPE PAYLOAD   registered        PAYLOAD: none text int long double bool list map details
 * update NAME ID PORT                  updated           of what this process has registered; it is disabled with port 0
 * unregister NAME ID                   unregistered
 * query NAME                           its instances, sorted: id address port sslPort type enabled uri payload, with commas between them
 * cached NAME                          the same from a ServiceCache, which begins with the first question
 * next NAME                            the id a ServiceProvider chooses, or none
 * names                                the services
 * again JSON                           what is written of what was read
 * </pre>
 *
 * What takes time is answered with how long it took, in nanoseconds.
 *
 * <pre>
 * create-many PATH N                   the client alone: N ephemeral nodes, one after the other
 * register-many NAME N THREADS         N instances, each thread its share of them one after the other
 * provide NAME STRATEGY                until a ServiceProvider knows the instances; STRATEGY: round-robin random sticky
 * choose NAME STRATEGY N               the provider chooses N times
 * </pre>
 */
public class Registrant {
    public static class Details {
        public String protocol = "smtp";
        public int limit = 7;
        public List<String> names = List.of("a", "b");
        public Map<String, Object> more = new LinkedHashMap<>();

        @Override
        public String toString() {
            return "Details(" + protocol + " " + limit + " " + names + " " + more + ")";
        }
    }

    static final Map<String, ServiceInstance<Object>> registered = new HashMap<>();
    static final Map<String, ServiceCache<Object>> caches = new HashMap<>();
    static final Map<String, ServiceProvider<Object>> providers = new HashMap<>();

    public static void main(String[] args) throws Exception {
        JsonInstanceSerializer<Object> serializer = new JsonInstanceSerializer<>(Object.class, !args[2].equals("full"));
        try (CuratorFramework client = CuratorFrameworkFactory.newClient(args[0], 10_000, 10_000, new RetryNTimes(20, 100))) {
            client.start();
            client.blockUntilConnected();
            ServiceDiscovery<Object> discovery =
                    ServiceDiscoveryBuilder.builder(Object.class).client(client).basePath(args[1]).serializer(serializer).build();
            discovery.start();
            System.out.println("ready");
            BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
            for (String line = in.readLine(); line != null; line = in.readLine()) {
                System.out.println(answer(client, discovery, serializer, line));
            }
            discovery.close();
        }
    }

    static String answer(CuratorFramework client, ServiceDiscovery<Object> discovery, JsonInstanceSerializer<Object> serializer, String line) {
        try {
            return obey(client, discovery, serializer, line);
        } catch (Exception e) {
            return "failed: " + e.toString().replace('\n', ' ');
        }
    }

    static String obey(CuratorFramework client, ServiceDiscovery<Object> discovery, JsonInstanceSerializer<Object> serializer, String line)
            throws Exception {
        String[] words = line.split(" ");
        switch (words[0]) {
            case "register": {
                ServiceInstanceBuilder<Object> b = ServiceInstance.builder().name(words[1]).id(words[2]).address("10.0.0.1")
                        .port(Integer.parseInt(words[3])).serviceType(ServiceType.valueOf(words[4])).registrationTimeUTC(1_700_000_000_123L)
                        .uriSpec(new UriSpec("{scheme}://{address}:{port}/{name}"));
                Object payload = payload(words[5]);
                if (payload != null) {
                    b.payload(payload);
                }
                ServiceInstance<Object> i = b.build();
                discovery.registerService(i);
                registered.put(words[1] + "/" + words[2], i);
                return "registered";
            }
            case "update": {
                ServiceInstance<Object> old = registered.get(words[1] + "/" + words[2]);
                int port = Integer.parseInt(words[3]);
                discovery.updateService(ServiceInstance.builder().name(old.getName()).id(old.getId()).address(old.getAddress())
                        .port(port == 0 ? old.getPort() : port).serviceType(old.getServiceType()).enabled(port != 0).build());
                return "updated";
            }
            case "unregister":
                discovery.unregisterService(registered.remove(words[1] + "/" + words[2]));
                return "unregistered";
            case "query":
                return show(new ArrayList<>(discovery.queryForInstances(words[1])));
            case "cached": {
                ServiceCache<Object> cache = caches.get(words[1]);
                if (cache == null) {
                    cache = discovery.serviceCacheBuilder().name(words[1]).build();
                    cache.start();
                    caches.put(words[1], cache);
                }
                return show(new ArrayList<>(cache.getInstances()));
            }
            case "next": {
                ServiceProvider<Object> provider = providers.get(words[1]);
                if (provider == null) {
                    provider = discovery.serviceProviderBuilder().serviceName(words[1]).build();
                    provider.start();
                    providers.put(words[1], provider);
                }
                ServiceInstance<Object> i = provider.getInstance();
                return i == null ? "none" : i.getId();
            }
            case "names":
                return discovery.queryForNames().stream().sorted().collect(Collectors.joining(" "));
            case "again":
                byte[] json = line.substring("again ".length()).getBytes(StandardCharsets.UTF_8);
                return new String(serializer.serialize(serializer.deserialize(json)), StandardCharsets.UTF_8);
            case "create-many": {
                client.createContainers(words[1]);
                long start = System.nanoTime();
                for (int i = 0; i < Integer.parseInt(words[2]); i++) {
                    client.create().withMode(CreateMode.EPHEMERAL).forPath(words[1] + "/" + i, new byte[200]);
                }
                return String.valueOf(System.nanoTime() - start);
            }
            case "register-many":
                return String.valueOf(registerMany(discovery, words[1], Integer.parseInt(words[2]), Integer.parseInt(words[3])));
            case "provide": {
                ServiceProvider<Object> provider =
                        discovery.serviceProviderBuilder().serviceName(words[1]).providerStrategy(strategy(words[2])).build();
                long start = System.nanoTime();
                provider.start();
                long took = System.nanoTime() - start;
                ServiceProvider<Object> before = providers.put(words[1] + " " + words[2], provider);
                if (before != null) {
                    before.close();
                }
                return String.valueOf(took);
            }
            case "choose": {
                ServiceProvider<Object> provider = providers.get(words[1] + " " + words[2]);
                long start = System.nanoTime();
                for (int i = Integer.parseInt(words[3]); i > 0; i--) {
                    if (provider.getInstance() == null) {
                        return "none";
                    }
                }
                return String.valueOf(System.nanoTime() - start);
            }
            default:
                return "what?";
        }
    }

    static long registerMany(ServiceDiscovery<Object> discovery, String name, int n, int threads) throws Exception {
        ThreadPoolExecutor pool = new ThreadPoolExecutor(threads, threads, 0, TimeUnit.SECONDS, new LinkedBlockingQueue<>());
        pool.prestartAllCoreThreads();
        List<Future<?>> all = new ArrayList<>();
        long start = System.nanoTime();
        for (int i = 0; i < n; i++) {
            String id = "java-" + i;
            all.add(pool.submit(() -> {
                discovery.registerService(ServiceInstance.builder().name(name).id(id).address("10.0.0.1").port(80).build());
                return null;
            }));
        }
        for (Future<?> one : all) {
            one.get();
        }
        long took = System.nanoTime() - start;
        pool.shutdown();
        return took;
    }

    static ProviderStrategy<Object> strategy(String name) {
        switch (name) {
            case "random":
                return new RandomStrategy<>();
            case "sticky":
                return new StickyStrategy<>(new RandomStrategy<>());
            default:
                return new RoundRobinStrategy<>();
        }
    }

    static Object payload(String kind) {
        switch (kind) {
            case "text":
                return "a \"text\" <&> é";
            case "int":
                return 5;
            case "long":
                return 5L;
            case "double":
                return 2.5;
            case "bool":
                return true;
            case "list":
                return new ArrayList<>(List.of("a", 1, true));
            case "map": {
                Map<String, Object> m = new LinkedHashMap<>();
                m.put("zone", "eu");
                m.put("n", 5L);
                m.put("list", new ArrayList<>(List.of("x", "y")));
                m.put("inner", new LinkedHashMap<>(Map.of("deep", 1)));
                return m;
            }
            case "details": {
                Details d = new Details();
                d.more.put("n", 5L);
                return d;
            }
            default:
                return null;
        }
    }

    static String show(List<ServiceInstance<Object>> all) {
        return all.stream().map(i -> String.join(" ", i.getId(), i.getAddress(), String.valueOf(i.getPort()), String.valueOf(i.getSslPort()),
                i.getServiceType().toString(), String.valueOf(i.isEnabled()), uri(i),
                i.getPayload() == null ? "null" : i.getPayload().getClass().getSimpleName() + ":" + i.getPayload()))
                .sorted().collect(Collectors.joining(", "));
    }

    static String uri(ServiceInstance<Object> i) {
        return i.getUriSpec() == null ? "null" : i.buildUriSpec();
    }
}
