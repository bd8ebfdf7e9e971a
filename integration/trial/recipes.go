package trial

import "github.com/bellwether-zk/bellwether/recipes/leader"

// Recipes are all there are.
func Recipes() []Subject {
	return []Subject{
		{Name: "mutex", Users: 3, New: newMutex, Leaves: []string{"register"}},
		{Name: "rwmutex", Users: 4, New: func() Recipe { return rwMutex{} }, Leaves: []string{"register"}},
		{Name: "semaphore", Users: 4, New: newSemaphore},
		{Name: "multi", Users: 3, New: func() Recipe { return multi{} }, Leaves: []string{"register-*"}},
		{Name: "lease", Users: 3, New: func() Recipe { return tenancy{} }, Leaves: []string{"register", "lease", "lease/lease_*"}},
		{Name: "latch", Users: 3, New: func() Recipe { return &election{leader.LatchLayout} }, Leaves: []string{"register"}},
		{Name: "selector", Users: 3, New: func() Recipe { return &election{leader.SelectorLayout} }, Leaves: []string{"register"}},
		{Name: "barrier", Users: 3, New: func() Recipe { return &gate{} }, Leaves: []string{"gate"}},
		{Name: "double", Users: 4, New: func() Recipe { return &meeting{size: 3, says: 3, rest: stay} }, Leaves: []string{"meeting", "meeting/ready"}}, // which is dealt with by the next who come
		{Name: "counter", Users: 3, New: newTally, Leaves: []string{"count"}},
		{Name: "cache", Users: 3, New: newMirrors, Leaves: []string{"tree", "tree/*"}},
		{Name: "queue", Users: 3, New: newLine, Leaves: []string{"done", "done/*", "queue", "queue-claims"}},
		{Name: "job", Users: 3, New: newSchedule, Leaves: []string{"job", "job/last"}},
		{Name: "partition", Users: 3, New: func() Recipe { return shares{} }, Leaves: []string{"register-*"}},
		{Name: "group", Users: 4, New: newFellowship},
		{Name: "discovery", Users: 4, New: newMarket},
		{Name: "node", Users: 3, New: func() Recipe { return kept{} }},
	}
}
