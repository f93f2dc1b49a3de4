package change

import (
	"bytes"
	"errors"
	"unicode/utf8"
)

// Errors of the column readers. Stock clients keep no change as it came: they
// take its operations into their own columns and encode it anew to send or to
// save it. A column that is not encoded just as they would do it changes the
// hash, and the saved document loads no more.
var (
	errFewRows   = errors.New("column has too few rows")
	errManyRows  = errors.New("column has too many rows")
	errRun       = errors.New("column is not run-length encoded as it should be")
	errNull      = errors.New("column has a null where none may be")
	errUTF8      = errors.New("text is not valid utf-8")
	errCounter   = errors.New("counter is out of range")
	errColumnEnd = errors.New("column is cut off")
)

// runs reads the run-length encoding that all columns but booleans and raw
// values share: a positive length and one value that repeats, a negative
// length and that many different values, or 0 and a number of nulls.
type runs struct {
	src  []byte // what is left
	left uint64 // rows left in the current run
	kind runKind
}

type runKind byte

const (
	noRun runKind = iota
	nullRun
	valueRun
	literalRun
)

// step goes on to the next row. read says that a value stands next in src;
// otherwise the row is as the one before. fresh says that a value that is read
// must differ from the last one, or the two would be in one run.
func (r *runs) step() (read, fresh bool, err error) {
	if r.left > 0 {
		r.left--
		return r.kind == literalRun, r.kind == literalRun, nil
	}
	if len(r.src) == 0 {
		return false, false, errFewRows
	}
	last := r.kind
	n, rest, err := ParseLeb(r.src)
	if err != nil {
		return false, false, err
	}
	switch {
	case n > 1:
		r.kind, r.left = valueRun, uint64(n)
	case n < 0:
		if last == literalRun {
			return false, false, errRun
		}
		r.kind, r.left = literalRun, -uint64(n)
	case n == 0:
		if last == nullRun {
			return false, false, errRun
		}
		if r.left, rest, err = ParseUleb(rest); err != nil {
			return false, false, err
		}
		// A column of nothing but nulls is left out.
		if r.left == 0 || last == noRun && len(rest) == 0 {
			return false, false, errRun
		}
		r.kind = nullRun
	default:
		return false, false, errRun
	}
	r.src = rest
	r.left--
	return r.kind != nullRun, last == valueRun || last == literalRun, nil
}

// repeat goes on by up to n rows that are as the current one, and returns by how
// many.
func (r *runs) repeat(n uint64) uint64 {
	if r.kind == literalRun {
		return 0
	}
	n = min(n, r.left)
	r.left -= n
	return n
}

// close says whether the column ended with the last row.
func (r *runs) close() error {
	if r.left > 0 || len(r.src) > 0 {
		return errManyRows
	}
	return nil
}

// uints reads a column of unsigned numbers. An absent column, the zero value, is all null.
type uints struct {
	runs
	present bool
	value   uint64
}

func newUints(src []byte) uints {
	return uints{runs: runs{src: src}, present: true}
}

// next returns the next row's value and whether there is one.
func (c *uints) next() (uint64, bool, error) {
	if !c.present {
		return 0, false, nil
	}
	read, fresh, err := c.step()
	if err != nil {
		return 0, false, err
	}
	if read {
		x, rest, err := ParseUleb(c.src)
		if err != nil {
			return 0, false, err
		}
		if fresh && x == c.value {
			return 0, false, errRun
		}
		c.value, c.src = x, rest
	}
	return c.value, c.kind != nullRun, nil
}

// skip goes on by n rows. It costs what it reads, not what it skips.
func (c *uints) skip(n uint64) error {
	for c.present && n > 0 {
		if n -= c.repeat(n); n == 0 {
			break
		}
		if _, _, err := c.next(); err != nil {
			return err
		}
		n--
	}
	return nil
}

// need returns the next row's value in a column without nulls.
func (c *uints) need() (uint64, error) {
	x, ok, err := c.next()
	if err == nil && !ok {
		err = errNull
		if !c.present {
			err = errFewRows
		}
	}
	return x, err
}

// deltas reads a column of counters, encoded as differences.
type deltas struct {
	runs
	present bool
	delta   int64
	value   int64
}

func newDeltas(src []byte) deltas {
	return deltas{runs: runs{src: src}, present: true}
}

// next returns the next row's counter and whether there is one.
func (c *deltas) next() (uint64, bool, error) {
	if !c.present {
		return 0, false, nil
	}
	read, fresh, err := c.step()
	if err != nil {
		return 0, false, err
	}
	if read {
		x, rest, err := ParseLeb(c.src)
		if err != nil {
			return 0, false, err
		}
		if fresh && x == c.delta {
			return 0, false, errRun
		}
		if x > MaxCounter || x < -MaxCounter {
			return 0, false, errCounter
		}
		c.delta, c.src = x, rest
	}
	if c.kind == nullRun {
		return 0, false, nil
	}
	c.value += c.delta
	if c.value < 0 || c.value > MaxCounter {
		return 0, false, errCounter
	}
	return uint64(c.value), true, nil
}

// skip is as that of uints.
func (c *deltas) skip(n uint64) error {
	for c.present && n > 0 {
		same := c.repeat(n)
		if c.kind == valueRun && same > 0 {
			if same > MaxCounter {
				return errCounter
			}
			c.value += c.delta * int64(same)
			if c.value < 0 || c.value > MaxCounter {
				return errCounter
			}
		}
		if n -= same; n == 0 {
			break
		}
		if _, _, err := c.next(); err != nil {
			return err
		}
		n--
	}
	return nil
}

// texts reads a column of strings.
type texts struct {
	runs
	col     []byte
	present bool
	value   []byte
	at      uint32 // where value stands in col
}

func newTexts(src []byte) texts {
	return texts{runs: runs{src: src}, col: src, present: true}
}

// bytes returns a string that was read before.
func (c *texts) bytes(k key) []byte { return c.col[k.at:][:k.size] }

// next returns the next row's string and whether there is one.
func (c *texts) next() ([]byte, bool, error) {
	if !c.present {
		return nil, false, nil
	}
	read, fresh, err := c.step()
	if err != nil {
		return nil, false, err
	}
	if read {
		n, rest, err := ParseUleb(c.src)
		if err != nil {
			return nil, false, err
		}
		if n > uint64(len(rest)) {
			return nil, false, errColumnEnd
		}
		s := rest[:n]
		if fresh && bytes.Equal(s, c.value) {
			return nil, false, errRun
		}
		if !utf8.Valid(s) {
			return nil, false, errUTF8
		}
		c.value, c.src = s, rest[n:]
		c.at = uint32(len(c.col) - len(rest))
	}
	return c.value, c.kind != nullRun, nil
}

// skip is as that of uints.
func (c *texts) skip(n uint64) error {
	for c.present && n > 0 {
		if n -= c.repeat(n); n == 0 {
			break
		}
		if _, _, err := c.next(); err != nil {
			return err
		}
		n--
	}
	return nil
}

// bools reads a column of booleans: how many are false, then true, then false,
// and so on.
type bools struct {
	src     []byte
	left    uint64
	value   bool
	started bool
}

func (c *bools) next() (bool, error) {
	if c.left == 0 {
		if len(c.src) == 0 {
			return false, errFewRows
		}
		n, rest, err := ParseUleb(c.src)
		if err != nil {
			return false, err
		}
		if c.started {
			c.value = !c.value
		}
		if n == 0 && !c.started {
			// The first row is true.
			c.value = true
			if n, rest, err = ParseUleb(rest); err != nil {
				return false, err
			}
		}
		if n == 0 {
			return false, errRun
		}
		c.started, c.left, c.src = true, n, rest
	}
	c.left--
	return c.value, nil
}

// skip is as that of uints.
func (c *bools) skip(n uint64) error {
	for n > 0 {
		if c.left == 0 {
			if _, err := c.next(); err != nil {
				return err
			}
			n--
			continue
		}
		same := min(n, c.left)
		c.left -= same
		n -= same
	}
	return nil
}

func (c *bools) close() error {
	if c.left > 0 || len(c.src) > 0 {
		return errManyRows
	}
	return nil
}
