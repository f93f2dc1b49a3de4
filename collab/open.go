package collab

import (
	"context"
	"slices"

	"atrium/internal/mux"
)

// Place is a node on which a document is open.
type Place struct {
	Node     string `json:"node,omitempty" doc:"None if there is one node only"`
	Sessions int    `json:"sessions" doc:"How many have it open there"`
}

// OpenIn returns the documents that a session syncs or has joined: the first ones
// in the order of their ids, most at most, and how many there are.
func (m *Module) OpenIn(s *mux.Session, most int) (documentIDs []string, all int) {
	documentIDs = []string{}
	m.mu.Lock()
	for id, st := range m.sessions[s] {
		if st.among.Load() {
			documentIDs = append(documentIDs, id)
		}
	}
	m.mu.Unlock()
	slices.Sort(documentIDs)
	all = len(documentIDs)
	return slices.Clip(documentIDs[:min(all, most)]), all
}

// OpenHere returns how many sessions on this node sync each of some documents, or
// have joined it. It waits for no room.
func (m *Module) OpenHere(documentIDs []string) []int {
	counts := make([]int, len(documentIDs))
	m.mu.Lock()
	defer m.mu.Unlock()
	for i, id := range documentIDs {
		if r := m.rooms[id]; r != nil {
			counts[i] = int(r.entered.Load())
		}
	}
	return counts
}

// places is Options.Places, for a node alone too.
func (m *Module) places(ctx context.Context, documentIDs []string) (places [][]Place, silent int) {
	if m.opts.Places != nil {
		return m.opts.Places(ctx, documentIDs)
	}
	places = make([][]Place, len(documentIDs))
	for i, n := range m.OpenHere(documentIDs) {
		if n > 0 {
			places[i] = []Place{{Sessions: n}}
		}
	}
	return places, 0
}
