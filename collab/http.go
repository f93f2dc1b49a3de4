package collab

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"atrium/collab/change"
	"atrium/collab/materialize"
	"atrium/internal/api"
	"atrium/internal/auth"
	"atrium/internal/mux"
)

// Calls about documents, under /api/v1/documents.

const (
	typeAutomerge  = "application/vnd.automerge"
	typeMergePatch = "application/merge-patch+json"
	typeJSONPatch  = "application/json-patch+json"

	maxImport = 64 << 20 // bytes

	// Calls at once: each may hold a document and a body in memory.
	maxCalls   = 16
	maxImports = 2
)

type (
	// DocumentPath is exported for huma, which looks into no other embedded structs.
	DocumentPath struct {
		DocumentID string `path:"documentId" doc:"With or without automerge: before it"`
	}
	createDocument struct {
		Body struct {
			DocumentID string          `json:"documentId,omitempty" doc:"bs58check; default: a new one"`
			Content    json.RawMessage `json:"content,omitempty" doc:"An object, up to 16 MiB; strings become texts"`
		}
	}
	createdDocument struct {
		Body created
	}
	created struct {
		DocumentID string   `json:"documentId"`
		URL        string   `json:"url"`
		Heads      []string `json:"heads" nullable:"false"`
	}
	readDocument struct {
		DocumentPath
		Heads       string `query:"heads" doc:"Hashes, in hex or bs58check, with commas between them: the document as it was then"`
		Accept      string `header:"Accept"`
		IfNoneMatch string `header:"If-None-Match"`
	}
	rawDocument struct {
		Status      int
		ContentType string `header:"Content-Type"`
		ETag        string `header:"ETag"`
		Vary        string `header:"Vary"`
		Body        []byte
	}
	patchDocument struct {
		DocumentPath
		Heads       string `query:"heads" doc:"The state that the patch is of; default: that at the time of the call"`
		Message     string `query:"message" maxLength:"1024" doc:"Kept with the change"`
		IfMatch     string `header:"If-Match"`
		ContentType string `header:"Content-Type"`
		RawBody     []byte
	}
	changedDocument struct {
		ETag string `header:"ETag"`
		Body struct {
			Heads []string `json:"heads" nullable:"false"`
		}
	}
	restoreDocument struct {
		DocumentPath
		Body struct {
			Heads []string `json:"heads" minItems:"1" nullable:"false" doc:"The state to go back to"`
		}
	}
	importDocument struct {
		DocumentPath
		RawBody []byte `contentType:"application/vnd.automerge"`
	}
	empty struct{}
)

// mayDo lets those call whose token grants as much on the document, and backends.
func mayDo(least auth.Level) api.Access {
	return func(c *api.Caller, param func(string) string) bool {
		return c.Backend() || c.Identity.Docs.Level(bareID(param("documentId"))) >= least
	}
}

// mayCreate lets those call who may write any document; which one, the call sees.
func mayCreate(c *api.Caller, _ func(string) string) bool {
	return c.Backend() || c.Identity.Docs.Below("") >= auth.Write
}

func bareID(documentID string) string { return strings.TrimPrefix(documentID, "automerge:") }

func (p *DocumentPath) id() (string, error) {
	id := bareID(p.DocumentID)
	if !validDocumentID(id) {
		return "", huma.Error404NotFound("this is no document id")
	}
	return id, nil
}

// Routes registers the calls about documents.
func (m *Module) Routes(a *api.API) {
	tags := []string{"Documents"}
	patience := time.Minute
	gate, imports := api.NewGate(maxCalls), api.NewGate(maxImports)
	api.Do(a, api.Through(gate, huma.Operation{
		Method: http.MethodPost, Path: "/documents", OperationID: "create-document", Tags: tags, DefaultStatus: http.StatusCreated,
		MaxBodyBytes: materialize.MaxInput + 64<<10, BodyReadTimeout: patience,
		Summary: "Create a document", Description: "One that is there already, by its id or the Idempotency-Key, is left as it is, and told.",
	}), mayCreate, m.createCall)
	api.Get(a, api.Through(gate, huma.Operation{
		Method: http.MethodGet, Path: "/documents/{documentId}", OperationID: "read-document", Tags: tags,
		Summary: "A document's content", Description: "As JSON; with Accept: " + typeAutomerge + " as Automerge stores it. The ETag is the heads.",
	}), mayDo(auth.Read), m.readCall)
	api.Do(a, api.Through(gate, huma.Operation{
		Method: http.MethodPatch, Path: "/documents/{documentId}", OperationID: "patch-document", Tags: tags,
		MaxBodyBytes: materialize.MaxInput + 64<<10, BodyReadTimeout: patience, SkipValidateBody: true, // huma takes any of the schemas below
		Summary:     "Change a document",
		Description: "By a merge patch (RFC 7396) or a JSON patch (RFC 6902; besides, {op: \"splice\", path, index, delete, insert} edits a text, in UTF-16 units). It is merged with what others do.",
		RequestBody: &huma.RequestBody{Required: true, Content: map[string]*huma.MediaType{
			typeMergePatch: {Schema: &huma.Schema{}}, typeJSONPatch: {Schema: &huma.Schema{Type: huma.TypeArray, Items: &huma.Schema{Type: huma.TypeObject}}},
		}},
	}), mayDo(auth.Write), m.patchCall)
	api.Do(a, api.Through(gate, huma.Operation{
		Method: http.MethodPost, Path: "/documents/{documentId}/restore", OperationID: "restore-document", Tags: tags, DefaultStatus: http.StatusOK,
		Summary: "Bring an old content back", Description: "By a new change. Marks of texts do not come back.",
	}), mayDo(auth.Write), m.restoreCall)
	api.Do(a, api.Through(imports, huma.Operation{
		Method: http.MethodPost, Path: "/documents/{documentId}/import", OperationID: "import-document", Tags: tags, DefaultStatus: http.StatusOK,
		MaxBodyBytes: maxImport, BodyReadTimeout: patience,
		Summary: "Merge an Automerge file into a document", Description: "A document that is not there is made.",
	}), mayDo(auth.Write), m.importCall)
	api.Do(a, api.Through(gate, huma.Operation{
		Method: http.MethodDelete, Path: "/documents/{documentId}", OperationID: "delete-document", Tags: tags, DefaultStatus: http.StatusNoContent,
		Summary: "Delete a document", Description: "For everyone, and for good: its id cannot be used again.",
	}), mayDo(auth.Write), func(ctx context.Context, in *DocumentPath) (*empty, error) {
		id, err := in.id()
		if err == nil {
			err = m.erase(ctx, id, api.CallerOf(ctx).UserID())
		}
		return new(empty), problem(err)
	})
	m.historyRoutes(a, tags, gate)
}

func (m *Module) createCall(ctx context.Context, in *createDocument) (*createdDocument, error) {
	caller := api.CallerOf(ctx)
	id := bareID(in.Body.DocumentID)
	switch once := api.OnceName(ctx, "create-document"); {
	case id != "":
		if !validDocumentID(id) {
			return nil, huma.Error422UnprocessableEntity("documentId is not bs58check")
		}
	case once != "": // the same call makes the same document
		sum := sha256.Sum256([]byte("document\x00" + once))
		id = documentIDOf(sum[:16])
	default:
		id = documentIDOf(randomBytes(16))
	}
	if !caller.Backend() && caller.Identity.Docs.Level(id) < auth.Write {
		return nil, huma.Error403Forbidden("not granted")
	}
	now := time.Now()
	chunk := change.AppendEmpty(nil, randomBytes(16), now.Unix())
	if content := in.Body.Content; content != nil {
		made, err := m.contents().Create(ctx, changing(id), content, materialize.Commit{Actor: randomBytes(16), Time: now})
		if err != nil {
			return nil, problem(err)
		}
		if made != nil {
			chunk = made
		}
	}
	heads, err := m.change(ctx, id, caller.UserID(), absent, [][]byte{chunk})
	if err != nil {
		return nil, problem(err)
	}
	return &createdDocument{created{id, "automerge:" + id, hexHeads(heads)}}, nil
}

func randomBytes(n int) []byte {
	b := make([]byte, n)
	rand.Read(b)
	return b
}

func (m *Module) readCall(ctx context.Context, in *readDocument) (*rawDocument, error) {
	id, v, err := m.lookAt(ctx, &in.DocumentPath, in.Heads)
	if err != nil {
		return nil, problem(err)
	}
	out := &rawDocument{Status: http.StatusOK, ContentType: "application/json", ETag: etag(v.heads), Vary: "Accept"}
	if matches(in.IfNoneMatch, out.ETag) {
		out.Status, out.ContentType = http.StatusNotModified, ""
		return out, nil
	}
	log := slices.Concat(v.chunks...)
	if strings.Contains(in.Accept, typeAutomerge) {
		out.ContentType, out.Body = typeAutomerge, log
		return out, nil
	}
	out.Body, err = m.contents().JSON(ctx, id, log)
	return out, problem(err)
}

// lookAt returns the document of a path, as it was at heads.
func (m *Module) lookAt(ctx context.Context, p *DocumentPath, heads string) (id string, v view, err error) {
	if id, err = p.id(); err != nil {
		return "", view{}, err
	}
	list, err := parseHeads(heads)
	if err == nil {
		v, err = m.look(ctx, id, list)
	}
	return id, v, err
}

// parseHeads reads hashes with commas, or as in automerge URLs bars, between
// them; nil for none.
func parseHeads(text string) (heads []change.Hash, err error) {
	for _, part := range strings.FieldsFunc(text, func(r rune) bool { return r == ',' || r == '|' }) {
		h, ok := parseHead(strings.TrimSpace(part))
		if !ok {
			return nil, huma.Error422UnprocessableEntity("heads must be hashes, in hex or bs58check")
		}
		heads = append(heads, h)
	}
	return heads, nil
}

func etag(heads []change.Hash) string { return `"` + strings.Join(hexHeads(heads), ",") + `"` }

// matches reports whether a header of If-Match or If-None-Match has a tag: heads
// have commas between them, too.
func matches(header, tag string) bool {
	return strings.TrimSpace(header) == "*" || strings.Contains(header, tag)
}

func (m *Module) patchCall(ctx context.Context, in *patchDocument) (*changedDocument, error) {
	kind := materialize.MergePatch
	switch media, _, _ := strings.Cut(in.ContentType, ";"); strings.ToLower(strings.TrimSpace(media)) {
	case typeMergePatch:
	case typeJSONPatch:
		kind = materialize.JSONPatch
	default:
		return nil, huma.Error415UnsupportedMediaType("a patch is " + typeMergePatch + " or " + typeJSONPatch)
	}
	if !json.Valid(in.RawBody) {
		return nil, huma.Error400BadRequest("the body is not JSON")
	}
	now, err := m.lookNow(ctx, &in.DocumentPath, in.IfMatch)
	if err != nil {
		return nil, problem(err)
	}
	id, v, err := m.lookAt(ctx, &in.DocumentPath, in.Heads)
	if err != nil {
		return nil, problem(err)
	}
	if in.Heads == "" {
		v = now
	}
	chunk, err := m.contents().Patch(ctx, changing(id), slices.Concat(v.chunks...), kind, in.RawBody, commit(in.Message))
	return m.add(ctx, id, now, in.IfMatch != "" && strings.TrimSpace(in.IfMatch) != "*", chunk, err)
}

func commit(message string) materialize.Commit {
	return materialize.Commit{Actor: randomBytes(16), Time: time.Now(), Message: message}
}

// lookNow returns the document of a path as it is, if that is what an If-Match
// wants.
func (m *Module) lookNow(ctx context.Context, p *DocumentPath, ifMatch string) (v view, err error) {
	_, v, err = m.lookAt(ctx, p, "")
	if err == nil && ifMatch != "" && !matches(ifMatch, etag(v.heads)) {
		err = huma.Error412PreconditionFailed("the document has changed")
	}
	return v, err
}

// changing is what failures count for that what a caller sends may be to blame
// for: not for the document, which others want to read.
func changing(id string) string { return "changes of " + id }

// add adds a change that was made for a call, nil if nothing changes; only to the
// document as it was then, if that is asked for.
func (m *Module) add(ctx context.Context, id string, now view, only bool, chunk []byte, err error) (*changedDocument, error) {
	heads := now.heads
	if err == nil && chunk != nil {
		var at []change.Hash
		if only {
			at = now.heads
		}
		heads, err = m.changeAt(ctx, id, api.CallerOf(ctx).UserID(), existing, at, [][]byte{chunk})
	}
	if err != nil {
		return nil, problem(err)
	}
	out := &changedDocument{ETag: etag(heads)}
	out.Body.Heads = hexHeads(heads)
	return out, nil
}

func (m *Module) restoreCall(ctx context.Context, in *restoreDocument) (*changedDocument, error) {
	id, old, err := m.lookAt(ctx, &in.DocumentPath, strings.Join(in.Body.Heads, ","))
	if err != nil {
		return nil, problem(err)
	}
	_, now, err := m.lookAt(ctx, &in.DocumentPath, "")
	if err != nil {
		return nil, problem(err)
	}
	chunk, err := m.contents().Restore(ctx, id, slices.Concat(now.chunks...), slices.Concat(old.chunks...), commit("restored"))
	return m.add(ctx, id, now, false, chunk, err)
}

func (m *Module) importCall(ctx context.Context, in *importDocument) (*changedDocument, error) {
	id, err := in.id()
	if err != nil {
		return nil, err
	}
	// What a file does to workers is not the document's fault.
	chunks, err := m.contents().Changes(ctx, "import into "+id, in.RawBody)
	switch {
	case errors.Is(err, materialize.ErrUnreadable):
		return nil, huma.Error422UnprocessableEntity("this is no Automerge file, or a damaged one")
	case err != nil:
		return nil, problem(err)
	case len(chunks) == 0:
		return nil, huma.Error422UnprocessableEntity("there are no changes in it")
	}
	total := 0
	for _, c := range chunks {
		total += len(c)
	}
	if total > maxStagedBytes {
		return nil, huma.NewError(http.StatusRequestEntityTooLarge, "there are more than 64 MiB of changes in it")
	}
	heads, err := m.change(ctx, id, api.CallerOf(ctx).UserID(), either, chunks)
	if err != nil {
		return nil, problem(err)
	}
	out := &changedDocument{ETag: etag(heads)}
	out.Body.Heads = hexHeads(heads)
	return out, nil
}

// contents is what gives documents their contents.
func (m *Module) contents() *materialize.Pool { return m.opts.Contents }

// problem turns what can go wrong with a document into what the caller is told.
func problem(err error) error {
	var patch *materialize.PatchError
	var coded *mux.Error
	switch {
	case err == nil:
		return nil
	case errors.Is(err, errGone):
		return huma.NewError(http.StatusGone, errGone.Message)
	case errors.Is(err, errMoved):
		return huma.Error412PreconditionFailed(errMoved.Message)
	case errors.As(err, &patch):
		status := http.StatusUnprocessableEntity
		if patch.Conflict {
			status = http.StatusConflict
		}
		return huma.NewError(status, patch.Error(), &huma.ErrorDetail{Location: cmp.Or(patch.Pointer, "/"), Message: patch.Reason})
	case errors.Is(err, materialize.ErrUnavailable), errors.Is(err, materialize.ErrQuarantined), errors.Is(err, materialize.ErrUnreadable):
		return huma.Error503ServiceUnavailable("the document's content is not available")
	case errors.As(err, &coded) && coded.Code == mux.BadRequest:
		return huma.Error422UnprocessableEntity(coded.Message)
	}
	return err
}
