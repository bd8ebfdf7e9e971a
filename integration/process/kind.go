//go:build unix

package process

import (
	"os"
	"strings"
	"testing"
)

// A Kind of server: how a process of it is started from a zoo.cfg.
type Kind struct {
	Name string
	// Variable is the environment variable that says where the server is.
	Variable string

	command func(value string, flags []string) []string
}

// The kinds of servers there are.
var (
	Apache39   = Kind{"Apache 3.9", "APACHE39_CP", apacheCommand}
	Apache38   = Kind{"Apache 3.8.0 (Debian)", "APACHE38_CP", apacheCommand}
	ApacheOld  = Kind{"Apache 3.5 to 3.8", "APACHE_OLD_CP", apacheCommand} // one of them at a time, see .ci/peers.sh
	Bellwether = Kind{"Bellwether", "BELLWETHER", bellwetherCommand}
)

// Is reports whether k and other are one kind.
func (k Kind) Is(other Kind) bool { return k.Variable == other.Variable }

// Known reports whether the environment says where a server of the kind is.
func (k Kind) Known() bool { return os.Getenv(k.Variable) != "" }

// CommandLine is what starts a server of the kind, without the zoo.cfg. flags are a JVM's; a server that has none gets the system
// properties among them.
func (k Kind) CommandLine(t testing.TB, flags ...string) []string {
	t.Helper()
	return k.command(MustEnv(t, k.Variable), flags)
}

// MustEnv is the value of a variable that .ci/run or .ci/peers.sh sets.
func MustEnv(t testing.TB, name string) string {
	t.Helper()
	value := os.Getenv(name)
	if value == "" {
		t.Fatalf("the environment variable %s says where a peer is: source .ci/peers.sh, and see the doc of package integration", name)
	}
	return value
}

func apacheCommand(classPath string, flags []string) []string {
	command := []string{"java", "-Xmx512m", "-XX:+UseSerialGC", "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
		"-Dorg.slf4j.simpleLogger.showDateTime=true", "-Dorg.slf4j.simpleLogger.dateTimeFormat=HH:mm:ss.SSS", "-Dzookeeper.jmx.log4j.disable=true"}
	return append(append(command, flags...), "-cp", classPath, "org.apache.zookeeper.server.quorum.QuorumPeerMain")
}

func bellwetherCommand(binary string, flags []string) []string {
	command := []string{binary, "server"}
	for _, f := range flags {
		if strings.HasPrefix(f, "-D") {
			command = append(command, f)
		}
	}
	return command
}
