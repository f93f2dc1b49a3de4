package scratch

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
)

// postgresBin is where Debian has Postgres' programs.
const postgresBin = "/usr/lib/postgresql/*/bin/"

// NewPostgres starts a server of its own, which ends with the test. Settings are
// those of postgresql.conf, such as "fsync=on": it is off unless they say so.
func NewPostgres(t T, settings ...string) *Server {
	t.Helper()
	s := startPostgres(t, settings...)
	t.Cleanup(func() { s.stdin.Close() })
	return s
}

func startPostgres(t T, settings ...string) *Server {
	t.Helper()
	dir := tempDir(t)
	data := filepath.Join(dir, "data")
	init := exec.Command(find(t, "initdb", postgresBin+"initdb"), "--pgdata", data, "--auth=trust", "--username=atrium",
		"--encoding=UTF8", "--locale=C.UTF-8", "--no-sync", "--no-instructions")
	init.Dir = dir
	init.SysProcAttr = &syscall.SysProcAttr{Credential: unprivileged(t)}
	if out, err := init.CombinedOutput(); err != nil {
		t.Fatalf("initdb: %v\n%s", err, out)
	}
	addr, port := freeAddr(t)
	s := &Server{
		Addr: addr, t: t, dir: dir,
		// A killed server loses nothing without fsync; a machine would.
		command: []string{find(t, "postgres", postgresBin+"postgres"), "-D", data, "-h", "127.0.0.1", "-p", port, "-k", "", "-F",
			"-c", "max_connections=500", "-c", "shared_buffers=64MB", "-c", "log_min_messages=warning"},
	}
	for _, setting := range settings { // the last one holds
		s.command = append(s.command, "-c", setting)
	}
	s.answers = func() error {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		conn, err := pgx.Connect(ctx, s.URL("postgres"))
		if err != nil {
			return err
		}
		return conn.Close(ctx)
	}
	s.Start()
	return s
}

// URL is the address of one of a Postgres server's databases.
func (s *Server) URL(database string) string {
	return "postgres://atrium@" + s.Addr + "/" + database + "?sslmode=disable"
}

// CreateDatabase makes an empty one, and returns its address.
func (s *Server) CreateDatabase(t T) string {
	t.Helper()
	return createDatabase(t, s.URL("postgres"))
}

var (
	shared     sync.Once
	sharedURL  string
	databaseNo atomic.Int64
)

// Database returns the address of an empty Postgres database: on the server of
// ATRIUM_TEST_POSTGRES_URL, or on one that all tests of this process share.
func Database(t T) string {
	t.Helper()
	shared.Do(func() {
		if sharedURL = os.Getenv("ATRIUM_TEST_POSTGRES_URL"); sharedURL == "" {
			sharedURL = startPostgres(t).URL("postgres")
		}
	})
	if sharedURL == "" {
		t.Fatal("Postgres did not start, see the first test that wanted it")
	}
	return createDatabase(t, sharedURL)
}

func createDatabase(t T, server string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	name := fmt.Sprintf("test_%d_%d_%d", os.Getpid(), time.Now().UnixNano(), databaseNo.Add(1))
	conn, err := pgx.Connect(ctx, server)
	if err == nil {
		_, err = conn.Exec(ctx, "CREATE DATABASE "+name)
		conn.Close(ctx)
	}
	if err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse(server)
	if err != nil {
		t.Fatal(err)
	}
	u.Path = "/" + name
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if conn, err := pgx.Connect(ctx, server); err == nil { // or the server is gone already
			conn.Exec(ctx, "DROP DATABASE IF EXISTS "+name+" WITH (FORCE)")
			conn.Close(ctx)
		}
	})
	return u.String()
}
