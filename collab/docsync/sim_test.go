package docsync_test

import (
	"bytes"
	"flag"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"atrium/collab/change"
	"atrium/collab/docsync"
)

var (
	simRounds = flag.Int("rounds", 150, "rounds of the simulated network")
	simSeed   = flag.Uint64("seed", 0, "run this round alone")
)

// TestSimulatedNetwork lets reference clients edit through a Document while
// connections break, clients come back with a sync state newer than their
// document, sockets stall, commits fail, and the server comes back without its
// newest changes. In the end all have the same heads, and nobody talks. In every
// other round the server drops answers that say nothing new.
func TestSimulatedNetwork(t *testing.T) {
	if *simSeed != 0 {
		t.Logf("%d answers dropped", simulate(t, *simSeed))
		return
	}
	dropped := 0
	for seed := uint64(1); seed <= uint64(*simRounds) && !t.Failed(); seed++ {
		dropped += simulate(t, seed)
	}
	t.Logf("%d answers dropped in %d rounds", dropped, *simRounds)
	if least := *simRounds * 2; dropped < least && !t.Failed() {
		t.Errorf("%d answers dropped, want %d at least", dropped, least)
	}
}

type sim struct {
	t       *testing.T
	rng     *rand.Rand
	doc     *docsync.Document
	disk    [][]byte // chunks that have been made durable
	clients []*simClient
	sent    int       // messages of the server
	mail    []simMail // that the server has not looked at
	recent  []simHeads
	drops   bool // the server drops answers
	dropped int
	logging bool
	theft   bool // a client has edited as another one's actor
}

type simClient struct {
	*refPeer
	name  string
	actor []byte
	seq   int
	saved *refPeer // an older state of the document
	peer  *docsync.Peer
	top   int64    // of the newest heads that it told in answers that were dropped; math.MaxInt64: none may be
	apart bool     // it has changes that are not accepted: a reader's, or of a stolen actor
	reads bool     // it may only read
	flags bool     // it knows the read-only flag
	busy  bool     // its socket takes nothing
	up    [][]byte // on the way to the server
	down  [][]byte
}

// simMail is a message that has come.
type simMail struct {
	from    *simClient
	peer    *docsync.Peer // of the connection that it came by
	message docsync.Message
}

// simHeads are heads that the log had, and its newest change then.
type simHeads struct {
	heads []byte
	top   int64
}

func simulate(t *testing.T, seed uint64) (dropped int) {
	s := &sim{t: t, rng: rand.New(rand.NewPCG(seed, 1)), doc: &docsync.Document{}, logging: *simSeed != 0, drops: seed%2 == 0}
	defer func() {
		if t.Failed() {
			t.Logf("again with -run TestSimulatedNetwork -seed %d", seed)
		}
	}()
	for i := range 2 + s.rng.IntN(3) {
		c := &simClient{refPeer: newRefPeer(), name: fmt.Sprint("client ", i)}
		s.newActor(c)
		s.clients = append(s.clients, c)
		s.connect(c)
	}
	if last := s.clients[len(s.clients)-1]; s.rng.IntN(3) == 0 {
		last.reads, last.flags = true, s.rng.IntN(2) == 0
		s.reconnect(last, nil)
	}
	s.edit(s.clients[0])
	for range 20 + s.rng.IntN(200) {
		s.step()
	}
	s.settle()
	return s.dropped
}

func (s *sim) pick() *simClient { return s.clients[s.rng.IntN(len(s.clients))] }

func (s *sim) logf(format string, args ...any) {
	if s.logging {
		s.t.Logf(format, args...)
	}
}

func (s *sim) step() {
	c := s.pick()
	switch n := s.rng.IntN(100); {
	case n < 35:
		s.edit(c)
	case n < 60:
		s.deliverUp(c)
	case n < 84:
		s.deliverDown(c)
	case n < 88:
		c.busy = !c.busy
		s.tell(c)
	case n < 93: // the connection breaks
		s.logf("%s reconnects", c.name)
		s.connect(c)
	case n < 95: // a client that keeps its sync state but lost its newest changes
		if c.saved != nil {
			s.logf("%s restarts with an older document", c.name)
			shared := c.shared
			c.refPeer = c.saved.copy(shared)
			s.newActor(c)
			s.reconnect(c, shared)
		}
	case n < 97:
		c.saved = c.copy(nil)
	case n < 97+s.rng.IntN(2) && s.rng.IntN(4) == 0: // edits as somebody else's actor
		if other := s.pick(); other != c && other.seq > 0 && !other.apart && !other.reads {
			s.logf("%s edits as %s", c.name, other.name)
			c.actor, c.seq, c.apart = other.actor, s.rng.IntN(other.seq), true
			s.theft, other.apart = true, true // whose changes come first is a matter of luck
			s.edit(c)
		}
	case n < 98: // deletes and finds it again, in the same connection, empty or as it was once
		s.logf("%s starts over", c.name)
		if c.saved != nil && s.rng.IntN(2) == 0 {
			c.refPeer = c.saved.copy(nil)
		} else {
			c.refPeer, c.saved = newRefPeer(), nil
		}
		s.newActor(c)
		s.clientSend(c)
	default:
		s.restartServer()
	}
}

// copy returns the document with a new sync state.
func (p *refPeer) copy(shared []change.Hash) *refPeer {
	return &refPeer{
		changes: maps.Clone(p.changes), order: slices.Clone(p.order), queue: maps.Clone(p.queue),
		heads: maps.Clone(p.heads), refSync: newRefSync(shared),
	}
}

// newActor gives a client the actor that it edits as.
func (s *sim) newActor(c *simClient) {
	c.seq = 0
	c.actor = make([]byte, 16)
	for i := range c.actor {
		c.actor[i] = byte(s.rng.Uint32())
	}
}

// connect begins a new connection of c, half of the time with the sync state
// that it has kept.
func (s *sim) connect(c *simClient) {
	shared := c.shared
	if s.rng.IntN(2) == 0 {
		shared = nil
	}
	s.reconnect(c, shared)
}

// reconnect begins a new connection; what was on the way is lost.
func (s *sim) reconnect(c *simClient, shared []change.Hash) {
	c.up, c.down, c.busy = nil, nil, false
	c.refSync = newRefSync(shared)
	c.knowsFlags = c.flags
	c.peer, c.top = docsync.NewPeer(c, c.reads), math.MaxInt64
	s.clientSend(c)
}

func (s *sim) restartServer() {
	if n := len(s.disk); n > 0 && s.rng.IntN(2) == 0 {
		s.disk = s.disk[:n-s.rng.IntN(min(n, 20))]
	}
	s.logf("server restarts with %d of its changes", len(s.disk))
	s.doc, s.mail, s.recent = &docsync.Document{}, nil, nil
	for _, chunk := range s.disk {
		if _, err := s.doc.Extend(bytes.Clone(chunk)); err != nil {
			s.t.Fatal(err)
		}
	}
	s.hasGrown()
	for _, c := range s.clients {
		s.connect(c)
	}
}

// hasGrown remembers the log's heads, the newest 32.
func (s *sim) hasGrown() {
	s.recent = append(s.recent, simHeads{joined(s.doc.Heads()), int64(s.doc.Len() - 1)})
	s.recent = s.recent[max(0, len(s.recent)-32):]
}

func joined(hashes []change.Hash) (all []byte) {
	for _, h := range hashes {
		all = append(all, h[:]...)
	}
	return all
}

func (s *sim) edit(c *simClient) {
	if c.reads {
		if s.rng.IntN(10) > 0 {
			return
		}
		c.apart = true
	}
	for range 1 + s.rng.IntN(3) {
		c.seq++
		c.write(s.t, c.actor, c.seq, s.rng.IntN(1000))
		s.clientSend(c)
	}
}

func (s *sim) clientSend(c *simClient) {
	if m, ok := c.generate(); ok {
		s.logf("%s: %s", c.name, describe(m))
		c.up = append(c.up, docsync.AppendMessage(nil, m))
	}
}

func describe(m docsync.Message) string {
	have := "none"
	if len(m.Have) > 0 {
		have = fmt.Sprintf("%.6s, empty bloom %t", m.Have[0].LastSync, m.Have[0].Bloom.Empty())
	}
	return fmt.Sprintf("heads %.6s need %.6s have %s; %d changes", m.Heads, m.Need, have, len(m.Changes))
}

func (s *sim) deliverUp(c *simClient) {
	s.arrive(c)
	if s.rng.IntN(3) > 0 { // or else it is looked at with what comes after it
		s.work()
	}
}

// arrive takes in a message that has come, unless it may be dropped.
func (s *sim) arrive(c *simClient) {
	if len(c.up) == 0 {
		return
	}
	data := c.up[0]
	c.up = c.up[1:]
	if s.drops && s.answers(c, data) {
		s.logf("dropped an answer of %s", c.name)
		s.dropped++
		return
	}
	m, err := docsync.ParseMessage(bytes.Clone(data))
	if err != nil {
		s.t.Fatalf("message of a reference client: %v", err)
	}
	s.mail = append(s.mail, simMail{c, c.peer, m})
}

// answers reports whether a message says nothing but that its sender has what it
// was sent a moment ago, as collab decides that.
func (s *sim) answers(c *simClient, data []byte) bool {
	heads, ok := docsync.ParseAnswer(data)
	if !ok || len(heads) == 0 || slices.ContainsFunc(s.mail, func(m simMail) bool { return m.peer == c.peer }) {
		return false
	}
	for _, known := range slices.Backward(s.recent) {
		if bytes.Equal(known.heads, heads) {
			if known.top < c.top {
				return false
			}
			c.top = known.top
			return true
		}
	}
	return false
}

// work looks at what has come, and commits.
func (s *sim) work() {
	for _, m := range s.mail {
		s.receive(m)
	}
	s.mail = nil
	if len(s.doc.Staged()) > 0 && s.rng.IntN(10) == 0 {
		s.logf("commit fails")
		if s.rng.IntN(2) == 0 {
			for _, p := range s.doc.Abandon() {
				s.connect(p.Tag.(*simClient))
			}
		}
		return
	}
	s.commit()
}

func (s *sim) receive(m simMail) {
	c := m.from
	if m.peer == c.peer && c.top != math.MaxInt64 {
		c.peer.Told(int(c.top))
		c.top = math.MaxInt64
	}
	refused, err := s.doc.Receive(m.peer, m.message)
	if err != nil {
		s.t.Fatalf("%s: %v", c.name, err)
	}
	for _, r := range refused {
		s.logf("%.6s refused: %v", r.Change, r.Err)
		if from := r.Peer.Tag.(*simClient); s.theft { // it may have come by way of another client
			from.apart = true
		} else if !from.apart {
			s.t.Fatalf("%s: %s refused: %v", c.name, r.Change, r.Err)
		}
	}
}

func (s *sim) commit() {
	if len(s.doc.Staged()) > 0 {
		for _, x := range s.doc.Staged() {
			s.disk = append(s.disk, bytes.Clone(x.Chunk))
		}
		s.doc.Commit()
		s.hasGrown()
	}
	for _, c := range s.clients {
		s.tell(c)
	}
}

func (s *sim) tell(c *simClient) {
	if c.busy {
		return
	}
	out, ok := s.doc.Next(c.peer)
	if !ok {
		s.settled(c)
		return
	}
	data := s.doc.Append(nil, out)
	s.doc.Sent(c.peer, out)
	s.sent++
	if s.logging {
		m, _ := docsync.ParseMessage(data)
		s.logf("server to %s: %s", c.name, describe(m))
	}
	c.down = append(c.down, data)
	if again, ok := s.doc.Next(c.peer); ok {
		s.t.Fatalf("%s: the same is due twice: %+v", c.name, again)
	}
	s.settled(c)
}

// settled lets a client's answers be dropped from now on, if they may be.
func (s *sim) settled(c *simClient) {
	if top, ok := c.peer.Settled(); ok && !c.peer.Waiting() && c.top == math.MaxInt64 {
		c.top = int64(top)
	}
}

func (s *sim) deliverDown(c *simClient) {
	if len(c.down) == 0 {
		return
	}
	m, err := docsync.ParseMessage(c.down[0])
	if err != nil {
		s.t.Fatalf("%s cannot read what the server sent: %v", c.name, err)
	}
	c.receive(s.t, m)
	c.down = c.down[1:]
	s.clientSend(c)
}

// settle lets everything arrive, and checks the end.
func (s *sim) settle() {
	for _, c := range s.clients {
		c.busy = false
	}
	s.work()
	s.commit()
	for round := 0; ; round++ {
		if round > 300 {
			s.t.Fatalf("still talking after %d rounds and %d messages", round, s.sent)
		}
		quiet := true
		for _, c := range s.clients {
			for len(c.up)+len(c.down) > 0 {
				quiet = false
				s.arrive(c)
				s.work()
				s.commit()
				s.deliverDown(c)
				if s.sent > 100_000 {
					s.t.Fatal("endless talk")
				}
			}
		}
		if quiet {
			break
		}
	}
	for _, c := range s.clients {
		if c.apart || c.reads { // then at least it has everything that there is
			for _, h := range s.doc.Heads() {
				if _, known := c.changes[h]; !known {
					s.t.Errorf("%s, which has changes of its own, lacks %.6s", c.name, h)
				}
			}
		} else if got := c.sortedHeads(); !slices.Equal(got, s.doc.Heads()) {
			s.t.Errorf("%s has heads %.6s, the server %.6s", c.name, got, s.doc.Heads())
		}
	}
	all := docsync.Document{}
	for _, chunk := range s.disk {
		if _, err := all.Extend(bytes.Clone(chunk)); err != nil {
			s.t.Fatal(err)
		}
	}
	if !slices.Equal(all.Heads(), s.doc.Heads()) {
		s.t.Errorf("disk has heads %.8s, the server told %.8s", all.Heads(), s.doc.Heads())
	}
}
