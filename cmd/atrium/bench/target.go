package bench

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"time"

	"atrium/internal/auth"
)

// target is a server to be measured.
type target struct {
	name  string
	url   string
	meter meter
	relay bool // it speaks no protocol

	token  string // for all sessions
	secret []byte // or: what tokens are signed with
	apiKey string // for calls

	process *process // nil: it was there before
	dir     string   // to be removed in the end
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
func (t *target) Close() error {
	var err error
	if t.process != nil {
		if err = t.process.stop(); err != nil {
			err = fmt.Errorf("%s ended badly: %w\n%s", t.name, err, t.process.output.text())
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
func atriumTarget(self Self, s Server) (*target, error) {
	if s.URL != "" {
		return &target{name: "atrium", url: s.URL, token: s.Token, meter: meter{pid: s.PID}}, nil
	}
	dir, err := os.MkdirTemp("", "atrium-bench-")
	if err != nil {
		return nil, err
	}
	t := &target{name: "atrium", dir: dir}
	random := make([]byte, 32)
	rand.Read(random)
	t.secret = []byte(hex.EncodeToString(random))
	t.apiKey = hex.EncodeToString(random[:16]) + "-api"
	var addr string
	t.process, addr, err = self.start([]string{"ATRIUM_DATA_DIR=" + dir, "ATRIUM_JWT_SECRET=" + string(t.secret), "ATRIUM_API_KEYS=" + t.apiKey},
		"serve", "--addr", "127.0.0.1:0")
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	t.url = "ws://" + addr + "/ws"
	t.meter = meter{pid: t.process.cmd.Process.Pid, group: true}
	return t, nil
}

// relayTarget is the floor: see Relay.
func relayTarget(self Self) (*target, error) {
	p, addr, err := self.start(nil, "bench", "relay")
	if err != nil {
		return nil, err
	}
	return &target{name: "floor", url: "ws://" + addr, relay: true, process: p,
		meter: meter{pid: p.cmd.Process.Pid, group: true}}, nil
}

// rivalTarget is any other server that speaks automerge-repo's protocol.
func rivalTarget(ctx context.Context, self Self, command string) (*target, error) {
	p, addr, err := startShell(ctx, command, self.Env)
	if err != nil {
		return nil, err
	}
	return &target{name: "rival", url: "ws://" + addr + "/", process: p,
		meter: meter{pid: p.cmd.Process.Pid, group: true}}, nil
}
