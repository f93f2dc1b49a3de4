package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"runtime/debug"
	"sync/atomic"
	"syscall"
	"time"

	"atrium/chat"
	"atrium/collab"
	"atrium/collab/materialize"
	"atrium/dashboard"
	"atrium/internal/api"
	"atrium/internal/auth"
	"atrium/internal/bus"
	"atrium/internal/db"
	"atrium/internal/mux"
	"atrium/internal/webhook"
	"atrium/notify"
	"atrium/presence"
	"atrium/web"
)

type serveCommand struct {
	keySettings
	Addr           string   `help:"Listen address." env:"ATRIUM_ADDR" default:"127.0.0.1:8080"`
	JWKSURL        string   `name:"jwks-url" help:"Keys of an identity provider; HS256 tokens are refused then." env:"ATRIUM_JWKS_URL"`
	AllowedOrigins []string `help:"Browsers' origins, exact; default: the same host." env:"ATRIUM_ALLOWED_ORIGINS"`
	APIKeys        []string `name:"api-keys" help:"Keys for backends, with commas between them." env:"ATRIUM_API_KEYS"`
	QueryToken     bool     `help:"Accept ?token= on /ws." env:"ATRIUM_QUERY_TOKEN" default:"true" negatable:""`
	RedisURL       string   `name:"redis-url" help:"redis://…: join the cluster on that Redis." env:"ATRIUM_REDIS_URL"`
	WebhookURL     string   `name:"webhook-url" help:"Where to tell of documents by HTTP; default: nowhere." env:"ATRIUM_WEBHOOK_URL"`
	WebhookSecret  string   `name:"webhook-secret" help:"Key of the webhooks' signatures, 16 bytes at least." env:"ATRIUM_WEBHOOK_SECRET"`
	PprofAddr      string   `help:"Listen address for Go's profiles, loopback only; default: none." env:"ATRIUM_PPROF_ADDR"`
	LogLevel       string   `help:"debug, info, warn or error." env:"ATRIUM_LOG_LEVEL" default:"info" enum:"debug,info,warn,error"`
}

// drainTimeout is how long a stop waits for clients to hang up.
const drainTimeout = 10 * time.Second

// gcPercent is how much the heap may grow between collections, unless GOGC says
// so. What a connection needs for its join alone is garbage afterwards; in the
// steady state there is hardly any, so that collecting more often costs little.
const gcPercent = 40

// Run serves until SIGTERM or an interrupt.
func (c *serveCommand) Run() error {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
	if err := c.check(); err != nil {
		return err
	}
	var level slog.Level
	if err := level.UnmarshalText([]byte(c.LogLevel)); err != nil {
		return err
	}
	log := slog.New(slog.NewJSONHandler(os.Stderr, &slog.HandlerOptions{Level: level}))

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	s, err := c.start(ctx, log)
	if err != nil {
		return err
	}
	log.Info("listening", "addr", s.listener.Addr().String(), "version", version())
	if s.profiler != nil {
		log.Info("profiles", "url", fmt.Sprintf("http://%s/debug/pprof/", s.profiler.listener.Addr()))
	}
	if c.Dev {
		if err := c.welcome(s.listener.Addr()); err != nil {
			return err
		}
	}
	err = s.serve(ctx)
	stop() // a second signal ends the program at once
	log.Info("stopped")
	return err
}

// server is everything that runs.
type server struct {
	listener  net.Listener
	http      *http.Server
	db        *db.DB
	bus       *bus.Bus // nil: there is one node
	verifier  *auth.Verifier
	mux       *mux.Mux
	contents  *materialize.Pool
	collab    *collab.Module
	presence  *presence.Module
	notify    *notify.Module
	dashboard *dashboard.Module
	chat      *chat.Module
	operator  *operator
	api       *api.API
	webhooks  *webhook.Module // nil: nobody wants any
	profiler  *profiler       // nil: not asked for
	draining  atomic.Bool
}

// start opens and wires everything, from the ground up.
func (c *serveCommand) start(ctx context.Context, log *slog.Logger) (_ *server, err error) {
	s := &server{}
	defer func() {
		if err != nil {
			s.close()
		}
	}()
	authOptions, err := c.authOptions()
	if err != nil {
		return nil, err
	}
	if s.db, err = c.open(ctx, log); err != nil {
		return nil, err
	}
	identity, err := s.db.Identity(ctx)
	if err != nil {
		return nil, err
	}
	if c.RedisURL != "" {
		if s.bus, err = bus.New(bus.Options{URL: c.RedisURL, Cluster: identity.StorageID, Logger: log}); err != nil {
			return nil, err
		}
	}
	authOptions.Logger = log
	if s.verifier, err = auth.New(ctx, authOptions); err != nil {
		return nil, err
	}
	s.mux = mux.New(mux.Options{
		SenderID: identity.SenderID, StorageID: identity.StorageID, Version: version(),
		Verify: s.verify, Bus: s.bus,
		AllowedOrigins: c.AllowedOrigins, LoopbackOrigins: c.Dev, RefuseQuery: !c.QueryToken,
		Logger: log,
	})
	if s.presence, err = presence.New(ctx, presence.Options{DB: s.db, Mux: s.mux, Bus: s.bus, Logger: log}); err != nil {
		return nil, err
	}
	s.notify = notify.New(notify.Options{DB: s.db, Mux: s.mux, Bus: s.bus, Logger: log})
	s.chat = chat.New(chat.Options{DB: s.db, Mux: s.mux, Bus: s.bus, Mentioned: s.mentioned, Logger: log})
	own := newVitals(s)
	s.dashboard = dashboard.New(dashboard.Options{DB: s.db, Mux: s.mux, Bus: s.bus, Own: own.values, Logger: log})
	if s.contents, err = newWorkers(log); err != nil {
		return nil, err
	}
	if c.WebhookURL != "" {
		s.webhooks = webhook.New(webhook.Options{DB: s.db, URL: c.WebhookURL, Secret: []byte(c.WebhookSecret), Logger: log})
	}
	s.collab = collab.New(collab.Options{
		DB: s.db, Mux: s.mux, Bus: s.bus, SenderID: identity.SenderID, Contents: s.contents, Changed: s.changed(),
		Places: func(ctx context.Context, ids []string) ([][]collab.Place, int) { return s.operator.places(ctx, ids) }, Logger: log,
	})
	s.operator = newOperator(s, own)

	keys, err := c.apiKeys()
	if err != nil {
		return nil, err
	}
	s.api = api.New(api.Options{
		DB: s.db, Verify: s.verify, Keys: keys, Version: version(), AllowsOrigin: s.mux.AllowsOrigin, Logger: log,
	})

	routes := http.NewServeMux()
	routes.Handle("GET /ws", s.mux)
	s.collab.Routes(s.api)
	s.presence.Routes(s.api)
	s.notify.Routes(s.api)
	s.chat.Routes(s.api)
	s.dashboard.Routes(s.api)
	s.operator.Routes(s.api)
	s.api.Routes(routes)
	routes.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { status(w, http.StatusOK, "ok") })
	routes.HandleFunc("GET /readyz", s.ready)
	routes.Handle("GET /metrics", exporter{s}.handler())
	routes.Handle("/", web.Handler())
	routes.Handle("/dev/", http.NotFoundHandler())
	if c.Dev {
		dev{secret: authOptions.Secret, issuer: c.JWTIssuer, audience: c.JWTAudience}.routes(routes)
	} else {
		// The page asks, and a 404 would stand on its console as an error.
		routes.HandleFunc("GET /dev/session", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	}
	s.http = &http.Server{
		Handler:           routes,
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       time.Minute,
		IdleTimeout:       time.Minute,
		MaxHeaderBytes:    64 << 10,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
	if c.PprofAddr != "" {
		if s.profiler, err = newProfiler(c.PprofAddr); err != nil {
			return nil, err
		}
	}
	if s.listener, err = listen(ctx, c.Addr); err != nil {
		return nil, fmt.Errorf("cannot listen on ATRIUM_ADDR %s: %w", c.Addr, err)
	}
	return s, nil
}

// serve serves until ctx is done, then drains: no new sessions, what has been
// accepted is committed, sessions are told to come back later.
func (s *server) serve(ctx context.Context) error {
	telling := make(chan struct{})
	if s.bus != nil {
		go s.tellVitals(telling)
	}
	failed := make(chan error, 1)
	go func() { failed <- s.http.Serve(s.listener) }()
	var err error
	select {
	case err = <-failed:
	case <-ctx.Done():
	}
	s.draining.Store(true)
	close(telling)
	ctx, cancel := context.WithTimeout(context.Background(), drainTimeout)
	defer cancel()
	s.mux.StopReading()
	s.collab.Close(ctx)
	s.mux.Close(ctx)
	s.tellEnd()
	return errors.Join(err, s.http.Shutdown(ctx), s.close())
}

// verify checks a token, and whether it has been revoked.
func (s *server) verify(token string) (*auth.Identity, error) {
	id, err := s.verifier.Verify(token)
	if err == nil && s.presence.Revoked(id) {
		return nil, fmt.Errorf("%w: revoked", auth.ErrInvalid)
	}
	return id, err
}

// close releases what start has opened, as far as it got.
func (s *server) close() error {
	if s.profiler != nil {
		s.profiler.close()
	}
	if s.dashboard != nil {
		s.dashboard.Close()
	}
	if s.contents != nil {
		s.contents.Close()
	}
	if s.chat != nil {
		s.chat.Close()
	}
	if s.notify != nil {
		s.notify.Close()
	}
	if s.presence != nil {
		s.presence.Close()
	}
	if s.verifier != nil {
		s.verifier.Close()
	}
	if s.webhooks != nil {
		s.webhooks.Close()
	}
	s.bus.Close()
	if s.db != nil {
		return s.db.Close()
	}
	return nil
}

// ready answers whether this node should get clients.
func (s *server) ready(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), 2*time.Second)
	defer cancel()
	switch {
	case s.draining.Load():
		status(w, http.StatusServiceUnavailable, "draining")
	case s.db.Ping(ctx) != nil:
		status(w, http.StatusServiceUnavailable, "database unreachable")
	case !s.bus.Connected(): // clients are served all the same, and hear other nodes with delay
		answer(w, http.StatusOK, map[string]string{"status": "ok", "bus": "lost"})
	default:
		status(w, http.StatusOK, "ok")
	}
}

func status(w http.ResponseWriter, code int, text string) {
	answer(w, code, map[string]string{"status": text})
}

func answer(w http.ResponseWriter, code int, body map[string]string) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(code)
	json.NewEncoder(w).Encode(body)
}

// version is the module's version, or the commit that it was built from.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" && len(s.Value) >= 12 {
			return s.Value[:12]
		}
	}
	return info.Main.Version
}
