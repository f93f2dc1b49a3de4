package awareness

// Cursors has the newest cursor of each session S. Every move has a version, so
// that whoever remembers up to which version they have been told can be told
// the rest, once, however long that took. The zero value has none.
type Cursors[S comparable, C any] struct {
	version        uint64
	of             map[S]*cursor[S, C]
	oldest, newest *cursor[S, C] // a list in the order of versions
	gone           int           // of those in it, how many have left
}

type cursor[S comparable, C any] struct {
	session      S
	at           C
	version      uint64
	gone         bool
	older, newer *cursor[S, C]
}

// Move says where a session is now.
func (cs *Cursors[S, C]) Move(s S, at C) {
	c := cs.of[s]
	if c == nil {
		if cs.of == nil {
			cs.of = make(map[S]*cursor[S, C])
		}
		c = &cursor[S, C]{session: s}
		cs.of[s] = c
	} else {
		cs.unlink(c)
	}
	if c.gone {
		c.gone = false
		cs.gone--
	}
	cs.version++
	c.at, c.version = at, cs.version
	cs.link(c)
}

// Leave says that a session has no cursor any more; last is what the others are
// told of that. It reports whether there was one.
func (cs *Cursors[S, C]) Leave(s S, last C) bool {
	c := cs.of[s]
	if c == nil || c.gone {
		return false
	}
	cs.Move(s, last)
	c.gone = true
	cs.gone++
	return true
}

// Of returns where a session is.
func (cs *Cursors[S, C]) Of(s S) (at C, ok bool) {
	if c := cs.of[s]; c != nil && !c.gone {
		return c.at, true
	}
	return at, false
}

// Version is that of the newest move.
func (cs *Cursors[S, C]) Version() uint64 { return cs.version }

// Since returns all that has moved after a version, newest first.
func (cs *Cursors[S, C]) Since(version uint64) (moved []C) {
	for c := cs.newest; c != nil && c.version > version; c = c.older {
		moved = append(moved, c.at)
	}
	return moved
}

// Forget drops those who have left, as everybody has been told up to version.
func (cs *Cursors[S, C]) Forget(version uint64) {
	for c := cs.oldest; c != nil && cs.gone > 0 && c.version <= version; {
		next := c.newer
		if c.gone {
			cs.unlink(c)
			delete(cs.of, c.session)
			cs.gone--
		}
		c = next
	}
}

func (cs *Cursors[S, C]) link(c *cursor[S, C]) {
	c.older, c.newer = cs.newest, nil
	if cs.newest == nil {
		cs.oldest = c
	} else {
		cs.newest.newer = c
	}
	cs.newest = c
}

func (cs *Cursors[S, C]) unlink(c *cursor[S, C]) {
	if c.older == nil {
		cs.oldest = c.newer
	} else {
		c.older.newer = c.newer
	}
	if c.newer == nil {
		cs.newest = c.older
	} else {
		c.newer.older = c.older
	}
	c.older, c.newer = nil, nil
}
