package change

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"unicode/utf8"
)

// Bounds of what Check accepts.
const (
	// MaxCounter is the greatest counter of an operation. Stock clients keep
	// counters in 32 bits and compute with the one after the last.
	MaxCounter = math.MaxInt32
	// MaxOps is the greatest number of operations of one change, and of
	// predecessors that they name. Equal operations take no room: a hundred
	// bytes may hold billions, each of which takes a stock client some
	// hundred bytes of memory, and a deletion of a million characters 20 s.
	MaxOps = 1 << 21
	// MaxActors is the greatest number of other actors that one change names.
	MaxActors = math.MaxUint16
	// MaxActor is the length in bytes of the longest actor id. Stock ones
	// have 16.
	MaxActor = 256
	// MaxTime bounds the time of a change, in seconds before and after 1970:
	// integers that a JavaScript number holds.
	MaxTime = 1<<53 - 1
)

// Columns of a change, by their specification: id, type and compression.
const (
	colObjActor  = 0<<4 | 1
	colObjCtr    = 0<<4 | 2
	colKeyActor  = 1<<4 | 1
	colKeyCtr    = 1<<4 | 3
	colKeyStr    = 1<<4 | 5
	colInsert    = 3<<4 | 4
	colAction    = 4<<4 | 2
	colValueMeta = 5<<4 | 6
	colValue     = 5<<4 | 7
	colPredNum   = 7 << 4
	colPredActor = 7<<4 | 1
	colPredCtr   = 7<<4 | 3
	colExpand    = 9<<4 | 4
	colMarkName  = 10<<4 | 5

	colDeflate = 8 // the bit that marks a column as compressed
)

// Actions.
const (
	makeMap   = 0
	set       = 1
	makeList  = 2
	del       = 3
	makeText  = 4
	increment = 5
	makeTable = 6
	mark      = 7
)

// Types of values, the low four bits of a value's metadata.
const (
	valueNull      = 0
	valueFalse     = 1
	valueTrue      = 2
	valueUint      = 3
	valueInt       = 4
	valueFloat     = 5
	valueString    = 6
	valueBytes     = 7
	valueCounter   = 8
	valueTimestamp = 9
)

// Check says why stock clients would choke on a change, at once or when they
// save the document and load it again. It does every check that needs no other
// change: that the change is encoded as the reference encodes what it says,
// and that its operations make sense by themselves and with each other.
//
// What it cannot check, for want of those other changes, makes stock clients
// choke as well: that the objects, elements and predecessors that they made
// exist and belong together (for who has them, [Ops] and [Finder] read what to
// compare); that a mark's end stands after its beginning; that the sequence
// number is the actor's next; and that StartOp is greater than the counters of
// all dependencies' operations, by exactly one if the change is empty, and not
// by so much that what lies between takes all memory.
//
// It allocates nothing for a change of up to 64 operations, and at most
// 28 bytes per operation.
func Check(c *Change) error {
	if c.Seq == 0 || c.Seq > math.MaxUint32 {
		return errors.New("sequence number is out of range")
	}
	if c.StartOp > MaxCounter {
		return fmt.Errorf("first operation: %w", errCounter)
	}
	if c.Time > MaxTime || c.Time < -MaxTime {
		return errors.New("time is out of range")
	}
	if len(c.Actor) == 0 || len(c.Actor) > MaxActor {
		return errActorSize
	}
	for i := 1; i < c.NumDeps(); i++ {
		a, b := c.Dep(i-1), c.Dep(i)
		if bytes.Compare(a[:], b[:]) >= 0 {
			return errors.New("dependencies are not sorted")
		}
	}
	if !utf8.Valid(c.Message()) {
		return fmt.Errorf("message: %w", errUTF8)
	}
	n, err := c.Ops()
	if err != nil {
		return err
	}
	if n > MaxOps {
		return errManyOps
	}
	if c.StartOp+n-1 > MaxCounter {
		return fmt.Errorf("last operation: %w", errCounter)
	}
	var k checker
	if err := k.open(c); err != nil {
		return err
	}
	// These two stay on the stack as long as nothing of k points to them.
	var used [4]uint64
	var rows [64]row
	w := walk{start: c.StartOp, used: used[:], rows: rows[:]}
	if err := w.openActors(c); err != nil {
		return err
	}
	if n > uint64(len(rows)) {
		w.rows = make([]row, n)
	}
	for i := range n {
		if err := k.row(&w, i); err != nil {
			return fmt.Errorf("operation %d: %w", i, err)
		}
	}
	if n > 0 {
		if last := &w.rows[n-1]; last.action == mark && last.name {
			return errMarkPair
		}
	}
	if err := k.close(); err != nil {
		return err
	}
	return w.close()
}

var (
	errActorSize  = errors.New("actor has a bad length")
	errManyOps    = errors.New("too many operations")
	errColumns    = errors.New("columns are not sorted")
	errCompressed = errors.New("column is compressed")
	errColumn     = errors.New("unknown column")
	errEmpty      = errors.New("column is empty")
)

// Ops returns the number of operations. It is cheap: it adds up the lengths of
// runs. What it counts in a change that [Check] has refused means nothing.
func (c *Change) Ops() (uint64, error) {
	src, err := c.column(colAction)
	if err != nil {
		return 0, err
	}
	var sum uint64
	for len(src) > 0 {
		var n int64
		if n, src, err = ParseLeb(src); err != nil {
			return 0, fmt.Errorf("action: %w", err)
		}
		values := int64(1)
		switch {
		case n < 0:
			if n < -int64(len(src)) {
				return 0, fmt.Errorf("action: %w", errColumnEnd)
			}
			n = -n
			values = n
		case n == 0:
			return 0, fmt.Errorf("action: %w", errNull)
		}
		if sum += uint64(n); sum > MaxCounter {
			return 0, errManyOps
		}
		for ; values > 0; values-- {
			if _, src, err = ParseUleb(src); err != nil {
				return 0, fmt.Errorf("action: %w", err)
			}
		}
	}
	return sum, nil
}

// column returns the data of one column, nothing if it is absent.
func (c *Change) column(spec uint64) ([]byte, error) {
	meta, data := c.bytes(c.meta), c.bytes(c.columns)
	for len(meta) > 0 {
		s, rest, err := ParseUleb(meta)
		if err != nil {
			return nil, err
		}
		n, rest, err := ParseUleb(rest)
		if err != nil {
			return nil, err
		}
		if n > uint64(len(data)) {
			return nil, errColumnEnd
		}
		if s == spec {
			return data[:n:n], nil
		}
		meta, data = rest, data[n:]
	}
	return nil, nil
}

// A walk is what is known of a change while its operations are gone through.
type walk struct {
	start  uint64   // counter of the first operation
	next   uint64   // counter of the next one; only Ops and Finder use it
	actors uint64   // 1 + number of other actors
	less   uint64   // how many other actors sort before the author
	preds  uint64   // predecessors so far
	used   []uint64 // set of the actors named so far
	rows   []row    // operations up to the current one
}

// A checker reads the columns of a change, row by row.
type checker struct {
	places
	values             []byte
	predNum, predActor uints
	predCtr            deltas
	expand             bools
	hasExpand          bool
	expanded           bool // whether any row of the expand column is true
	markName           texts
}

// places are the columns that say where operations work and what they do: what
// a reference to an operation is compared with.
type places struct {
	objActor, objCtr uints
	keyActor         uints
	keyCtr           deltas
	keyStr           texts
	insert           bools
	action           uints
	meta             uints // of values
}

// A row is what later operations of the same change may refer to.
type row struct {
	obj    id
	key    key
	action uint8
	insert bool
	name   bool // of a mark: whether it is a beginning
	count  bool // sets a counter
}

// An id names an operation. Counter 0 stands for the root object and for the
// head of a sequence.
type id struct {
	ctr   uint32
	actor uint16
}

// A key is a map's key, where at and size say where it stands in the column of
// keys, or a sequence's element, with size inElem.
type key struct {
	id   // of an element
	at   uint32
	size uint32
}

const inElem = math.MaxUint32

func (w *walk) openActors(c *Change) error {
	r := c.bytes(c.others)
	var last []byte
	w.actors = 1
	for len(r) > 0 {
		n, rest, err := ParseUleb(r)
		if err != nil {
			return err
		}
		if n == 0 || n > MaxActor || n > uint64(len(rest)) {
			return errActorSize
		}
		actor := rest[:n]
		if last != nil && bytes.Compare(last, actor) >= 0 {
			return errors.New("other actors are not sorted")
		}
		switch bytes.Compare(actor, c.Actor) {
		case 0:
			return errors.New("other actors include the author")
		case -1:
			w.less++
		}
		if w.actors++; w.actors > MaxActors {
			return errors.New("too many other actors")
		}
		last, r = actor, rest[n:]
	}
	if n := int(w.actors+63) / 64; n > len(w.used) {
		w.used = make([]uint64, n)
	}
	w.used[0] = 1 // the author
	return nil
}

func (k *checker) open(c *Change) error {
	meta, data := c.bytes(c.meta), c.bytes(c.columns)
	last := int64(-1)
	for len(meta) > 0 {
		spec, rest, err := ParseUleb(meta)
		if err != nil {
			return err
		}
		n, rest, err := ParseUleb(rest)
		if err != nil {
			return err
		}
		if n > uint64(len(data)) {
			return errColumnEnd
		}
		col := data[:n:n]
		meta, data = rest, data[n:]
		switch {
		case spec > math.MaxUint32:
			return errColumn
		case spec&colDeflate != 0:
			return errCompressed
		case int64(spec) <= last:
			return errColumns
		case n == 0:
			return errEmpty
		}
		last = int64(spec)
		switch spec {
		case colObjActor:
			k.objActor = newUints(col)
		case colObjCtr:
			k.objCtr = newUints(col)
		case colKeyActor:
			k.keyActor = newUints(col)
		case colKeyCtr:
			k.keyCtr = newDeltas(col)
		case colKeyStr:
			k.keyStr = newTexts(col)
		case colInsert:
			k.insert = bools{src: col}
		case colAction:
			k.action = newUints(col)
		case colValueMeta:
			k.meta = newUints(col)
		case colValue:
			k.values = col
		case colPredNum:
			k.predNum = newUints(col)
		case colPredActor:
			k.predActor = newUints(col)
		case colPredCtr:
			k.predCtr = newDeltas(col)
		case colExpand:
			k.expand, k.hasExpand = bools{src: col}, true
		case colMarkName:
			k.markName = newTexts(col)
		default:
			return errColumn
		}
	}
	return nil
}

// close looks at what is left over after the last row.
func (k *checker) close() error {
	for _, col := range [...]struct {
		name string
		err  error
	}{
		{"object actor", k.objActor.close()},
		{"object counter", k.objCtr.close()},
		{"key actor", k.keyActor.close()},
		{"key counter", k.keyCtr.close()},
		{"key", k.keyStr.close()},
		{"insert", k.insert.close()},
		{"action", k.action.close()},
		{"value metadata", k.meta.close()},
		{"predecessor count", k.predNum.close()},
		{"predecessor actor", k.predActor.close()},
		{"predecessor counter", k.predCtr.close()},
		{"expand", k.expand.close()},
		{"mark name", k.markName.close()},
	} {
		if col.err != nil {
			return fmt.Errorf("%s: %w", col.name, col.err)
		}
	}
	if len(k.values) > 0 {
		return errors.New("value: bytes after the last value")
	}
	if k.hasExpand && !k.expanded {
		return fmt.Errorf("expand: %w", errRun)
	}
	return nil
}

// close looks for actors that no operation has named.
func (w *walk) close() error {
	for i := range w.actors {
		if w.used[i/64]&(1<<(i%64)) == 0 {
			return errors.New("other actor is not used")
		}
	}
	return nil
}
