package admin

import (
	"fmt"
	"os"
	"os/user"
	"runtime"
	"runtime/debug"
	"strings"
)

// unknown is what a variable of Java's is that Go has not.
const unknown = "<NA>"

// environment is envi: the names are Java's, since they are what is parsed; the values are this process's.
func environment(version string) string {
	host, err := os.Hostname()
	if err != nil {
		host = unknown
	}
	name, home := unknown, unknown
	if u, err := user.Current(); err == nil {
		name, home = u.Username, u.HomeDir
	}
	dir, err := os.Getwd()
	if err != nil {
		dir = unknown
	}
	var mem runtime.MemStats
	runtime.ReadMemStats(&mem)
	var b strings.Builder
	b.WriteString("Environment:\n")
	for _, kv := range [][2]string{
		{"zookeeper.version", version},
		{"host.name", host},
		{"java.version", unknown},
		{"java.vendor", "Go " + strings.TrimPrefix(runtime.Version(), "go")},
		{"java.home", unknown},
		{"java.class.path", unknown},
		{"java.library.path", unknown},
		{"java.io.tmpdir", os.TempDir()},
		{"java.compiler", runtime.Compiler},
		{"os.name", runtime.GOOS},
		{"os.arch", runtime.GOARCH},
		{"os.version", unknown},
		{"user.name", name},
		{"user.home", home},
		{"user.dir", dir},
		{"os.memory.free", megabytes(mem.HeapSys - mem.HeapInuse)},
		{"os.memory.max", megabytes(uint64(debug.SetMemoryLimit(-1)))},
		{"os.memory.total", megabytes(mem.Sys)},
	} {
		b.WriteString(kv[0] + "=" + kv[1] + "\n")
	}
	return b.String()
}

func megabytes(n uint64) string { return fmt.Sprintf("%dMB", n>>20) }
