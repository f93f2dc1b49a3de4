// Package web holds Atrium's page as Vite built it and serves it. It knows no
// session, token or document, and reads no file at run time: what is served was
// embedded when the binary was built.
package web

import (
	"embed"
	"io"
	"io/fs"
	"net/http"
	"path"
	"strings"
	"time"
)

//go:embed all:dist
var dist embed.FS

//go:embed placeholder/index.html
var placeholder embed.FS

const indexPage = "index.html"

// policy lets the page run its own scripts and the Automerge WebAssembly, and
// talk to this server; nothing else.
const policy = "default-src 'self'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self' 'unsafe-inline'; " +
	"connect-src 'self'; img-src 'self' data:; base-uri 'none'; frame-ancestors 'none'; form-action 'self'"

// contentTypes are fixed because those of package mime depend on the machine.
// WebAssembly is compiled while it streams only as application/wasm.
var contentTypes = map[string]string{
	".css":  "text/css; charset=utf-8",
	".html": "text/html; charset=utf-8",
	".js":   "text/javascript; charset=utf-8",
	".svg":  "image/svg+xml",
	".wasm": "application/wasm",
}

// handler serves one tree of files. Set once.
type handler struct {
	files fs.FS
}

// Handler returns a handler for GET and HEAD that serves the built page, or, in a
// binary that was built without it, a placeholder that says how to build it.
// Paths that name no file and have no extension get the page itself.
func Handler() http.Handler {
	built, err := fs.Sub(dist, "dist")
	if err != nil {
		panic(err) // the name is a constant and valid
	}
	spare, err := fs.Sub(placeholder, "placeholder")
	if err != nil {
		panic(err) // likewise
	}
	return newHandler(built, spare)
}

// newHandler serves built if that holds a page, else spare.
func newHandler(built, spare fs.FS) *handler {
	if _, err := fs.Stat(built, indexPage); err != nil {
		return &handler{files: spare}
	}
	return &handler{files: built}
}

// ServeHTTP implements [http.Handler].
func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	header := w.Header()
	header.Set("Content-Security-Policy", policy)
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("Referrer-Policy", "no-referrer")

	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		header.Set("Allow", "GET, HEAD")
		http.Error(w, "only GET and HEAD", http.StatusMethodNotAllowed)
		return
	}
	name := strings.TrimPrefix(path.Clean("/"+r.URL.Path), "/")
	file, err := h.open(name)
	if err != nil && path.Ext(name) == "" {
		name = indexPage
		file, err = h.open(name)
	}
	if err != nil {
		http.NotFound(w, r)
		return
	}
	defer file.Close()

	content, ok := file.(io.ReadSeeker)
	if !ok {
		http.Error(w, "not seekable", http.StatusInternalServerError)
		return
	}
	if kind, ok := contentTypes[path.Ext(name)]; ok {
		header.Set("Content-Type", kind)
	}
	// Vite puts a hash of the content into the names under assets/.
	if strings.HasPrefix(name, "assets/") {
		header.Set("Cache-Control", "public, max-age=31536000, immutable")
	} else {
		header.Set("Cache-Control", "no-cache")
	}
	http.ServeContent(w, r, name, time.Time{}, content)
}

// open opens a regular file; a directory is as good as nothing.
func (h *handler) open(name string) (fs.File, error) {
	file, err := h.files.Open(name)
	if err != nil {
		return nil, err
	}
	info, err := file.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fs.ErrNotExist
	}
	if err != nil {
		file.Close()
		return nil, err
	}
	return file, nil
}
