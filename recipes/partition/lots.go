package partition

import "hash/fnv"

// MaxWeight is the greatest weight that counts; a greater one counts as this.
const MaxWeight = 1000

// Choose tells whose a part is among members with weights: everybody who knows them finds the same one, and who leaves or comes changes only
// what that one had or gets. There is none, "", if nobody has a weight above 0.
//
// Each member draws as many lots for the part as its weight says, and the greatest lot of all wins; so chances are as the weights, with
// nothing but whole numbers. The lots of a member are numbered from 0; lot i is mix(fnv(part) ^ mix(fnv(member) + i·0x9e3779b97f4a7c15)), where fnv is
// FNV-1a and mix the end of SplitMix64, all of 64 bits. Of equal lots that of the smaller id wins.
func Choose(part string, weights map[string]int) string {
	p := hash(part)
	owner, best := "", uint64(0)
	for id, weight := range weights {
		m := hash(id)
		for i := range uint64(max(0, min(weight, MaxWeight))) {
			lot := mix(p ^ mix(m+i*golden))
			if owner == "" || lot > best || lot == best && id < owner {
				owner, best = id, lot
			}
		}
	}
	return owner
}

const golden = 0x9e3779b97f4a7c15

func hash(s string) uint64 {
	h := fnv.New64a()
	h.Write([]byte(s))
	return h.Sum64()
}

func mix(x uint64) uint64 {
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
