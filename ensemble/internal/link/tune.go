package link

import (
	"net"
	"time"
)

// tune makes a TCP connection send at once, and notice within about patience that the other machine is gone without a word, be it
// silent or sent to. Connections of other kinds are left as they are.
func tune(nc net.Conn, patience time.Duration) {
	if wrapped, ok := nc.(interface{ NetConn() net.Conn }); ok { // *tls.Conn
		nc = wrapped.NetConn()
	}
	tcp, ok := nc.(*net.TCPConn)
	if !ok {
		return
	}
	_ = tcp.SetNoDelay(true)
	_ = tcp.SetKeepAliveConfig(net.KeepAliveConfig{Enable: true, Idle: patience / 2, Interval: max(patience/10, time.Second), Count: 5})
	setUserTimeout(tcp, patience)
}
