package partition

// MaxWeight is the greatest weight that counts; a greater one counts as this.
const MaxWeight = 1000

// Choose tells whose a part is among members with weights: everybody who knows them finds the same one, and who leaves or comes changes only
// what that one had or gets. There is none, "", if nobody has a weight above 0.
//
// Each member draws as many lots for the part as its weight says, and the greatest lot of all wins; so chances are as the weights, with
// nothing but whole numbers. The lots of a member are numbered from 0; lot i is mix(fnv(part) ^ mix(fnv(member) + i·0x9e3779b97f4a7c15)), where fnv is
// FNV-1a and mix the end of SplitMix64, all of 64 bits. Of equal lots that of the smaller id wins.
func Choose(part string, weights map[string]int) string { return drawers(weights).choose(part) }

// drawer is a member who draws lots.
type drawer struct {
	id   string
	hash uint64
	lots int
}

// lottery is who takes part, in no order.
type lottery []drawer

func drawers(weights map[string]int) lottery {
	all := make(lottery, 0, len(weights))
	for id, weight := range weights {
		all = append(all, drawer{id, hash(id), max(0, min(weight, MaxWeight))})
	}
	return all
}

func (l lottery) choose(part string) string {
	p := hash(part)
	owner, best := "", uint64(0)
	for i := range l {
		d := &l[i]
		for n := range uint64(d.lots) {
			lot := mix(p ^ mix(d.hash+n*golden))
			if owner == "" || lot > best || lot == best && d.id < owner {
				owner, best = d.id, lot
			}
		}
	}
	return owner
}

const golden = 0x9e3779b97f4a7c15

// hash is FNV-1a.
func hash(s string) uint64 {
	h := uint64(0xcbf29ce484222325)
	for i := range len(s) {
		h = (h ^ uint64(s[i])) * 0x100000001b3
	}
	return h
}

// mix is the end of SplitMix64.
func mix(x uint64) uint64 {
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
