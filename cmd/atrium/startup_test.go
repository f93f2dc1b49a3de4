package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"atrium/internal/auth"
)

// run runs atrium to its end and returns what it printed and its exit code.
func run(t *testing.T, settings ...string) (stdout, stderr string, code int) {
	t.Helper()
	cmd := atrium(settings...)
	cmd.Dir = t.TempDir()
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	late := time.AfterFunc(patience, func() { cmd.Process.Kill() })
	defer late.Stop()
	if err := cmd.Wait(); err != nil {
		if _, exited := err.(*exec.ExitError); !exited {
			t.Fatal(err)
		}
	}
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}

// TestStartUpMistakes: each is answered by one sentence that says what to do.
func TestStartUpMistakes(t *testing.T) {
	t.Parallel()
	running := startServer(t, onFile)
	newer := newServer(t, onFile)
	newer.start()
	newer.stop()
	if _, err := openDB(t, newer).Exec(`INSERT INTO goose_db_version (version_id, is_applied) VALUES (999, 1)`); err != nil {
		t.Fatal(err)
	}
	damaged := t.TempDir()
	if err := os.WriteFile(filepath.Join(damaged, "atrium.db"), bytes.Repeat([]byte("no database "), 1000), 0o600); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	port := running.addr[strings.LastIndexByte(running.addr, ':'):]
	good := []string{"ATRIUM_JWT_SECRET=" + secret, "ATRIUM_ADDR=127.0.0.1:0"}
	with := func(more ...string) []string { return append(more, good...) }
	tests := []struct {
		name     string
		settings []string
		says     []string
	}{
		{"no key source", []string{"ATRIUM_ADDR=127.0.0.1:0"}, []string{"ATRIUM_JWT_SECRET", "ATRIUM_JWKS_URL", "--dev"}},
		{"a short secret", []string{"ATRIUM_JWT_SECRET=" + strings.Repeat("x", 31)}, []string{"ATRIUM_JWT_SECRET", "31", "32"}},
		{"an unknown flag", with("--nope"), []string{"--nope"}},
		{"an unknown argument", with("nope"), []string{"nope"}},
		{"a bad boolean", with("ATRIUM_QUERY_TOKEN=perhaps"), []string{"ATRIUM_QUERY_TOKEN", "perhaps"}},
		{"a bad log level", with("ATRIUM_LOG_LEVEL=loud"), []string{"loud"}},
		{"a data directory that is a file", with("ATRIUM_DATA_DIR=" + file), []string{file}},
		{"a data directory inside of a file", with("ATRIUM_DATA_DIR=" + file + "/data"), []string{file}},
		{"a data directory in use", with("ATRIUM_DATA_DIR=" + running.dir), []string{running.dir, "in use", "stop"}},
		{"an unwritable data directory", with("ATRIUM_DATA_DIR=/proc"), []string{"/proc", "not writable"}}, // not even by root
		{"a newer schema", with("ATRIUM_DATA_DIR=" + newer.dir), []string{"999", "newer"}},
		{"a file that is no database", with("ATRIUM_DATA_DIR=" + damaged), []string{"atrium.db"}},
		{"profiles for everybody", with("--pprof-addr", "0.0.0.0:0"), []string{"ATRIUM_PPROF_ADDR", "loopback", "0.0.0.0:0"}},
		{"profiles on a port alone", with("ATRIUM_PPROF_ADDR=:6060"), []string{"ATRIUM_PPROF_ADDR", "loopback"}},
		{"profiles on a port in use", with("ATRIUM_PPROF_ADDR=127.0.0.1" + port), []string{"ATRIUM_PPROF_ADDR", port}},
		{"an address without port", with("--addr", "127.0.0.1"), []string{"127.0.0.1", "host:port"}},
		{"an address with a bad port", with("--addr", "127.0.0.1:http-ish"), []string{"127.0.0.1:http-ish"}},
		{"an address that is not ours", with("--addr", "192.0.2.1:0"), []string{"192.0.2.1"}},
		{"a port in use", with("--addr", "127.0.0.1"+port), []string{port, "in use"}},
		{"--dev on all addresses", []string{"--dev", "ATRIUM_ADDR=0.0.0.0:0"}, []string{"--dev", "loopback", "127.0.0.1"}},
		{"--dev on all addresses, IPv6", []string{"--dev", "ATRIUM_ADDR=[::]:0"}, []string{"--dev", "loopback", "127.0.0.1"}},
		{"--dev with a port alone", []string{"--dev", "ATRIUM_ADDR=:0"}, []string{"--dev", "loopback", "127.0.0.1"}},
		{"--dev on a public address", []string{"--dev", "ATRIUM_ADDR=203.0.113.7:8080"}, []string{"--dev", "loopback", "127.0.0.1"}},
		{"--dev on a name", []string{"--dev", "ATRIUM_ADDR=localhost.example.com:8080"}, []string{"--dev", "loopback", "127.0.0.1"}},
		{"--dev from the environment", []string{"ATRIUM_DEV=1", "ATRIUM_ADDR=0.0.0.0:0"}, []string{"--dev", "loopback"}},
		{"--dev with a key set", []string{"--dev", "ATRIUM_JWKS_URL=https://id.example.com/keys"}, []string{"ATRIUM_JWKS_URL"}},
		{"an origin with a path", with("ATRIUM_ALLOWED_ORIGINS=https://app.example.com/"), []string{"ATRIUM_ALLOWED_ORIGINS", "https://app.example.com/"}},
		{"an origin with a wildcard", with("ATRIUM_ALLOWED_ORIGINS=https://*.example.com"), []string{"ATRIUM_ALLOWED_ORIGINS"}},
		{"webhooks without a secret", with("ATRIUM_WEBHOOK_URL=https://app.example.com/hooks"), []string{"ATRIUM_WEBHOOK_SECRET", "16"}},
		{"webhooks with a short secret", with("--webhook-url", "http://localhost/", "--webhook-secret", strings.Repeat("x", 15)), []string{"ATRIUM_WEBHOOK_SECRET", "15", "16"}},
		{"webhooks by another protocol", with("ATRIUM_WEBHOOK_URL=ftp://app.example.com/hooks", "ATRIUM_WEBHOOK_SECRET="+webhookSecret), []string{"ATRIUM_WEBHOOK_URL", "https"}},
		{"webhooks to no host", with("ATRIUM_WEBHOOK_URL=https:///hooks", "ATRIUM_WEBHOOK_SECRET="+webhookSecret), []string{"ATRIUM_WEBHOOK_URL", "https"}},
		{"webhooks to a path", with("ATRIUM_WEBHOOK_URL=/hooks", "ATRIUM_WEBHOOK_SECRET="+webhookSecret), []string{"ATRIUM_WEBHOOK_URL", "https"}},
		{"another database", with("ATRIUM_DATABASE_URL=mysql://user:password@localhost/atrium"), []string{"ATRIUM_DATABASE_URL", "postgres://"}},
		{"Postgres that is not there", with("ATRIUM_DATABASE_URL=postgres://user:password@127.0.0.1:1/atrium"), []string{"127.0.0.1", "refused"}},
		{"Redis alone", with("ATRIUM_REDIS_URL=redis://localhost"), []string{"ATRIUM_REDIS_URL", "ATRIUM_DATABASE_URL"}},
		{"another bus", with("ATRIUM_DATABASE_URL=postgres://localhost/atrium", "ATRIUM_REDIS_URL=amqp://user:password@localhost"), []string{"ATRIUM_REDIS_URL", "redis://"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			stdout, stderr, code := run(t, append([]string{"serve"}, test.settings...)...)
			if code == 0 || code == -1 || strings.Contains(stderr, "panic") {
				t.Errorf("exit code %d, want one that says no", code)
			}
			if stdout != "" {
				t.Errorf("it printed %q", stdout)
			}
			if strings.Count(strings.TrimSpace(stderr), "\n") > 0 {
				t.Errorf("more than a sentence: %q", stderr)
			}
			for _, text := range test.says {
				if !strings.Contains(stderr, text) {
					t.Errorf("%q does not say %q", stderr, text)
				}
			}
		})
	}
}

func TestTokenCommand(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	doc := newDocument()
	key := "ATRIUM_JWT_SECRET=" + secret
	stdout, stderr, code := run(t, "token", key, "--sub", "alice", "--name", "Alice", "--doc", doc+"=write", "--doc", "*=read", "--room", "team-*=read", "--metric", "*=none", "--admin", "--ttl", "90m")
	if code != 0 || stderr != "" {
		t.Fatalf("exit code %d: %s", code, stderr)
	}
	tok, lines := strings.TrimSuffix(stdout, "\n"), strings.Count(stdout, "\n")
	if lines != 1 {
		t.Errorf("it printed %d lines, want the token alone", lines)
	}
	v, err := auth.New(t.Context(), auth.Options{Secret: []byte(secret)})
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	id, err := v.Verify(tok)
	if err != nil {
		t.Fatal(err)
	}
	if ttl := time.Until(id.Expires); id.UserID != "alice" || id.Name != "Alice" || !id.Admin || ttl < 89*time.Minute || ttl > 91*time.Minute {
		t.Errorf("the token says %+v", id)
	}
	for _, grant := range []struct {
		got  auth.Level
		want auth.Level
	}{
		{id.Docs.Level(doc), auth.Write}, {id.Docs.Level("other"), auth.Read},
		{id.Rooms.Level("team-a"), auth.Read}, {id.Rooms.Level("news"), auth.None}, {id.Metrics.Level("cpu"), auth.None},
	} {
		if grant.got != grant.want {
			t.Errorf("granted %s, want %s", grant.got, grant.want)
		}
	}
	c := connect(t, s, "alice")
	c.join(withToken(tok))
	c.expect("peer")
	c.author(doc).write()

	mistakes := []struct {
		name     string
		settings []string
		says     string
	}{
		{"no secret", []string{"--sub", "alice"}, "ATRIUM_JWT_SECRET"},
		{"a short secret", []string{"--sub", "alice", "--jwt-secret", "short"}, "32"},
		{"no sub", []string{key}, "--sub"},
		{"an unknown level", []string{key, "--sub", "alice", "--doc", "*=all"}, "level"},
		{"no level", []string{key, "--sub", "alice", "--doc", "*"}, "--doc"},
		{"a wildcard in the middle", []string{key, "--sub", "alice", "--doc", "a*b=read"}, "asterisk"},
		{"a time to live of nothing", []string{key, "--sub", "alice", "--ttl", "0s"}, "expire"},
	}
	for _, test := range mistakes {
		t.Run(test.name, func(t *testing.T) {
			stdout, stderr, code := run(t, append([]string{"token"}, test.settings...)...)
			if code == 0 || stdout != "" || !strings.Contains(stderr, test.says) || strings.Count(strings.TrimSpace(stderr), "\n") > 0 {
				t.Errorf("exit code %d, %q, %q, want a sentence with %q", code, stdout, stderr, test.says)
			}
		})
	}
}
