package discovery_test

import (
	"fmt"
	"log"

	"github.com/bellwether-zk/bellwether/recipes/discovery"
)

// Spring Cloud ZooKeeper's and Dubbo's registries are Curator's, below /services, with payloads of classes of their own.
func ExampleCurator() {
	type application struct {
		ID       string            `json:"id"`
		Name     string            `json:"name"`
		Metadata map[string]string `json:"metadata"`
	}
	spring := discovery.Curator[application]("org.springframework.cloud.zookeeper.discovery.ZookeeperInstance")
	data, err := spring.Encode(&discovery.Instance[application]{
		Name: "mail", ID: "7c0d3c55", Address: "10.0.0.7", Port: 8080, URISpec: "{scheme}://{address}:{port}",
		Payload: application{ID: "mail-1", Name: "mail", Metadata: map[string]string{"instance_status": "UP"}},
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%.150s…\n", data)

	// dubbo-go leaves out what is null, and Java reads that.
	dubbo := discovery.Curator[application]("org.apache.dubbo.registry.zookeeper.ZookeeperInstance")
	i, err := dubbo.Decode([]byte(`{"name":"shop","id":"10.0.0.9:20880","address":"10.0.0.9","port":20880,` +
		`"payload":{"@class":"org.apache.dubbo.registry.zookeeper.ZookeeperInstance","id":"10.0.0.9:20880","name":"shop",` +
		`"metadata":{"@class":"java.util.LinkedHashMap","dubbo.metadata.storage-type":"local"}}}`))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(i.HostPort(), i.Payload.Metadata)
	// Output:
	// {"name":"mail","id":"7c0d3c55","address":"10.0.0.7","port":8080,"sslPort":null,"payload":{"@class":"org.springframework.cloud.zookeeper.discovery.Zook…
	// 10.0.0.9:20880 map[dubbo.metadata.storage-type:local]
}
