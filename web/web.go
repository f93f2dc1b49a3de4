// Package web holds Atrium's page as Vite built it and serves it. It knows no
// session, token or document, and reads no file at run time: what is served was
// embedded when the binary was built.
package web

import (
	"bytes"
	"embed"
	"io"
	"io/fs"
	"net/http"
	"path"
	"strings"
	"sync"
	"time"

	"github.com/klauspost/compress/gzip"
)

//go:embed all:dist
var dist embed.FS

//go:embed placeholder/index.html
var placeholder embed.FS

const indexPage = "index.html"

// policy lets the page run its own scripts and the Automerge WebAssembly, talk to
// this server, and show users' pictures; nothing else.
const policy = "default-src 'self'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self' 'unsafe-inline'; " +
	"connect-src 'self'; img-src 'self' data: https:; base-uri 'none'; frame-ancestors 'none'; form-action 'self'"

// contentTypes are fixed because those of package mime depend on the machine.
// WebAssembly is compiled while it streams only as application/wasm.
var contentTypes = map[string]string{
	".css":  "text/css; charset=utf-8",
	".html": "text/html; charset=utf-8",
	".js":   "text/javascript; charset=utf-8",
	".svg":  "image/svg+xml",
	".wasm": "application/wasm",
}

// handler serves one tree of files.
type handler struct {
	files  fs.FS    // set once
	packed sync.Map // file name to its content in gzip, nil for what gets no smaller by it
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
	header.Set("Vary", "Accept-Encoding")
	if accepts(r, "gzip") {
		if packed := h.pack(name, content); packed != nil {
			header.Set("Content-Encoding", "gzip")
			content = bytes.NewReader(packed)
		}
	}
	http.ServeContent(w, r, name, time.Time{}, content)
}

// accepts reports whether a client can read an encoding.
func accepts(r *http.Request, encoding string) bool {
	for _, part := range strings.Split(r.Header.Get("Accept-Encoding"), ",") {
		name, quality, _ := strings.Cut(part, ";")
		if strings.EqualFold(strings.TrimSpace(name), encoding) {
			return strings.ReplaceAll(quality, " ", "") != "q=0"
		}
	}
	return false
}

// pack returns a file's content in gzip, nil if that is no smaller. Each file is
// packed once: it stays as it is for as long as the binary runs.
func (h *handler) pack(name string, content io.ReadSeeker) []byte {
	once, _ := h.packed.LoadOrStore(name, sync.OnceValue(func() []byte {
		var packed bytes.Buffer
		zip, err := gzip.NewWriterLevel(&packed, gzip.BestCompression)
		if err != nil {
			panic(err) // the level is a constant and valid
		}
		size, err := io.Copy(zip, content)
		if err == nil {
			err = zip.Close()
		}
		if _, back := content.Seek(0, io.SeekStart); err != nil || back != nil || int64(packed.Len()) >= size {
			return nil
		}
		return packed.Bytes()
	}))
	return once.(func() []byte)()
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
