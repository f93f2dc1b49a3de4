package main

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"atrium/cmd/atrium/bench"
)

// benchCommand measures an atrium from outside.
type benchCommand struct {
	Docs    benchDocsCommand    `cmd:"" help:"One document with many readers, beside the floor and a rival."`
	Floor   benchFloorCommand   `cmd:"" help:"The floor alone: a relay that only copies frames."`
	Cursors benchCursorsCommand `cmd:"" help:"One document in which everybody moves a cursor."`
	Chat    benchChatCommand    `cmd:"" help:"One chat room with many members, beside the floor."`
	Push    benchPushCommand    `cmd:"" help:"Notifications from an HTTP call to the user's socket."`
	Edits   benchEditsCommand   `cmd:"" help:"Edits of many documents, each acknowledged once it is on disk."`
	Idle    benchIdleCommand    `cmd:"" help:"Memory of sessions that do nothing."`
	Relay   benchRelayCommand   `cmd:"" hidden:"" help:"The floor's server."`
}

// serverFlags say which server is measured.
type serverFlags struct {
	URL       []string `name:"url" help:"WebSocket address of a running server, such as ws://127.0.0.1:8080/ws, or of each node; clients take them in turn. Default: a server of the bench's own."`
	Token     string   `help:"Token for all sessions on that server."`
	JWTSecret string   `name:"jwt-secret" help:"That server's key, to sign a token for each user with." env:"ATRIUM_BENCH_JWT_SECRET"`
	APIKey    string   `name:"api-key" help:"One of that server's keys for backends." env:"ATRIUM_BENCH_API_KEY"`
	PID       []int    `name:"pid" help:"Process of that server, or of each node, for CPU and memory."`

	Nodes       int    `help:"Nodes of the bench's own." default:"1"`
	DatabaseURL string `name:"database-url" help:"Postgres for them, which keeps what is written; default: SQLite." env:"ATRIUM_BENCH_DATABASE_URL"`
	RedisURL    string `name:"redis-url" help:"Redis for them." env:"ATRIUM_BENCH_REDIS_URL"`
}

func (f serverFlags) server() bench.Server {
	return bench.Server{
		URLs: f.URL, Token: f.Token, Secret: f.JWTSecret, APIKey: f.APIKey, PIDs: f.PID,
		Nodes: f.Nodes, DatabaseURL: f.DatabaseURL, RedisURL: f.RedisURL,
	}
}

// loadFlags say what is done to a document.
type loadFlags struct {
	Observers int           `help:"Sessions that read." default:"1500"`
	Writers   int           `help:"Sessions that type." default:"1"`
	Rate      float64       `help:"Edits per second, of all writers together." default:"10"`
	Preload   int           `help:"Changes that are in the document before." default:"1000"`
	Duration  time.Duration `help:"How long is typed." default:"10s"`
	Grace     time.Duration `help:"How long is waited for the last deliveries." default:"15s"`
	Runs      int           `help:"Runs of each target; they take turns." default:"3"`
	ReadOnly  bool          `help:"Observers may only read."`
	V2        bool          `name:"v2" help:"Observers read version 2 of sync messages, as stock clients do: the document is opened by its snapshot, once that stands."`
	Trace     string        `help:"Gzipped editing trace to type; default: one character after the other." type:"existingfile" placeholder:"FILE"`
	JSON      bool          `name:"json" help:"Print JSON instead of a table."`
}

func (f loadFlags) options() (bench.DocsOptions, error) {
	self, err := findSelf()
	return bench.DocsOptions{
		Load: bench.Load{
			Observers: f.Observers, Writers: f.Writers, Rate: f.Rate, Preload: f.Preload,
			Duration: f.Duration, Grace: f.Grace, ReadOnly: f.ReadOnly, V2: f.V2, Trace: f.Trace,
		},
		Runs: max(f.Runs, 1), Self: self, Floor: true, Log: os.Stderr,
	}, err
}

type benchDocsCommand struct {
	serverFlags
	loadFlags
	NoFloor bool   `help:"Leave the floor out."`
	Beside  string `help:"Measure another server too, started by this shell command; it listens on 127.0.0.1:$PORT." placeholder:"COMMAND"`
}

// Run measures and prints.
func (c *benchDocsCommand) Run() error {
	o, err := c.options()
	if err != nil {
		return err
	}
	o.Server, o.Floor, o.Beside = c.server(), !c.NoFloor, c.Beside
	return benchDocs(o, c.JSON)
}

type benchFloorCommand struct{ loadFlags }

// Run measures and prints.
func (c *benchFloorCommand) Run() error {
	o, err := c.options()
	if err != nil {
		return err
	}
	o.NoDocs = true
	return benchDocs(o, c.JSON)
}

func benchDocs(o bench.DocsOptions, asJSON bool) error {
	ctx, stop := interruptible()
	defer stop()
	report, err := bench.Docs(ctx, o)
	return printReport(report, err, asJSON)
}

type benchCursorsCommand struct {
	serverFlags
	Clients  int           `help:"Sessions that move and watch." default:"500"`
	Rate     float64       `help:"Moves per second of each." default:"10"`
	Duration time.Duration `help:"How long they move." default:"10s"`
	Grace    time.Duration `help:"How long is waited for the last positions." default:"5s"`
	Runs     int           `help:"Runs." default:"3"`
	JSON     bool          `name:"json" help:"Print JSON instead of a table."`
}

// Run measures and prints.
func (c *benchCursorsCommand) Run() error {
	self, err := findSelf()
	if err != nil {
		return err
	}
	ctx, stop := interruptible()
	defer stop()
	report, err := bench.Cursors(ctx, bench.CursorsOptions{
		Clients: c.Clients, Rate: c.Rate, Duration: c.Duration, Grace: c.Grace, Runs: max(c.Runs, 1),
		Server: c.server(), Self: self, Log: os.Stderr,
	})
	return printReport(report, err, c.JSON)
}

type benchChatCommand struct {
	serverFlags
	Members  int           `help:"Sessions in the room." default:"1000"`
	Writers  int           `help:"Members that write, in turn." default:"10"`
	Rate     float64       `help:"Messages per second, of all writers together." default:"50"`
	Duration time.Duration `help:"How long is written." default:"10s"`
	Grace    time.Duration `help:"How long is waited for the last deliveries." default:"5s"`
	Runs     int           `help:"Runs of each target; they take turns." default:"3"`
	NoFloor  bool          `help:"Leave the floor out."`
	JSON     bool          `name:"json" help:"Print JSON instead of a table."`
}

// Run measures and prints.
func (c *benchChatCommand) Run() error {
	self, err := findSelf()
	if err != nil {
		return err
	}
	ctx, stop := interruptible()
	defer stop()
	report, err := bench.Chat(ctx, bench.ChatOptions{
		ChatLoad: bench.ChatLoad{Members: c.Members, Writers: c.Writers, Rate: c.Rate, Duration: c.Duration, Grace: c.Grace},
		Runs:     max(c.Runs, 1), Server: c.server(), Self: self, Floor: !c.NoFloor, Log: os.Stderr,
	})
	return printReport(report, err, c.JSON)
}

type benchPushCommand struct {
	serverFlags
	Users    int           `help:"Users, each with one session." default:"1000"`
	Rate     float64       `help:"Notifications per second, to all users in turn." default:"1000"`
	Duration time.Duration `help:"How long is pushed." default:"10s"`
	Grace    time.Duration `help:"How long is waited for the last ones." default:"5s"`
	Runs     int           `help:"Runs." default:"3"`
	JSON     bool          `name:"json" help:"Print JSON instead of a table."`
}

// Run measures and prints.
func (c *benchPushCommand) Run() error {
	self, err := findSelf()
	if err != nil {
		return err
	}
	ctx, stop := interruptible()
	defer stop()
	report, err := bench.Push(ctx, bench.PushOptions{
		Users: c.Users, Rate: c.Rate, Duration: c.Duration, Grace: c.Grace, Runs: max(c.Runs, 1),
		Server: c.server(), Self: self, Log: os.Stderr,
	})
	return printReport(report, err, c.JSON)
}

type benchEditsCommand struct {
	serverFlags
	Documents int           `help:"Documents, each with one session that types." default:"200"`
	Window    int           `help:"Edits of each session that are on their way at once." default:"8"`
	Duration  time.Duration `help:"How long is typed: as fast as that goes, then at half that rate." default:"10s"`
	Grace     time.Duration `help:"How long is waited for the last acknowledgements." default:"15s"`
	Runs      int           `help:"Runs." default:"3"`
	JSON      bool          `name:"json" help:"Print JSON instead of a table."`
}

// Run measures and prints.
func (c *benchEditsCommand) Run() error {
	self, err := findSelf()
	if err != nil {
		return err
	}
	ctx, stop := interruptible()
	defer stop()
	report, err := bench.Edits(ctx, bench.EditsOptions{
		EditsLoad: bench.EditsLoad{Documents: c.Documents, Window: c.Window, Duration: c.Duration, Grace: c.Grace},
		Runs:      max(c.Runs, 1), Server: c.server(), Self: self, Log: os.Stderr,
	})
	return printReport(report, err, c.JSON)
}

type benchIdleCommand struct {
	serverFlags
	Sessions int           `help:"Sessions that join and do nothing." default:"10000"`
	Settle   time.Duration `help:"How long after the joins the memory is looked at again." default:"10s"`
	JSON     bool          `name:"json" help:"Print JSON instead of text."`
}

// Run measures and prints.
func (c *benchIdleCommand) Run() error {
	self, err := findSelf()
	if err != nil {
		return err
	}
	ctx, stop := interruptible()
	defer stop()
	report, err := bench.Idle(ctx, bench.IdleOptions{
		Sessions: c.Sessions, Settle: c.Settle, Server: c.server(), Self: self, Log: os.Stderr,
	})
	return printReport(report, err, c.JSON)
}

type benchRelayCommand struct{}

// Run serves until SIGTERM or an interrupt.
func (*benchRelayCommand) Run() error {
	ctx, stop := interruptible()
	defer stop()
	return bench.Relay(ctx, slog.New(slog.NewJSONHandler(os.Stderr, nil)))
}

func interruptible() (context.Context, context.CancelFunc) {
	return signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
}

// findSelf starts this program again with none of its settings. The tests' own
// stays, which makes them behave as atrium.
func findSelf() (self bench.Self, err error) {
	self.Path, err = os.Executable()
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, "ATRIUM_") || strings.HasPrefix(v, "ATRIUM_TEST_IS_ATRIUM=") {
			self.Env = append(self.Env, v)
		}
	}
	return self, err
}

// printReport prints what there is, and returns err: that a server ended badly
// makes no figure wrong.
func printReport[T any, P interface {
	*T
	Print(io.Writer) error
}](report P, err error, asJSON bool) error {
	if report == nil {
		return err
	}
	if !asJSON {
		return errors.Join(err, report.Print(os.Stdout))
	}
	out := json.NewEncoder(os.Stdout)
	out.SetIndent("", "  ")
	return errors.Join(err, out.Encode(report))
}
