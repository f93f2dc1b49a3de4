package web

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/klauspost/compress/gzip"
)

var (
	spare = fstest.MapFS{indexPage: {Data: []byte("run make run")}}
	built = fstest.MapFS{
		indexPage:             {Data: []byte("the page")},
		"favicon.svg":         {Data: []byte("<svg/>")},
		"assets/main-1a2b.js": {Data: []byte("main()")},
		"assets/a-3c4d.wasm":  {Data: []byte("\x00asm")},
	}
)

func TestHandler(t *testing.T) {
	const page, never = "no-cache", "public, max-age=31536000, immutable"
	tests := []struct {
		name         string
		files        fstest.MapFS
		method, path string
		status       int
		body         string // what it contains
		kind, cache  string
	}{
		{"page", built, "GET", "/", 200, "the page", "text/html; charset=utf-8", page},
		{"page by name", built, "GET", "/index.html", 200, "the page", "text/html; charset=utf-8", page},
		{"unknown path", built, "GET", "/some/where", 200, "the page", "text/html; charset=utf-8", page},
		{"directory", built, "GET", "/assets/", 200, "the page", "text/html; charset=utf-8", page},
		{"script", built, "GET", "/assets/main-1a2b.js", 200, "main()", "text/javascript; charset=utf-8", never},
		{"wasm", built, "GET", "/assets/a-3c4d.wasm", 200, "\x00asm", "application/wasm", never},
		{"unhashed file", built, "GET", "/favicon.svg", 200, "<svg/>", "image/svg+xml", page},
		{"unknown file", built, "GET", "/assets/old-9f.js", 404, "not found", "", ""},
		{"up and out", built, "GET", "/../web.go", 404, "not found", "", ""},
		{"head", built, "HEAD", "/", 200, "", "text/html; charset=utf-8", page},
		{"post", built, "POST", "/", 405, "only GET and HEAD", "", ""},
		{"not built", fstest.MapFS{".gitkeep": {}}, "GET", "/", 200, "make run", "text/html; charset=utf-8", page},
		{"not built, unknown path", fstest.MapFS{}, "GET", "/x", 200, "make run", "text/html; charset=utf-8", page},
		{"not built, unknown file", fstest.MapFS{}, "GET", "/x.js", 404, "not found", "", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := httptest.NewRecorder()
			newHandler(tt.files, spare).ServeHTTP(w, httptest.NewRequest(tt.method, tt.path, nil))
			if w.Code != tt.status {
				t.Errorf("status = %d, want %d", w.Code, tt.status)
			}
			body := w.Body.String()
			if !strings.Contains(body, tt.body) || tt.method == http.MethodHead && body != "" {
				t.Errorf("body = %q, want %q in it", body, tt.body)
			}
			if got := w.Header().Get("Content-Type"); tt.kind != "" && got != tt.kind {
				t.Errorf("Content-Type = %q, want %q", got, tt.kind)
			}
			if got := w.Header().Get("Cache-Control"); got != tt.cache {
				t.Errorf("Cache-Control = %q, want %q", got, tt.cache)
			}
			for name, want := range map[string]string{
				"Content-Security-Policy": policy,
				"X-Content-Type-Options":  "nosniff",
				"Referrer-Policy":         "no-referrer",
			} {
				if got := w.Header().Get(name); got != want {
					t.Errorf("%s = %q, want %q", name, got, want)
				}
			}
		})
	}
}

// TestPacked asks for a script in gzip, and for what gets no smaller by it.
func TestPacked(t *testing.T) {
	script := strings.Repeat("export const a = 1\n", 1000)
	h := newHandler(fstest.MapFS{indexPage: {Data: []byte("x")}, "assets/a-1.js": {Data: []byte(script)}}, spare)
	for _, tt := range []struct {
		path, accept string
		packed       bool
		body         string
	}{
		{"/assets/a-1.js", "gzip, br", true, script},
		{"/assets/a-1.js", "br, gzip;q=0.5", true, script},
		{"/assets/a-1.js", "", false, script},
		{"/assets/a-1.js", "br, gzip; q=0", false, script},
		{"/", "gzip", false, "x"},
	} {
		for range 2 { // packed now, and taken from before
			w, r := httptest.NewRecorder(), httptest.NewRequest("GET", tt.path, nil)
			r.Header.Set("Accept-Encoding", tt.accept)
			h.ServeHTTP(w, r)
			if got := w.Header().Get("Content-Encoding"); (got == "gzip") != tt.packed {
				t.Errorf("%s for %q: Content-Encoding is %q", tt.path, tt.accept, got)
			}
			if got := w.Header().Get("Vary"); got != "Accept-Encoding" {
				t.Errorf("%s: Vary is %q", tt.path, got)
			}
			if size := w.Body.Len(); tt.packed && size > len(tt.body)/10 {
				t.Errorf("%s has %d bytes packed, %d unpacked", tt.path, size, len(tt.body))
			}
			var body io.Reader = w.Body
			if tt.packed {
				zip, err := gzip.NewReader(w.Body)
				if err != nil {
					t.Fatal(err)
				}
				body = zip
			}
			if got, err := io.ReadAll(body); err != nil || string(got) != tt.body {
				t.Errorf("%s for %q: %d bytes, %v; want %d", tt.path, tt.accept, len(got), err, len(tt.body))
			}
		}
	}
}

// TestEmbedded holds whether or not the page was built before the test.
func TestEmbedded(t *testing.T) {
	srv := httptest.NewServer(Handler())
	defer srv.Close()
	resp, err := http.Get(srv.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	if resp.StatusCode != 200 || !strings.Contains(string(body), "Atrium") {
		t.Errorf("status %d, body %q", resp.StatusCode, body)
	}
}
