package pack

import (
	"crypto/sha256"
	"fmt"

	"atrium/collab/change"
)

// Parse reads a pack whose first change stands at position first of the log.
// hashAt returns the hash of a change before that. yield is called for each entry
// in the order of the log, once all of them have been found to be whole; chunks of
// one pack share memory, and are the caller's. An error of yield ends it.
func Parse(src []byte, first int, hashAt func(int) change.Hash, yield func(e Entry, h change.Hash) error) error {
	run, hashes, attribution, err := open(src, first, hashAt)
	if err != nil {
		return err
	}
	who, err := parseAttribution(attribution, uint64(len(hashes)))
	if err != nil {
		return err
	}
	for i := range hashes {
		c, rest, err := change.Next(run)
		if err != nil {
			return fmt.Errorf("%w: %w", errDamaged, err)
		}
		run = rest
		for who[0].count == 0 {
			who = who[1:]
		}
		who[0].count--
		if err := yield(Entry{c.Chunk, who[0].userID, who[0].at}, hashes[i]); err != nil {
			return err
		}
	}
	return nil
}

// Run is Parse for who only wants the chunks, one behind the other, and how many
// they are.
func Run(src []byte, first int, hashAt func(int) change.Hash) (run []byte, n int, err error) {
	run, hashes, _, err := open(src, first, hashAt)
	return run, len(hashes), err
}

// open makes a pack's chunks, one behind the other, and their hashes.
func open(src []byte, first int, hashAt func(int) change.Hash) (run []byte, hashes []change.Hash, attribution parser, err error) {
	fail := func(err error) ([]byte, []change.Hash, parser, error) { return nil, nil, parser{}, err }
	if len(src) < 1+sha256.Size {
		return fail(errDamaged)
	}
	if src[0] != version {
		return fail(errVersion)
	}
	payload, err := inflater().DecodeAll(src[1+sha256.Size:], nil)
	if err != nil {
		return fail(fmt.Errorf("%w: %w", errDamaged, err))
	}
	p := parser{src: payload}
	n := p.number()
	var streams [4]parser
	for i := range streams {
		streams[i] = parser{src: p.prefixed()}
	}
	if p.bad || len(p.src) > 0 || n > uint64(len(streams[1].src)) {
		return fail(errDamaged)
	}
	if run, hashes, err = rebuild(int(n), first, hashAt, streams[1], streams[2], streams[3].src); err != nil {
		return fail(err)
	}
	all := sha256.New()
	for i := range hashes {
		all.Write(hashes[i][:])
	}
	if string(all.Sum(nil)) != string(src[1:1+sha256.Size]) {
		return fail(errDamaged)
	}
	return run, hashes, streams[0], nil
}

// rebuild makes the chunks, one behind the other, and their hashes.
func rebuild(n, first int, hashAt func(int) change.Hash, deps, lengths parser, bodies []byte) (buf []byte, hashes []change.Hash, err error) {
	const headBytes = typeOffset + 1 + 5 + 5 // at most: lengths are below 2^35
	// A dependency of a byte or more becomes a hash.
	size := len(bodies) + n*headBytes + len(deps.src)*len(change.Hash{})
	if size > maxBytes {
		return nil, nil, errLarge
	}
	buf, hashes = make([]byte, 0, size), make([]change.Hash, 0, n)
	for i := range n {
		count, length := deps.number(), lengths.number()
		if deps.bad || lengths.bad || length > uint64(len(bodies)) || count > uint64(len(deps.src))+1 {
			return nil, nil, errDamaged
		}
		rest := bodies[:length]
		bodies = bodies[length:]
		start := len(buf)
		if count == 0 {
			buf = append(buf, rest...)
			c, err := change.Parse(buf[start:])
			if err != nil {
				return nil, nil, fmt.Errorf("%w: change %d: %w", errDamaged, first+i, err)
			}
			hashes = append(hashes, c.Hash)
			continue
		}
		buf = append(buf, magic+"\x00\x00\x00\x00"...)
		buf = appendHead(buf, int(count-1), len(rest))
		for range count - 1 {
			back := deps.number()
			at := first + i - int(min(back, maxBytes))
			switch {
			case deps.bad || back == 0 || at < 0:
				return nil, nil, errDamaged
			case at >= first:
				buf = append(buf, hashes[at-first][:]...)
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
	if len(bodies) > 0 || len(deps.src) > 0 || len(lengths.src) > 0 {
		return nil, nil, errDamaged
	}
	return buf, hashes, nil
}

// run is changes that one user added at one time.
type run struct {
	count  uint64
	userID string
	at     int64
}

// parseAttribution reads runs of n changes in all.
func parseAttribution(p parser, n uint64) (runs []run, err error) {
	var users []string
	for range min(p.number(), n) {
		users = append(users, string(p.prefixed()))
		if p.bad {
			return nil, errDamaged
		}
	}
	var at int64
	for n > 0 {
		r := run{count: p.number()}
		user := p.number()
		at += p.signed()
		if p.bad || r.count == 0 || r.count > n || user >= uint64(len(users)) {
			return nil, errDamaged
		}
		r.userID, r.at = users[user], at
		n -= r.count
		runs = append(runs, r)
	}
	if len(p.src) > 0 {
		return nil, errDamaged
	}
	return runs, nil
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
