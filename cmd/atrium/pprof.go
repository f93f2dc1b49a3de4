package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/pprof"
	"time"
)

// profiler serves Go's profiles on an address of its own, loopback only: they
// show what is in memory, and cost time to take.
type profiler struct {
	listener net.Listener
	http     *http.Server
}

func newProfiler(addr string) (*profiler, error) {
	listener, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("cannot listen on ATRIUM_PPROF_ADDR %s: %w", addr, err)
	}
	routes := http.NewServeMux()
	routes.HandleFunc("/debug/pprof/", pprof.Index)
	routes.HandleFunc("/debug/pprof/profile", pprof.Profile)
	routes.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
	routes.HandleFunc("/debug/pprof/trace", pprof.Trace)
	p := &profiler{listener, &http.Server{Handler: routes, ReadHeaderTimeout: 10 * time.Second}}
	go p.http.Serve(listener)
	return p, nil
}

func (p *profiler) close() error { return p.http.Shutdown(context.Background()) }
