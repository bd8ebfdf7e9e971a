package sim_test

import (
	"flag"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bellwether-zk/bellwether/ensemble/sim"
)

var hunt = flag.Bool("sim.seams", false, "plant each of sim.Bugs and run seeds until it is found; print the table")

// firstSeeds are seeds that find some of sim.Bugs.
var firstSeeds = map[sim.Bug]uint64{sim.WatchAfterReply: 1, sim.ReadsOvertake: 1, sim.SyncAtOnce: 1, sim.CommitOnReceipt: 1}

// TestSeams plants what a shell, a disk or another server may do wrong, where the simulator stands in for it. What is wrong inside
// the machines is planted by TestPlantedBugs.
func TestSeams(t *testing.T) {
	if !*hunt {
		for bug := range firstSeeds {
			seed, check := find(bug, 3)
			require.NotZero(t, seed, "%v", bug)
			t.Logf("%v: seed %d, %s", bug, seed, check)
		}
		return
	}
	most := uint64(500)
	if *seeds > 0 {
		most = uint64(*seeds)
	}
	for _, bug := range sim.Bugs() {
		t.Run(bug.String(), func(t *testing.T) {
			t.Parallel()
			seed, check := find(bug, most)
			fmt.Printf("%-24v %5d  %s\n", bug, seed, check)
			require.NotZero(t, seed, "in %d seeds", most)
		})
	}
}

// find runs seeds from 1 until one fails with the bug.
func find(bug sim.Bug, most uint64) (seed uint64, check string) {
	for seed = 1; seed <= most; seed++ {
		if check = violation(seed, bug); check != "" {
			return seed, check
		}
	}
	return 0, ""
}

func violation(seed uint64, bug sim.Bug) (check string) {
	defer func() {
		if p := recover(); p != nil {
			check = fmt.Sprint("panic: ", p)
		}
	}()
	o := sim.Draw(seed)
	o.Bug = bug
	if rep := sim.Run(o, nil); len(rep.Violations) > 0 {
		return rep.Violations[0].String()
	}
	return ""
}
