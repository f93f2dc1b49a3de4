package bus

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

const (
	silence      = 5 * time.Second // after which Redis is asked whether it is there
	maxSubscribe = 500             // topics in one command
	firstPause   = 50 * time.Millisecond
	maxPause     = 2 * time.Second
)

// receive hears Redis until Close.
func (b *Bus) receive() {
	pause, told := firstPause, false
	for {
		began := time.Now()
		err := b.hear()
		lost := b.connected.Swap(false)
		if b.ctx.Err() != nil {
			return
		}
		if lost {
			b.stats.Lost.Add(1)
		}
		if lost || !told { // once, until it is there again
			b.log.Error("Redis is away; other nodes are not heard", "error", err)
			told = true
		}
		if time.Since(began) > maxPause {
			pause = firstPause
		}
		select {
		case <-b.ctx.Done():
			return
		case <-time.After(pause):
		}
		pause = min(2*pause, maxPause)
	}
}

var errSilent = errors.New("no answer")

// hear subscribes to all topics, and passes on what comes, until the connection
// fails.
func (b *Bus) hear() error {
	ctx, cancel := context.WithCancel(b.ctx)
	defer cancel()
	// The first subscription makes the connection; nobody publishes there.
	ps := b.client.Subscribe(ctx, b.Channel("nodes"))
	context.AfterFunc(ctx, func() { ps.Close() }) // receiving does not look at ctx
	if _, err := ps.ReceiveTimeout(ctx, silence); err != nil {
		return err
	}
	if !b.connected.Swap(true) {
		b.log.Info("Redis is there")
	}
	failed := make(chan error, 1)
	b.running.Go(func() {
		if err := b.subscribe(ctx, ps); err != nil {
			failed <- err
			cancel() // ends receiving, too
		}
	})
	for asked := false; ; {
		m, err := ps.ReceiveTimeout(ctx, silence)
		var timeout net.Error
		switch {
		case err == nil:
			asked = false
			b.handle(m)
			continue
		case ctx.Err() != nil && b.ctx.Err() == nil:
			return <-failed
		case errors.As(err, &timeout) && timeout.Timeout() && !asked:
			asked = true
			if err = ps.Ping(ctx); err == nil {
				continue
			}
		case errors.As(err, &timeout) && timeout.Timeout():
			return errSilent
		}
		return err
	}
}

// subscribe subscribes to the topics that are listened to, and keeps doing so. An
// answer to each subscription comes to handle.
func (b *Bus) subscribe(ctx context.Context, ps *redis.PubSub) error {
	b.mu.Lock()
	asked := make([]string, 0, len(b.topics))
	for topic := range b.topics {
		asked = append(asked, topic)
	}
	b.asked = nil
	b.mu.Unlock()
	has := make(map[string]bool)
	for {
		var begin, end []string
		b.mu.Lock()
		for _, topic := range asked {
			switch wanted := b.topics[topic] != nil; {
			case wanted: // again, if there is a new listener: it wants the answer
				begin = append(begin, b.Channel(topic))
				has[topic] = true
			case has[topic]:
				end = append(end, b.Channel(topic))
				delete(has, topic)
			}
		}
		b.mu.Unlock()
		for _, x := range []struct {
			channels []string
			do       func(context.Context, ...string) error
		}{{begin, ps.Subscribe}, {end, ps.Unsubscribe}} {
			for list := x.channels; len(list) > 0; {
				n := min(len(list), maxSubscribe)
				if err := x.do(ctx, list[:n]...); err != nil {
					return fmt.Errorf("subscribe: %w", err)
				}
				list = list[n:]
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-b.ask:
		}
		b.mu.Lock()
		asked, b.asked = b.asked, nil
		b.mu.Unlock()
	}
}

// handle passes on what Redis has sent.
func (b *Bus) handle(m any) {
	switch m := m.(type) {
	case *redis.Subscription:
		if m.Kind != "subscribe" {
			return
		}
		if l := b.listener(m.Channel); l != nil && l.Missed != nil {
			l.Missed()
		}
	case *redis.Message:
		b.stats.In.Add(1)
		node, data, ok := cut(m.Payload)
		if !ok || node == b.Node() {
			return
		}
		if l := b.listener(m.Channel); l != nil {
			l.Message(node, []byte(data))
		}
	}
}

func cut(payload string) (node, data string, ok bool) {
	if len(payload) < len(nodeID{}) {
		return "", "", false
	}
	return payload[:len(nodeID{})], payload[len(nodeID{}):], true
}

func (b *Bus) listener(channel string) *Listener {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.topics[strings.TrimPrefix(channel, b.prefix)]
}
