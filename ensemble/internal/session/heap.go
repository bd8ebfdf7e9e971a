package session

// The buckets in order of their deadlines: a binary heap in Tracker.queue, written out because container/heap would box.

func (t *Tracker) pushBucket(b *bucket) {
	q := append(t.queue, b)
	for i := len(q) - 1; i > 0; {
		up := (i - 1) / 2
		if q[up].deadline <= q[i].deadline {
			break
		}
		q[up], q[i] = q[i], q[up]
		i = up
	}
	t.queue = q
}

// popBucket takes the first bucket away; it must be empty.
func (t *Tracker) popBucket() {
	q := t.queue
	delete(t.buckets, q[0].deadline)
	n := len(q) - 1
	q[0], q[n] = q[n], nil
	q = q[:n]
	for i := 0; ; {
		down := 2*i + 1
		if down >= n {
			break
		}
		if down+1 < n && q[down+1].deadline < q[down].deadline {
			down++
		}
		if q[i].deadline <= q[down].deadline {
			break
		}
		q[i], q[down] = q[down], q[i]
		i = down
	}
	t.queue = q
}
