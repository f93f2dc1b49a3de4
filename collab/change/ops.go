package change

// An OpID names an operation by its counter and the index of its actor: 0 is
// the author of the change that names it, the others are those of
// [Change.Others]. The zero OpID is the root object, and the head of a sequence.
type OpID struct {
	Ctr   uint32
	Actor uint16
}

// An Op is one operation of a change.
type Op struct {
	Ctr uint64 // its own
	Obj OpID
	// InSeq says that the key is Elem, an element of a sequence, not Key, that
	// of a map. Key aliases the chunk.
	InSeq  bool
	Elem   OpID
	Key    []byte
	Insert bool
	Action Action
	// Counter says that it sets a counter.
	Counter bool
	// Preds is what it replaces. It is valid until the next operation is read;
	// a [Finder] leaves it out.
	Preds []OpID
}

// An Action says what an operation does.
type Action uint8

// IsMap and IsSeq say what kind of object the action makes, if any.
func (a Action) IsMap() bool { return a == makeMap || a == makeTable }
func (a Action) IsSeq() bool { return a == makeList || a == makeText }

// IsText says whether the object is a text, the only one that has marks.
func (a Action) IsText() bool { return a == makeText }

// IsMark says that the action begins or ends a mark, IsIncrement that it
// increments a counter.
func (a Action) IsMark() bool      { return a == mark }
func (a Action) IsIncrement() bool { return a == increment }

// HasValue says that the action makes a value that others may replace.
func (a Action) HasValue() bool { return a != del && a != increment && a != mark }

// Ops reads the operations of a change, one after the other. The zero value is
// to be opened; opening it again reuses its memory.
type Ops struct {
	Op Op

	k     checker
	w     walk
	left  uint64
	preds []OpID
	err   error
}

// Open begins with a change that [Check] has accepted.
func (o *Ops) Open(c *Change) error {
	n, w, err := c.walk()
	if err != nil {
		return err
	}
	*o = Ops{w: w, left: n, preds: o.preds[:0]}
	return o.k.open(c)
}

// Next reads the next operation into Op, and says whether there was one.
func (o *Ops) Next() bool {
	if o.left == 0 || o.err != nil {
		return false
	}
	own := uint64(o.w.next)
	if o.err = o.k.read(&o.w, &o.Op); o.err != nil {
		return false
	}
	o.left--
	var n uint64
	if n, o.err = o.k.predNum.need(); o.err != nil {
		return false
	}
	o.preds = o.preds[:0]
	for range n {
		var actor, ctr uint64
		if actor, o.err = o.k.predActor.need(); o.err != nil {
			return false
		}
		if ctr, _, o.err = o.k.predCtr.next(); o.err != nil {
			return false
		}
		var p id
		if p, o.err = o.w.id(actor, ctr, own); o.err != nil {
			return false
		}
		o.preds = append(o.preds, OpID{p.ctr, p.actor})
	}
	o.Op.Preds = o.preds
	return true
}

// Err is why Next found no more operations, nil at the end of a change that
// Check has accepted.
func (o *Ops) Err() error { return o.err }

// A Finder reads single operations of a change, forwards. To go back, copy it
// before: a copy goes on by itself. It costs what the columns before the
// operation take in bytes, not how many operations these stand for.
type Finder struct {
	places
	w    walk
	left uint64
}

// Open begins with a change that [Check] has accepted.
func (f *Finder) Open(c *Change) error {
	n, w, err := c.walk()
	if err != nil {
		return err
	}
	*f = Finder{w: w, left: n}
	var k checker
	if err := k.open(c); err != nil {
		return err
	}
	f.places = k.places
	return nil
}

// Next is the counter of the next operation to be read.
func (f *Finder) Next() uint64 { return f.w.next }

// End is the counter after that of the last operation.
func (f *Finder) End() uint64 { return f.w.next + f.left }

// Unread is how many bytes of columns are still to be read.
func (f *Finder) Unread() int {
	return len(f.objActor.src) + len(f.objCtr.src) + len(f.keyActor.src) + len(f.keyCtr.src) +
		len(f.keyStr.src) + len(f.insert.src) + len(f.action.src) + len(f.meta.src)
}

// Skip goes on to the operation with that counter, which must not be less than
// Next.
func (f *Finder) Skip(ctr uint64) error {
	n := ctr - f.w.next
	if ctr < f.w.next || n > f.left {
		return errFewRows
	}
	for _, err := range [...]error{
		f.objActor.skip(n), f.objCtr.skip(n), f.keyActor.skip(n), f.keyCtr.skip(n),
		f.keyStr.skip(n), f.insert.skip(n), f.action.skip(n), f.meta.skip(n),
	} {
		if err != nil {
			return err
		}
	}
	f.w.next += n
	f.left -= n
	return nil
}

// Read reads the next operation.
func (f *Finder) Read(op *Op) error {
	if f.left == 0 {
		return errFewRows
	}
	f.left--
	return f.read(&f.w, op)
}

// walk begins to go through the operations of a change that has been checked.
func (c *Change) walk() (n uint64, w walk, err error) {
	if n, err = c.Ops(); err != nil {
		return 0, walk{}, err
	}
	w = walk{start: c.StartOp, next: c.StartOp, actors: 1}
	for range c.Others {
		w.actors++
	}
	if n > MaxOps || w.actors > MaxActors || w.start+n > MaxCounter+1 {
		return 0, walk{}, errManyOps
	}
	return n, w, nil
}

// read reads the columns of one row, and goes on to the next.
func (p *places) read(w *walk, op *Op) error {
	own := w.next
	w.next++
	obj, err := p.object(w, own)
	if err != nil {
		return err
	}
	k, err := p.key(w, own)
	if err != nil {
		return err
	}
	*op = Op{Ctr: own, Obj: OpID{obj.ctr, obj.actor}}
	if k.size == inElem {
		op.InSeq, op.Elem = true, OpID{k.ctr, k.actor}
	} else {
		op.Key = p.keyStr.bytes(k)
	}
	if op.Insert, err = p.insert.next(); err != nil {
		return err
	}
	action, err := p.action.need()
	if err != nil {
		return err
	}
	if action > mark {
		return errAction
	}
	op.Action = Action(action)
	meta, err := p.meta.need()
	op.Counter = action == set && meta&15 == valueCounter
	return err
}
