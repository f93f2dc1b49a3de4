package scratch

import (
	"context"
	"os"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

// NewRedis starts a server of its own, which ends with the test. It keeps nothing
// when it is killed.
func NewRedis(t T) *Server {
	t.Helper()
	s := startRedis(t)
	t.Cleanup(func() { s.stdin.Close() })
	return s
}

func startRedis(t T) *Server {
	t.Helper()
	addr, port := freeAddr(t)
	s := &Server{
		Addr: addr, t: t, dir: tempDir(t),
		command: []string{find(t, "redis-server"), "--bind", "127.0.0.1", "--port", port, "--save", "", "--appendonly", "no"},
	}
	s.answers = func() error {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		client := redis.NewClient(&redis.Options{Addr: addr})
		defer client.Close()
		return client.Ping(ctx).Err()
	}
	s.Start()
	return s
}

// RedisURL is the address of a Redis server.
func (s *Server) RedisURL() string { return "redis://" + s.Addr }

var (
	sharedRedis    sync.Once
	sharedRedisURL string
)

// Redis returns the address of a Redis that others may use, too: that of
// ATRIUM_TEST_REDIS_URL, or one that all tests of this process share.
func Redis(t T) string {
	t.Helper()
	sharedRedis.Do(func() {
		if sharedRedisURL = os.Getenv("ATRIUM_TEST_REDIS_URL"); sharedRedisURL == "" {
			sharedRedisURL = startRedis(t).RedisURL()
		}
	})
	if sharedRedisURL == "" {
		t.Fatal("Redis did not start, see the first test that wanted it")
	}
	return sharedRedisURL
}
