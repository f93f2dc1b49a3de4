package bench

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/gorilla/websocket"
)

// Relay serves the floor on a free port of loopback, until ctx is done: what a
// writer (/writer) sends is copied to every observer (/observer), one after the
// other, and what observers send is thrown away. It looks into nothing and keeps
// nothing, and one stalled observer stops it: no server can do with less, and
// none should do it like this.
func Relay(ctx context.Context, log *slog.Logger) error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	r := &relay{observers: make(map[net.Conn]bool)}
	routes := http.NewServeMux()
	routes.HandleFunc("GET /writer", r.accept(r.write))
	routes.HandleFunc("GET /observer", r.accept(r.observe))
	server := &http.Server{Handler: routes, ReadHeaderTimeout: 10 * time.Second}
	stop := context.AfterFunc(ctx, func() { server.Close() })
	defer stop()
	log.Info("listening", "addr", l.Addr().String())
	if err := server.Serve(l); err != http.ErrServerClosed {
		return err
	}
	return nil
}

type relay struct {
	mu        sync.RWMutex
	observers map[net.Conn]bool // guarded by mu
}

func (r *relay) accept(serve func(net.Conn)) http.HandlerFunc {
	upgrader := websocket.Upgrader{ReadBufferSize: 256, WriteBufferSize: 256}
	return func(w http.ResponseWriter, req *http.Request) {
		ws, err := upgrader.Upgrade(w, req, nil)
		if err != nil {
			return // Upgrade has answered
		}
		go serve(ws.NetConn()) // not here: the HTTP server's goroutine has grown large
	}
}

// observe reads what an observer sends, and forgets it.
func (r *relay) observe(conn net.Conn) {
	defer conn.Close()
	r.mu.Lock()
	r.observers[conn] = true
	r.mu.Unlock()
	in := newFrameReader(conn, 1<<10)
	for {
		if op, _, err := in.next(); err != nil || op == opClose {
			break
		}
	}
	r.mu.Lock()
	delete(r.observers, conn)
	r.mu.Unlock()
}

// write copies what a writer sends.
func (r *relay) write(conn net.Conn) {
	defer conn.Close()
	in := newFrameReader(conn, 4<<10)
	var frame []byte
	for {
		op, payload, err := in.next()
		if err != nil || op == opClose {
			return
		}
		frame = append(appendHead(frame[:0], op, len(payload), false), payload...)
		r.mu.RLock()
		for observer := range r.observers {
			observer.Write(frame) // its reader sees what is wrong with it
		}
		r.mu.RUnlock()
	}
}
