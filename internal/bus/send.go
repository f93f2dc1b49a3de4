package bus

import (
	"context"
	"sync"
	"time"

	"github.com/fxamacker/cbor/v2"
)

const (
	maxQueued = 32 << 20 // bytes that wait for Redis; what is beyond is dropped
	maxBatch  = 1 << 20  // bytes, or as many messages as below, that go out in one write
	maxCount  = 1000
	farewell  = time.Second // for what is to be sent at the end
)

// outbox is what waits to be published.
type outbox struct {
	wake chan struct{} // holds a token when there is something

	mu    sync.Mutex
	queue []outgoing // guarded by mu
	bytes int        // guarded by mu
}

type outgoing struct {
	topic string
	data  []byte // the node's id before it
}

// Publish tells a topic's listeners on all other nodes. It never waits, and may
// fail without telling.
func (b *Bus) Publish(topic string, data []byte) {
	if b == nil {
		return
	}
	message := append(append(make([]byte, 0, len(b.node)+len(data)), b.node[:]...), data...)
	o := &b.out
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.bytes+len(message) > maxQueued {
		b.stats.Dropped.Add(1)
		return
	}
	o.queue = append(o.queue, outgoing{topic, message})
	o.bytes += len(message)
	select {
	case o.wake <- struct{}{}:
	default:
	}
}

// take returns what waits, as much as goes out at once.
func (o *outbox) take() (batch []outgoing) {
	o.mu.Lock()
	defer o.mu.Unlock()
	size := 0
	for len(batch) < maxCount && len(batch) < len(o.queue) && size < maxBatch {
		size += len(o.queue[len(batch)].data)
		batch = o.queue[:len(batch)+1]
	}
	o.queue = o.queue[len(batch):]
	o.bytes -= size
	if len(o.queue) == 0 {
		o.queue = nil
	}
	return batch
}

// send publishes what comes, all that waits in one write, until Close.
func (b *Bus) send() {
	for ended := false; !ended; {
		ctx := b.ctx
		select {
		case <-b.out.wake:
		case <-ctx.Done():
			ended = true
			var cancel context.CancelFunc
			ctx, cancel = context.WithTimeout(context.Background(), farewell)
			defer cancel()
		}
		for batch := b.out.take(); len(batch) > 0; batch = b.out.take() {
			pipe := b.client.Pipeline()
			for _, m := range batch {
				pipe.Publish(ctx, b.Channel(m.topic), m.data)
			}
			if _, err := pipe.Exec(ctx); err != nil {
				b.stats.Dropped.Add(int64(len(batch))) // who listens is told when Redis is back
				continue
			}
			b.stats.Out.Add(int64(len(batch)))
		}
	}
}

// Encode is how nodes write what they tell each other: CBOR. Both run versions of
// the same program, and skip what they do not know.
func Encode(v any) []byte {
	data, err := cbor.Marshal(v)
	if err != nil {
		panic(err) // a struct of plain fields
	}
	return data
}
