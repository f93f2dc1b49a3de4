package collab

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"atrium/collab/change"
	"atrium/collab/pack"
	"atrium/internal/api"
	"atrium/internal/auth"
	"atrium/internal/db"
	"atrium/internal/mux"
)

type (
	historyQuery struct {
		DocumentPath
		Before int `query:"before" minimum:"0" doc:"A position: only what is older"`
		Limit  int `query:"limit" default:"50" minimum:"1" maximum:"1000"`
	}
	historyPage struct {
		Body struct {
			Changes []changeRecord `json:"changes" nullable:"false" doc:"The newest first"`
			More    bool           `json:"more" doc:"There are older ones"`
		}
	}
	changeRecord struct {
		Position int      `json:"position" doc:"In the document's log, from 0"`
		Hash     string   `json:"hash"`
		Deps     []string `json:"deps" nullable:"false" doc:"What it builds on"`
		Actor    string   `json:"actor" doc:"Automerge's, in hex"`
		UserID   string   `json:"userId" doc:"Who sent it; api for an API key, import for a file"`
		StoredAt string   `json:"storedAt" format:"date-time" doc:"By the server's clock"`
		Time     string   `json:"time,omitempty" format:"date-time" doc:"By the author's clock"`
		Message  string   `json:"message,omitempty"`
	}
	diffQuery struct {
		DocumentPath
		From string `query:"from" required:"true" doc:"Hashes, in hex or bs58check, with commas between them"`
		To   string `query:"to" doc:"The same; default: the document as it is"`
	}
	diffBody struct {
		ContentType string `header:"Content-Type"`
		Body        json.RawMessage
	}
	listQuery struct {
		After string `query:"after" doc:"A document id: only those behind it"`
		Limit int    `query:"limit" default:"100" minimum:"1" maximum:"1000"`
	}
	listPage struct {
		Body struct {
			Documents []documentRecord `json:"documents" nullable:"false" doc:"In the order of their ids"`
			More      bool             `json:"more" doc:"There are more behind the last"`
			Missing   int              `json:"missing,omitempty" doc:"How many nodes have not said what is open on them"`
		}
	}
	documentRecord struct {
		DocumentID string `json:"documentId"`
		URL        string `json:"url"`
		Changes    int    `json:"changes"`
		Bytes      int    `json:"bytes" doc:"Of all changes, as clients send them"`
		CreatedAt  string `json:"createdAt" format:"date-time"`
		UpdatedAt  string `json:"updatedAt" format:"date-time" doc:"Of the last edit"`

		Open []Place `json:"open" nullable:"false" doc:"The nodes on which sessions sync it, or have joined it, at the moment"`

		// Quarantined documents have made workers fail again and again.
		Quarantined bool `json:"quarantined,omitempty" doc:"Its content is not read for some minutes: reading it fails again and again"`
	}
)

// historyRoutes registers the calls about what documents have been.
func (m *Module) historyRoutes(a *api.API, tags []string, gate *api.Gate) {
	api.Get(a, api.Through(gate, huma.Operation{
		Method: http.MethodGet, Path: "/documents/{documentId}/history", OperationID: "document-history", Tags: tags,
		Summary: "A document's changes", Description: "Who made them, and when.",
	}), mayDo(auth.Read), m.historyCall)
	api.Get(a, api.Through(gate, huma.Operation{
		Method: http.MethodGet, Path: "/documents/{documentId}/diff", OperationID: "diff-document", Tags: tags,
		Summary: "What has changed between two states", Description: "As a JSON patch.",
	}), mayDo(auth.Read), m.diffCall)
	api.Get(a, api.Through(gate, huma.Operation{
		Method: http.MethodGet, Path: "/documents", OperationID: "list-documents", Tags: tags,
		Summary: "All documents", Description: "And where they are open: all nodes of a cluster are asked, for a second at most.",
	}), api.Backend, m.listCall)
}

func (m *Module) listCall(ctx context.Context, in *listQuery) (*listPage, error) {
	out := new(listPage)
	var err error
	if out.Body.Documents, out.Body.More, err = m.store.list(ctx, in.After, in.Limit); err != nil {
		return nil, err
	}
	ids := make([]string, len(out.Body.Documents))
	for i := range ids {
		ids[i] = out.Body.Documents[i].DocumentID
	}
	places, silent := m.places(ctx, ids)
	out.Body.Missing = silent
	held := m.contents().Quarantined()
	for i, id := range ids {
		d := &out.Body.Documents[i]
		d.Open, d.Quarantined = append([]Place{}, places[i]...), slices.Contains(held, id)
	}
	return out, nil
}

func (m *Module) historyCall(ctx context.Context, in *historyQuery) (*historyPage, error) {
	id, err := in.id()
	if err != nil {
		return nil, err
	}
	if _, err := m.look(ctx, id, nil); err != nil { // it knows best what is there
		return nil, problem(err)
	}
	entries, first, err := m.store.history(ctx, id, in.Before, in.Limit)
	if err != nil {
		return nil, err
	}
	out := new(historyPage)
	out.Body.More = first > 0
	out.Body.Changes = []changeRecord{}
	for i, e := range slices.Backward(entries) {
		r, err := record(e)
		if err != nil {
			return nil, err
		}
		r.Position = first + i
		out.Body.Changes = append(out.Body.Changes, r)
	}
	return out, nil
}

func record(e pack.Entry) (changeRecord, error) {
	c, err := change.Parse(e.Chunk)
	if err != nil {
		return changeRecord{}, err
	}
	r := changeRecord{
		Hash: c.Hash.String(), Actor: hex.EncodeToString(c.Actor), Deps: []string{},
		UserID: e.UserID, StoredAt: mux.Timestamp(time.UnixMicro(e.At)), Message: string(c.Message()),
	}
	for i := range c.NumDeps() {
		r.Deps = append(r.Deps, c.Dep(i).String())
	}
	if t := time.Unix(c.Time, 0).UTC(); c.Time != 0 && t.Year() > 0 && t.Year() <= 9999 {
		r.Time = mux.Timestamp(t)
	}
	return r, nil
}

func (m *Module) diffCall(ctx context.Context, in *diffQuery) (*diffBody, error) {
	id, from, err := m.lookAt(ctx, &in.DocumentPath, in.From)
	if err != nil {
		return nil, problem(err)
	}
	_, to, err := m.lookAt(ctx, &in.DocumentPath, in.To)
	if err != nil {
		return nil, problem(err)
	}
	patch, err := m.contents().Diff(ctx, id, slices.Concat(from.chunks...), slices.Concat(to.chunks...))
	return &diffBody{typeJSONPatch, patch}, problem(err)
}

// history returns the entries of a document's log before a position, 0 for its
// end, limit at most: the last ones, and where the first of them stands.
func (s store) history(ctx context.Context, documentID string, before, limit int) (entries []pack.Entry, first int, err error) {
	err = s.db.Read(ctx, func(tx *db.Tx) error {
		packs, err := readPacks(tx, documentID, 0)
		if err != nil {
			return err
		}
		sealed, version := 0, int64(0)
		for _, p := range packs {
			sealed, version = p.position+p.changes, p.last
		}
		rows, err := readRows(tx, documentID, version)
		if err == nil {
			entries, err = entriesOf(rows)
		}
		if err != nil {
			return err
		}
		first = sealed
		end := sealed + len(entries)
		if before > 0 {
			end = min(end, before)
		}
		if end-limit < sealed && len(packs) > 0 { // the page reaches into the packs
			old, err := unpackAll(packs)
			if err != nil {
				return err
			}
			entries, first = append(old, entries...), 0
		}
		from := max(first, end-limit)
		entries, first = entries[from-first:max(end, from)-first], from
		return nil
	})
	return entries, first, err
}

// unpackAll returns what all packs of a log hold.
func unpackAll(packs []sealedRun) (entries []pack.Entry, err error) {
	var hashes []change.Hash
	for _, p := range packs {
		if p.position != len(hashes) {
			return nil, fmt.Errorf("%w: a pack begins at change %d, not %d", errLogDamaged, p.position, len(hashes))
		}
		err := pack.Parse(p.data, p.position, func(at int) change.Hash { return hashes[at] }, func(e pack.Entry, h change.Hash) error {
			entries, hashes = append(entries, e), append(hashes, h)
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return entries, nil
}

// list returns documents behind an id, and whether there are more.
func (s store) list(ctx context.Context, after string, limit int) (list []documentRecord, more bool, err error) {
	list = []documentRecord{}
	err = s.db.Read(ctx, func(tx *db.Tx) error {
		rows, err := tx.Query(`SELECT id, changes, bytes, created_at, updated_at FROM documents WHERE id > $1 AND deleted_at IS NULL ORDER BY id LIMIT $2`, after, limit+1)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			if more = len(list) == limit; more {
				break
			}
			var r documentRecord
			var created, updated int64
			if err := rows.Scan(&r.DocumentID, &r.Changes, &r.Bytes, &created, &updated); err != nil {
				return err
			}
			r.URL = "automerge:" + r.DocumentID
			r.CreatedAt, r.UpdatedAt = mux.Timestamp(time.UnixMicro(created)), mux.Timestamp(time.UnixMicro(updated))
			list = append(list, r)
		}
		return rows.Err()
	})
	return list, more, err
}
