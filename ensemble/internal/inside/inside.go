// Package inside is the door through which package ensembletest gets at what package ensemble keeps from everybody else: the disk, the
// network and the clock's goroutine of a server in memory, which a test wants to harm.
//
// Package ensemble hangs the door in when the program begins, and nothing changes it afterwards. It cannot name ensemble's types, which
// import it; so each function takes any and says what it expects, and panics if it gets something else.
package inside

import (
	"github.com/bellwether-zk/bellwether/ensemble/internal/memnet"
	"github.com/bellwether-zk/bellwether/ensemble/internal/server"
)

// What there is behind the door.
var (
	// Configure has change see, and change, what a server started with opts, an *ensemble.Options, is told: after everything else has
	// been decided and its ports are open.
	Configure func(opts any, change func(*server.Config))
	// Server is what is within srv, an *ensemble.Server.
	Server func(srv any) *server.Server
	// Network is what is within network, an *ensemble.Network.
	Network func(network any) *memnet.Network
)
