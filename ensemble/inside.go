package ensemble

import (
	"github.com/bellwether-zk/bellwether/ensemble/internal/inside"
	"github.com/bellwether-zk/bellwether/ensemble/internal/memnet"
	"github.com/bellwether-zk/bellwether/ensemble/internal/server"
)

// Package ensembletest harms what is unexported here, and looks at it.
func init() {
	inside.Configure = func(opts any, change func(*server.Config)) { opts.(*Options).change = change }
	inside.Server = func(srv any) *server.Server { return srv.(*Server).inner }
	inside.Network = func(network any) *memnet.Network { return &network.(*Network).net }
}
