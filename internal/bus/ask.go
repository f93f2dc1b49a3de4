package bus

import (
	"context"
	"encoding/hex"
	"sync"

	"github.com/fxamacker/cbor/v2"
)

// maxAsked is how many questions of other nodes wait here; what is beyond is not
// answered.
const maxAsked = 64

// Questions are asked of all other nodes, each of which answers for itself. They
// are safe for concurrent use.
type Questions struct {
	bus    *Bus // nil: that of a node that is alone
	topic  string
	answer func(question []byte) []byte
	asked  chan asked // of this node

	mu      sync.Mutex
	number  uint64            // of the newest of this node; guarded by mu
	waiting map[uint64]*asker // by the number of the question; guarded by mu
}

// Answer is what another node says.
type Answer struct {
	Node string
	Data []byte
}

// asked is a question of another node.
type asked struct {
	node string
	parcel
}

// parcel is a question or an answer on its way.
type parcel struct {
	Number uint64 `cbor:"n"` // of the question, among those of the node that asks
	Data   []byte `cbor:"d"`
}

// asker waits for answers. Its fields are guarded by Questions.mu.
type asker struct {
	answers map[string][]byte   // by node
	left    map[string]struct{} // nodes that are still to answer
	done    chan struct{}       // closed when none is
}

// Questions has answer called with what other nodes Ask under the same topic: for
// one after the other, from a goroutine of its own.
func (b *Bus) Questions(topic string, answer func(question []byte) []byte) *Questions {
	q := &Questions{bus: b, topic: topic, answer: answer, asked: make(chan asked, maxAsked), waiting: make(map[uint64]*asker)}
	if b == nil {
		return q
	}
	b.Listen(topic, Listener{Message: q.hearQuestion})
	b.Listen(q.answersOf(b.Node()), Listener{Message: q.hearAnswer})
	b.running.Go(q.answerAll)
	return q
}

// answersOf is the topic of answers to what a node has asked.
func (q *Questions) answersOf(node string) string {
	return q.topic + "/" + hex.EncodeToString([]byte(node))
}

// Ask puts a question to all other nodes, and waits until these have answered or
// ctx is done. It returns what has come, of others too, and how many of these were
// silent: all, without waiting, while Redis is away.
func (q *Questions) Ask(ctx context.Context, question []byte, nodes []string) (answers []Answer, silent int) {
	if len(nodes) == 0 || !q.bus.Connected() {
		return nil, len(nodes)
	}
	a := &asker{answers: make(map[string][]byte), left: make(map[string]struct{}), done: make(chan struct{})}
	for _, node := range nodes {
		a.left[node] = struct{}{}
	}
	q.mu.Lock()
	q.number++
	number := q.number
	q.waiting[number] = a
	q.mu.Unlock()
	q.bus.Publish(q.topic, Encode(parcel{number, question}))
	select {
	case <-a.done:
	case <-ctx.Done():
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	delete(q.waiting, number)
	for node, data := range a.answers {
		answers = append(answers, Answer{node, data})
	}
	return answers, len(a.left)
}

func (q *Questions) hearQuestion(node string, data []byte) {
	x := asked{node: node}
	if cbor.Unmarshal(data, &x.parcel) != nil {
		return // of an atrium that knows more
	}
	select {
	case q.asked <- x:
	default:
	}
}

func (q *Questions) answerAll() {
	for {
		select {
		case <-q.bus.ctx.Done():
			return
		case x := <-q.asked:
			q.bus.Publish(q.answersOf(x.node), Encode(parcel{x.Number, q.answer(x.Data)}))
		}
	}
}

func (q *Questions) hearAnswer(node string, data []byte) {
	var p parcel
	if cbor.Unmarshal(data, &p) != nil {
		return
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	a := q.waiting[p.Number]
	if a == nil {
		return // it has come too late
	}
	a.answers[node] = p.Data
	if _, expected := a.left[node]; expected {
		delete(a.left, node)
		if len(a.left) == 0 {
			close(a.done)
		}
	}
}
