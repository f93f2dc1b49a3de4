package inorder

import "slices"

// Sequence is the versions of one thing as they come, from several sides and not
// always in their order, and perhaps not at all. It is for whoever is told of one
// version after the other. Its owner guards it.
type Sequence[E any] struct {
	told  int64
	ahead []entry[E] // behind a gap, sorted
}

// Reset says that all up to a version is known, by who is told from now on.
func (q *Sequence[E]) Reset(told int64) { q.told, q.ahead = told, nil }

// Told is the version up to which everything has been told.
func (q *Sequence[E]) Told() int64 { return q.told }

// Gap reports whether events wait for others that have not come.
func (q *Sequence[E]) Gap() bool { return len(q.ahead) > 0 }

// Take takes in a version, and returns what is to be told now, in order.
func (q *Sequence[E]) Take(version int64, event E) (tell []E) {
	if version <= q.told {
		return nil
	}
	i, has := slices.BinarySearchFunc(q.ahead, version, func(x entry[E], v int64) int { return int(x.version - v) })
	if !has {
		q.ahead = slices.Insert(q.ahead, i, entry[E]{version, event})
	}
	return q.ready()
}

// Skip says that all up to a version has been told by other means. It returns what
// is to be told besides.
func (q *Sequence[E]) Skip(told int64) (tell []E) {
	q.told = max(q.told, told)
	return q.ready()
}

func (q *Sequence[E]) ready() (tell []E) {
	for len(q.ahead) > 0 && q.ahead[0].version <= q.told+1 {
		if x := q.ahead[0]; x.version > q.told {
			q.told = x.version
			tell = append(tell, x.event)
		}
		q.ahead = q.ahead[1:]
	}
	return tell
}
