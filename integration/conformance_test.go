//go:build interop

package integration

import (
	"testing"
	"time"

	"github.com/bellwether-zk/bellwether/ensemble/ensembletest/conformance"
	"github.com/bellwether-zk/bellwether/integration/process"
)

// What ensembletest/conformance asks of a server is what Apache's do, alone and as ensembles: so it asks for nothing that programs could not
// rely on before. Whatever Apache's newest offers, ours has to. Ensembles of Apache's, and its older release, are asked with INTEROP_FULL.
func TestConformance(t *testing.T) {
	kinds := []process.Kind{process.Apache39}
	if full() {
		kinds = append(kinds, process.Apache38)
	}
	if process.Bellwether.Known() {
		kinds = append(kinds, process.Bellwether)
	}
	words, flags := "4lw.commands.whitelist=*", []string{fast, "-Dznode.container.checkIntervalMs=1000"}
	o := func(k process.Kind) *conformance.Options {
		return &conformance.Options{All: !k.Is(process.Apache38), Removal: time.Minute}
	}
	for _, k := range kinds {
		t.Run(k.Name, func(t *testing.T) {
			t.Run("one", func(t *testing.T) {
				s := startPeerWith(t, k, flags, words)
				conformance.Run(t, s.Addr, o(k))
			})
			if !full() && !k.Is(process.Bellwether) {
				return
			}
			t.Run("three", func(t *testing.T) {
				e := process.StartEnsemble(t, process.Options{Kinds: []process.Kind{k}, Size: 3, Lines: []string{words, "extendedTypesEnabled=true"}, Flags: flags})
				conformance.Run(t, e.Addrs(), o(k))
			})
		})
	}
}
