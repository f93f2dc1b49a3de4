package bench

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"atrium/internal/auth"
)

// target is a server to be measured.
type target struct {
	name   string
	urls   []string // of its nodes
	on     string   // which stores; empty: unknown
	meters meters   // of its nodes; none: unknown
	relay  bool     // it speaks no protocol

	token  string // for all sessions
	secret []byte // or: what tokens are signed with
	apiKey string // for calls

	processes []*process // none: it was there before
	dir       string     // to be removed in the end
}

// url returns where the i-th client connects: they take the nodes in turn.
func (t *target) url(i int) string { return t.urls[i%len(t.urls)] }

// request makes a request to a node's HTTP interface.
func (t *target) request(ctx context.Context, method string, node int, path string, body []byte) (*http.Request, error) {
	u, err := url.Parse(t.urls[node])
	if err != nil {
		return nil, err
	}
	u.Scheme, u.Path, u.RawQuery = "http", path, ""
	req, err := http.NewRequestWithContext(ctx, method, u.String(), bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	if t.apiKey != "" {
		req.Header.Set("Authorization", "Bearer "+t.apiKey)
	}
	return req, nil
}

// tokenFor returns the token of one user, who may do as much with documents, and
// write into all rooms.
func (t *target) tokenFor(user string, level auth.Level) (string, error) {
	if t.secret == nil {
		return t.token, nil
	}
	now := time.Now()
	return auth.Mint(t.secret, auth.Claims{
		UserID: user, Name: user, IssuedAt: now, Expires: now.Add(24 * time.Hour),
		Docs: map[string]string{"*": level.String()}, Rooms: map[string]string{"*": auth.Write.String()},
	})
}

// Close stops what the bench has started.
func (t *target) Close() (err error) {
	for _, p := range t.processes {
		if stopErr := p.stop(); stopErr != nil {
			err = errors.Join(err, fmt.Errorf("%s ended badly: %w\n%s", t.name, stopErr, p.output.text()))
		}
	}
	if t.dir != "" {
		err = errors.Join(err, os.RemoveAll(t.dir))
	}
	return err
}

// targets are measured beside each other.
type targets []*target

// Close closes them all.
func (all targets) Close() (err error) {
	for _, t := range all {
		err = errors.Join(err, t.Close())
	}
	return err
}

// atriumTarget is the server given, or else an atrium of the bench's own.
func atriumTarget(ctx context.Context, self Self, s Server) (*target, error) {
	if err := s.check(); err != nil {
		return nil, err
	}
	t := &target{name: "atrium", urls: s.URLs, token: s.Token, apiKey: s.APIKey}
	if s.Secret != "" {
		t.secret = []byte(s.Secret)
	}
	for _, pid := range s.PIDs {
		t.meters = append(t.meters, meter{pid: pid})
	}
	if len(t.urls) > 0 {
		return t, nil
	}
	random := make([]byte, 32)
	rand.Read(random)
	t.token, t.secret, t.apiKey = "", []byte(hex.EncodeToString(random)), hex.EncodeToString(random[:16])+"-api"
	err := t.start(ctx, self, s)
	if err != nil {
		return nil, errors.Join(err, t.Close())
	}
	return t, nil
}

// start starts the nodes, and waits until they hear each other.
func (t *target) start(ctx context.Context, self Self, s Server) (err error) {
	settings := []string{"ATRIUM_JWT_SECRET=" + string(t.secret), "ATRIUM_API_KEYS=" + t.apiKey}
	t.on = "SQLite"
	if s.DatabaseURL != "" {
		settings, t.on = append(settings, "ATRIUM_DATABASE_URL="+s.DatabaseURL), "Postgres"
	}
	if s.RedisURL != "" {
		settings, t.on = append(settings, "ATRIUM_REDIS_URL="+s.RedisURL), t.on+" and Redis"
	}
	if t.dir, err = os.MkdirTemp("", "atrium-bench-"); err != nil {
		return err
	}
	for i := range s.Nodes {
		own := append([]string{"ATRIUM_DATA_DIR=" + filepath.Join(t.dir, strconv.Itoa(i))}, settings...)
		p, addr, err := self.start(own, "serve", "--addr", "127.0.0.1:0")
		if err != nil {
			return err
		}
		t.processes = append(t.processes, p)
		t.meters = append(t.meters, meter{pid: p.cmd.Process.Pid, group: true})
		t.urls = append(t.urls, "ws://"+addr+"/ws")
	}
	if s.RedisURL == "" {
		return nil
	}
	return t.awaitBus(ctx)
}

// awaitBus waits until every node hears the others: one that does not yet finds
// what they do with delay.
func (t *target) awaitBus(ctx context.Context) error {
	for node := range t.urls {
		for end := time.Now().Add(startTimeout); ; {
			body, err := t.get(ctx, node, "/readyz")
			if err == nil && strings.Contains(string(body), `"ok"`) {
				break
			}
			if time.Now().After(end) {
				return fmt.Errorf("node %d does not hear Redis within %s: %w", node, startTimeout, cmp.Or(err, errors.New(string(body))))
			}
			if err := pause(ctx, 20*time.Millisecond); err != nil {
				return err
			}
		}
	}
	return nil
}

// get reads one of a node's pages.
func (t *target) get(ctx context.Context, node int, path string) ([]byte, error) {
	req, err := t.request(ctx, http.MethodGet, node, path, nil)
	if err != nil {
		return nil, err
	}
	req.Close = true
	resp, err := (&http.Client{Timeout: joinTimeout}).Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: the server answers %s %s", path, resp.Status, body)
	}
	return body, err
}

// relayTarget is the floor: see Relay.
func relayTarget(self Self) (*target, error) {
	p, addr, err := self.start(nil, "bench", "relay")
	if err != nil {
		return nil, err
	}
	return &target{name: "floor", urls: []string{"ws://" + addr}, relay: true, processes: []*process{p},
		meters: meters{{pid: p.cmd.Process.Pid, group: true}}}, nil
}

// rivalTarget is any other server that speaks automerge-repo's protocol.
func rivalTarget(ctx context.Context, self Self, command string) (*target, error) {
	p, addr, err := startShell(ctx, command, self.Env)
	if err != nil {
		return nil, err
	}
	return &target{name: "rival", urls: []string{"ws://" + addr + "/"}, processes: []*process{p},
		meters: meters{{pid: p.cmd.Process.Pid, group: true}}}, nil
}
