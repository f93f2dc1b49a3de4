package pack

import (
	"crypto/sha256"
	"fmt"

	"atrium/collab/change"
)

// Parse reads a pack whose first change stands at position first of the log.
// hashAt returns the hash of a change before that; nil if there is none. yield is
// called for each entry in the order of the log, once all of them have been found
// to be whole; chunks of one pack share memory, and are the caller's. An error of
// yield ends it.
//
// Every hash is computed anew, and that of all of them compared. What a hostile
// pack takes is 1 GiB inflated, 1 GiB of chunks with their hashes, and 17 bytes for
// each byte of user ids; each is known before it is allocated.
func Parse(src []byte, first int, hashAt func(int) change.Hash, yield func(e Entry, h change.Hash) error) error {
	run, hashes, a, err := open(src, first, hashAt)
	if err != nil {
		return err
	}
	for _, h := range hashes {
		c, rest, err := change.NextHashed(run, h)
		if err != nil {
			return fmt.Errorf("%w: %w", errDamaged, err)
		}
		run = rest
		e := Entry{Chunk: c.Chunk}
		e.UserID, e.At = a.next()
		if err := yield(e, h); err != nil {
			return err
		}
	}
	return nil
}

// Run is Parse for who only wants the chunks, one behind the other, and their
// hashes. It does not look behind the dependencies of a chunk: who reads on must
// expect that it ends early.
func Run(src []byte, first int, hashAt func(int) change.Hash) (run []byte, hashes []change.Hash, err error) {
	run, hashes, _, err = open(src, first, hashAt)
	return run, hashes, err
}

// open makes a pack's chunks, one behind the other, and their hashes.
func open(src []byte, first int, hashAt func(int) change.Hash) (run []byte, hashes []change.Hash, a attribution, err error) {
	fail := func(err error) ([]byte, []change.Hash, attribution, error) { return nil, nil, attribution{}, err }
	if len(src) < 1+sha256.Size {
		return fail(errDamaged)
	}
	if src[0] != version {
		return fail(errVersion)
	}
	payload, err := inflate(src[1+sha256.Size:])
	if err != nil {
		return fail(err)
	}
	if run, hashes, a, err = rebuild(payload, first, hashAt); err != nil {
		return fail(err)
	}
	all := sha256.New()
	for i := range hashes {
		all.Write(hashes[i][:])
	}
	if string(all.Sum(nil)) != string(src[1:1+sha256.Size]) {
		return fail(errDamaged)
	}
	return run, hashes, a, nil
}

// rebuild reads what a pack inflates to.
func rebuild(payload []byte, first int, hashAt func(int) change.Hash) (run []byte, hashes []change.Hash, a attribution, err error) {
	fail := func(err error) ([]byte, []change.Hash, attribution, error) { return nil, nil, attribution{}, err }
	p := parser{src: payload}
	n := p.number()
	var streams [4]parser
	for i := range streams {
		streams[i] = parser{src: p.prefixed()}
	}
	if p.bad || len(p.src) > 0 || n > uint64(len(streams[1].src)) {
		return fail(errDamaged)
	}
	c := chunks{n: int(n), deps: streams[1], lengths: streams[2], bodies: streams[3].src}
	size, err := c.size()
	if err != nil {
		return fail(err)
	}
	if a, err = parseAttribution(streams[0], n); err != nil {
		return fail(err)
	}
	if run, hashes, err = c.rebuild(size, first, hashAt); err != nil {
		return fail(err)
	}
	return run, hashes, a, nil
}

// chunks is n chunks as a pack has them.
type chunks struct {
	n             int
	deps, lengths parser
	bodies        []byte
}

// size returns how many bytes the chunks are. It says whether the streams end with
// the last of them, but not where dependencies stand.
func (c chunks) size() (int, error) {
	size, left := 0, uint64(len(c.bodies))
	for range c.n {
		count, length := c.deps.number(), c.lengths.number()
		if c.deps.bad || c.lengths.bad || length > left || count > uint64(len(c.deps.src))+1 {
			return 0, errDamaged
		}
		left -= length
		size += int(length)
		if count > 0 {
			for range count - 1 {
				c.deps.number()
			}
			body := bodyLen(int(count-1), int(length))
			size += typeOffset + 1 + ulebLen(body) + body - int(length)
		}
	}
	if c.deps.bad || len(c.deps.src) > 0 || len(c.lengths.src) > 0 || left > 0 {
		return 0, errDamaged
	}
	if size+c.n*len(change.Hash{}) > maxBytes {
		return 0, errLarge
	}
	return size, nil
}

// rebuild makes the chunks, one behind the other, and their hashes.
func (c chunks) rebuild(size, first int, hashAt func(int) change.Hash) (buf []byte, hashes []change.Hash, err error) {
	buf, hashes = make([]byte, 0, size), make([]change.Hash, 0, c.n)
	for i := range c.n {
		count, length := c.deps.number(), c.lengths.number()
		rest := c.bodies[:length]
		c.bodies = c.bodies[length:]
		start := len(buf)
		if count == 0 {
			buf = append(buf, rest...)
			v, after, err := change.Next(buf[start:])
			if err == nil && len(after) > 0 {
				err = errTrailing
			}
			if err != nil {
				return nil, nil, fmt.Errorf("%w: change %d: %w", errDamaged, first+i, err)
			}
			hashes = append(hashes, v.Hash)
			continue
		}
		buf = append(buf, magic+"\x00\x00\x00\x00"...)
		buf = appendHead(buf, int(count-1), len(rest))
		for range count - 1 {
			back := c.deps.number()
			at := first + i - int(min(back, maxBytes))
			switch {
			case back == 0 || at < 0:
				return nil, nil, errDamaged
			case at >= first:
				buf = append(buf, hashes[at-first][:]...)
			case hashAt == nil:
				return nil, nil, errDamaged
			default:
				h := hashAt(at)
				buf = append(buf, h[:]...)
			}
		}
		buf = append(buf, rest...)
		hash := sha256.Sum256(buf[start+typeOffset:])
		copy(buf[start+len(magic):], hash[:typeOffset-len(magic)])
		hashes = append(hashes, hash)
	}
	return buf, hashes, nil
}

// attribution is who added the changes of a pack when.
type attribution struct {
	users []string
	// of runs
	counts, who, times parser

	left uint64 // of the changes that this user added at this time
	user uint64
	at   int64
}

// parseAttribution reads that of n changes, and checks all of it.
func parseAttribution(p parser, n uint64) (attribution, error) {
	a := attribution{}
	for range min(p.number(), n) {
		a.users = append(a.users, string(p.prefixed()))
		if p.bad {
			return attribution{}, errDamaged
		}
	}
	a.counts, a.who = parser{src: p.prefixed()}, parser{src: p.prefixed()}
	a.times = p
	check := a
	for ; n > 0; n -= check.left {
		check.run()
		if check.counts.bad || check.who.bad || check.times.bad || check.left == 0 || check.left > n || check.user >= uint64(len(a.users)) {
			return attribution{}, errDamaged
		}
	}
	if p.bad || len(check.counts.src)+len(check.who.src)+len(check.times.src) > 0 {
		return attribution{}, errDamaged
	}
	return a, nil
}

// next says who added the next change, and when.
func (a *attribution) next() (userID string, at int64) {
	if a.left == 0 {
		a.run()
	}
	a.left--
	return a.users[a.user], a.at
}

// run reads the next changes that one user added at one time.
func (a *attribution) run() {
	a.left, a.user = a.counts.number(), a.who.number()
	a.at += a.times.signed()
}

// parser reads from the front of src; after the first fault all is zero.
type parser struct {
	src []byte
	bad bool
}

func (p *parser) number() uint64 {
	x, rest, err := change.ParseUleb(p.src)
	if err != nil || p.bad {
		p.bad = true
		return 0
	}
	p.src = rest
	return x
}

func (p *parser) signed() int64 {
	x, rest, err := change.ParseLeb(p.src)
	if err != nil || p.bad {
		p.bad = true
		return 0
	}
	p.src = rest
	return x
}

func (p *parser) prefixed() []byte {
	n := p.number()
	if p.bad || n > uint64(len(p.src)) {
		p.bad = true
		return nil
	}
	b := p.src[:n:n]
	p.src = p.src[n:]
	return b
}
