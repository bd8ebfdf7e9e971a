import com.sun.net.httpserver.HttpServer;
import java.net.URI;
import javax.ws.rs.Path;
import org.apache.curator.framework.CuratorFramework;
import org.apache.curator.framework.CuratorFrameworkFactory;
import org.apache.curator.retry.RetryNTimes;
import org.apache.curator.x.discovery.ServiceDiscovery;
import org.apache.curator.x.discovery.ServiceDiscoveryBuilder;
import org.apache.curator.x.discovery.server.contexts.GenericDiscoveryContext;
import org.apache.curator.x.discovery.server.entity.JsonServiceInstanceMarshaller;
import org.apache.curator.x.discovery.server.entity.JsonServiceInstancesMarshaller;
import org.apache.curator.x.discovery.server.entity.JsonServiceNamesMarshaller;
import org.apache.curator.x.discovery.server.rest.DiscoveryContext;
import org.apache.curator.x.discovery.server.rest.DiscoveryResource;
import org.apache.curator.x.discovery.strategies.RandomStrategy;
import org.glassfish.jersey.jdkhttp.JdkHttpServerFactory;
import org.glassfish.jersey.server.ResourceConfig;

/**
 * Curator's discovery server, on a free port of the loopback, until standard input ends. Arguments: server, base path. Any line is answered with
 * the port.
 */
public class Listing {
    @Path("/")
    public static class Resource extends DiscoveryResource<Object> {
        public Resource(DiscoveryContext<Object> context) {
            super(context);
        }
    }

    public static void main(String[] args) throws Exception {
        try (CuratorFramework client = CuratorFrameworkFactory.newClient(args[0], 10_000, 10_000, new RetryNTimes(20, 100))) {
            client.start();
            client.blockUntilConnected();
            try (ServiceDiscovery<Object> discovery = ServiceDiscoveryBuilder.builder(Object.class).client(client).basePath(args[1]).build()) {
                discovery.start();
                GenericDiscoveryContext<Object> context =
                        new GenericDiscoveryContext<>(discovery, new RandomStrategy<>(), 1000, Object.class);
                ResourceConfig config = new ResourceConfig()
                        .register(new Resource(context))
                        .register(new JsonServiceInstanceMarshaller<>(context))
                        .register(new JsonServiceInstancesMarshaller<>(context))
                        .register(new JsonServiceNamesMarshaller());
                serve(config);
            }
        }
    }

    static void serve(ResourceConfig config) throws Exception {
        HttpServer server = JdkHttpServerFactory.createHttpServer(new URI("http://127.0.0.1:0/"), config);
        System.out.println("ready");
        while (System.in.read() >= 0) {
            if (System.in.available() == 0) {
                System.out.println(server.getAddress().getPort());
            }
        }
        server.stop(0);
    }
}
