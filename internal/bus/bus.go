// Package bus is what the nodes of a cluster tell each other: messages by topic,
// over Redis. A message may get lost; whoever listens is told when that may have
// happened, and reads the database then, which has everything that lasts.
//
// It knows nothing of what it carries, and it makes nobody wait for Redis. All
// methods of a nil *Bus do nothing: it is that of a node that is alone.
package bus

import (
	"context"
	"encoding/hex"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/redis/go-redis/v9"
)

// Options of New.
type Options struct {
	URL     string // required: redis://…
	Cluster string // required: what tells this cluster's keys from those of others on the same Redis

	Logger *slog.Logger // default: slog.Default()
}

// Bus is safe for concurrent use.
type Bus struct {
	log    *slog.Logger
	client *redis.Client
	prefix string // of keys and channels
	node   nodeID
	stats  Stats

	ctx     context.Context // done when Close has been called
	cancel  context.CancelFunc
	running sync.WaitGroup

	out       outbox
	connected atomic.Bool

	mu     sync.Mutex
	topics map[string]*Listener // by topic; guarded by mu
	asked  []string             // topics that have been listened to, or not any more, since subscribe looked; guarded by mu
	ask    chan struct{}        // holds a token when there are any
}

// nodeID is that of one start of one node.
type nodeID [16]byte

// Listener hears what other nodes publish. Its functions are called one after the
// other from one goroutine for all topics, and must not block.
type Listener struct {
	// Message gets what a node has published; data is its own from then on.
	Message func(node string, data []byte)
	// Missed says that messages may have been missed until now, but none from now
	// on: after the beginning, and after each time that Redis was away.
	Missed func()
}

// Stats counts messages.
type Stats struct {
	In, Out atomic.Int64 // from and to Redis
	Dropped atomic.Int64 // that could not be sent
	Lost    atomic.Int64 // times that the connection was lost
}

// New returns a bus, which connects, again and again if need be, by itself.
func New(o Options) (*Bus, error) {
	settings, err := parseURL(o.URL)
	if err != nil {
		return nil, err
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	settings.MaxRetries = -1
	settings.DialTimeout, settings.ReadTimeout, settings.WriteTimeout = 2*time.Second, 3*time.Second, 3*time.Second
	settings.ContextTimeoutEnabled = true
	settings.DisableIdentity = true
	b := &Bus{
		log: o.Logger, client: redis.NewClient(settings), prefix: "atrium:" + o.Cluster + ":", node: nodeID(uuid.New()),
		topics: make(map[string]*Listener), ask: make(chan struct{}, 1),
	}
	b.out.wake = make(chan struct{}, 1)
	b.ctx, b.cancel = context.WithCancel(context.Background())
	b.running.Go(b.receive)
	b.running.Go(b.send)
	return b, nil
}

// The client's own log is in another format, and says what ours does.
func init() { redis.SetLogger(silent{}) }

type silent struct{}

func (silent) Printf(context.Context, string, ...any) {}

// CheckURL finds mistakes in an address. Its error does not repeat it: there may be
// a password in it.
func CheckURL(address string) error {
	_, err := parseURL(address)
	return err
}

func parseURL(address string) (*redis.Options, error) {
	settings, err := redis.ParseURL(address)
	if err != nil {
		return nil, errors.New("ATRIUM_REDIS_URL is not an address such as redis://user:password@host:6379/0")
	}
	return settings, nil
}

// Node names this node, differently at each start. It is empty for one alone.
func (b *Bus) Node() string {
	if b == nil {
		return ""
	}
	return string(b.node[:])
}

// NodeName is how people are shown a node, by what Node returns.
func NodeName(node string) string { return hex.EncodeToString([]byte(node[:min(len(node), 4)])) }

// Connected reports whether Redis can be heard at the moment; a node alone misses
// nothing.
func (b *Bus) Connected() bool { return b == nil || b.connected.Load() }

// Stats returns the counters, nil for a node alone.
func (b *Bus) Stats() *Stats {
	if b == nil {
		return nil
	}
	return &b.stats
}

// Redis returns the client, for what is kept there, and what all keys of this
// cluster begin with. There is none for a node alone.
func (b *Bus) Redis() (client *redis.Client, prefix string) { return b.client, b.prefix }

// Channel is the Redis channel of a topic, for scripts that publish. What they
// publish begins with 16 bytes that name a node: zeros for none, which all hear.
func (b *Bus) Channel(topic string) string { return b.prefix + topic }

// Nobody is what stands before data that a script publishes.
var Nobody = string(make([]byte, len(nodeID{})))

// Listen has a listener hear a topic until stop is called. A topic has one
// listener at a time. After stop, its functions may be called once more.
func (b *Bus) Listen(topic string, l Listener) (stop func()) {
	if b == nil {
		return func() {}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.topics[topic] = &l
	b.change(topic)
	return func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		if b.topics[topic] == &l {
			delete(b.topics, topic)
			b.change(topic)
		}
	}
}

// change has subscribe look at a topic. It is called with mu held.
func (b *Bus) change(topic string) {
	b.asked = append(b.asked, topic)
	select {
	case b.ask <- struct{}{}:
	default:
	}
}

// Close sends what is still to be sent, if that takes no time, and disconnects.
func (b *Bus) Close() {
	if b == nil {
		return
	}
	b.cancel()
	b.running.Wait()
	b.client.Close()
}
