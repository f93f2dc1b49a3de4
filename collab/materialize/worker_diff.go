package materialize

// maxDifferences is how many insertions and deletions are looked for between
// two sequences. If there are more, what lies between their common beginning
// and their common end is replaced.
const maxDifferences = 4000

// A hunk says that a[aFrom:aTo] became b[bFrom:bTo].
type hunk struct{ aFrom, aTo, bFrom, bTo int }

// compare returns what makes b of a, in order: as little as there can be, by
// the greedy algorithm of Myers ("An O(ND) Difference Algorithm and Its
// Variations", 1986), unless there are more than maxDifferences.
func compare[T comparable](a, b []T) []hunk {
	head := 0
	for head < len(a) && head < len(b) && a[head] == b[head] {
		head++
	}
	a, b = a[head:], b[head:]
	for len(a) > 0 && len(b) > 0 && a[len(a)-1] == b[len(b)-1] {
		a, b = a[:len(a)-1], b[:len(b)-1]
	}
	if len(a) == 0 && len(b) == 0 {
		return nil
	}
	hunks := []hunk{{0, len(a), 0, len(b)}}
	if len(a) > 0 && len(b) > 0 {
		if rows := explore(a, b); rows != nil {
			hunks = walkBack(rows, len(a), len(b))
		}
	}
	for i := range hunks {
		h := &hunks[i]
		*h = hunk{h.aFrom + head, h.aTo + head, h.bFrom + head, h.bTo + head}
	}
	return hunks
}

// explore goes forward with 0, 1, 2 … differences until it has reached both
// ends. Row d says how far in a one comes with d differences, on the diagonals
// -d, -d+2 … d. It returns nil if it takes too many.
func explore[T comparable](a, b []T) (rows [][]int32) {
	if len(a)-len(b) > maxDifferences || len(b)-len(a) > maxDifferences {
		return nil
	}
	var last []int32
	for d := 0; d <= maxDifferences; d++ {
		row := make([]int32, d+1)
		for j := range row {
			k := 2*j - d
			x := 0
			if d > 0 {
				x, _ = step(last, j)
			}
			y := x - k
			for x < len(a) && y < len(b) && a[x] == b[y] {
				x, y = x+1, y+1
			}
			row[j] = int32(x)
			if x >= len(a) && y >= len(b) {
				return append(rows, row)
			}
		}
		rows, last = append(rows, row), row
	}
	return nil
}

// step returns where the j-th diagonal of a row begins, given the row before,
// and whether one comes there by an insertion.
func step(last []int32, j int) (x int, insert bool) {
	if j == 0 || j < len(last) && last[j-1] < last[j] {
		return int(last[j]), true
	}
	return int(last[j-1]) + 1, false
}

// walkBack finds the way that explore has found, from its end.
func walkBack(rows [][]int32, x, y int) []hunk {
	var found []hunk // from the last to the first
	for d := len(rows) - 1; d > 0; d-- {
		j := (x - y + d) / 2
		beginX, insert := step(rows[d-1], j)
		beginY := beginX - (2*j - d)
		h := hunk{beginX, beginX, beginY, beginY}
		if insert {
			h.bFrom--
		} else {
			h.aFrom--
		}
		if n := len(found); n > 0 && found[n-1].aFrom == h.aTo && found[n-1].bFrom == h.bTo {
			found[n-1].aFrom, found[n-1].bFrom = h.aFrom, h.bFrom
		} else {
			found = append(found, h)
		}
		x, y = h.aFrom, h.bFrom
	}
	for i, j := 0, len(found)-1; i < j; i, j = i+1, j-1 {
		found[i], found[j] = found[j], found[i]
	}
	return found
}
