package mux

import (
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// AllowsOrigin reports whether a browser may connect from where it says it
// is. What sends no Origin is no browser, and has nothing to be protected from.
func (m *Mux) AllowsOrigin(r *http.Request) bool {
	origin := r.Header.Get("Origin")
	if origin == "" {
		return true
	}
	if slices.Contains(m.opts.AllowedOrigins, origin) {
		return true
	}
	u, err := url.Parse(origin)
	if err != nil || u.Host == "" {
		return false
	}
	if len(m.opts.AllowedOrigins) == 0 && strings.EqualFold(u.Host, r.Host) {
		return true
	}
	return m.opts.LoopbackOrigins && loopback(u.Hostname())
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// requestToken returns the token that came with the upgrade, if any.
func requestToken(r *http.Request, query bool) string {
	if scheme, token, ok := strings.Cut(r.Header.Get("Authorization"), " "); ok && strings.EqualFold(scheme, "Bearer") {
		return strings.TrimSpace(token)
	}
	if query {
		return r.URL.Query().Get("token")
	}
	return ""
}
