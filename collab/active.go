package collab

import (
	"encoding/hex"
	"math"

	"atrium/collab/change"
	"atrium/internal/auth"
	"atrium/internal/mux"
)

// The messages collab:*, for clients without automerge-repo and for what
// automerge-repo does not know.

type (
	joinDocument struct {
		DocumentID string `json:"documentId"`
		Heads      *[]any `json:"heads"` // nil: it wants no changes
	}
	leaveDocument struct {
		DocumentID string `json:"documentId"`
	}
	edit struct {
		DocumentID string   `json:"documentId"`
		Changes    [][]byte `json:"changes"`
	}
	cursorMove struct {
		DocumentID string `json:"documentId"`
		position
	}

	// position is where a session is: coordinates, or any small value such as an
	// Automerge cursor or a selection. Without any, it has no cursor.
	position struct {
		X      *mux.Number `json:"x,omitempty"`
		Y      *mux.Number `json:"y,omitempty"`
		Cursor *mux.Value  `json:"cursor,omitempty"`
	}
)

type (
	joinAck struct {
		mux.Ack
		Access string       `json:"access"` // read or write
		Users  []activeUser `json:"users"`
		Heads  []string     `json:"heads"`
		// What the client lacks, if it told its heads: changes, or the whole
		// document as a file, if it has nothing and that is smaller.
		Changes  *[][]byte `json:"changes,omitempty"`
		Document []byte    `json:"document,omitempty"`
	}
	editAck struct {
		mux.Ack
		Heads []string `json:"heads"`
	}
	activeUser struct {
		UserID   string `json:"userId"`
		Username string `json:"username"`
		Avatar   string `json:"avatar"`
		Sessions int    `json:"sessions"`
		position        // of the session that moved last
	}
	activeUsers struct {
		Type       string       `json:"type"`
		DocumentID string       `json:"documentId"`
		Users      []activeUser `json:"users"`
	}
	userMessage struct { // user_joined and user_left
		Type       string `json:"type"`
		DocumentID string `json:"documentId"`
		UserID     string `json:"userId"`
		Username   string `json:"username"`
	}
	changesMessage struct {
		Type       string   `json:"type"`
		DocumentID string   `json:"documentId"`
		UserID     string   `json:"userId,omitempty"` // the author, if they are all of one
		Changes    [][]byte `json:"changes"`
		Heads      []string `json:"heads"`
	}
	cursorUpdates struct {
		Type       string          `json:"type"`
		DocumentID string          `json:"documentId"`
		Updates    []*cursorUpdate `json:"updates"`
	}
	cursorUpdate struct {
		UserID    string `json:"userId"`
		Username  string `json:"username"`
		SessionID string `json:"sessionId"`
		position

		session *mux.Session // of this node
		node    string       // the other node that it is on
		here    bool         // it has a cursor
	}
)

// join handles collab:join_document.
func (m *Module) join(msg *mux.Message) (mux.Acknowledgement, error) {
	var req joinDocument
	if err := decode(msg, &req, &req.DocumentID, auth.Read); err != nil {
		return nil, err
	}
	e := opened{reply: msg.Reply(), feed: req.Heads != nil}
	if e.feed {
		for _, v := range *req.Heads {
			h, ok := parseHead(v)
			if !ok {
				return nil, mux.NewError(mux.BadRequest, msg.Type+": heads must be hashes, in hex or bs58check")
			}
			e.heads = append(e.heads, h)
		}
	}
	return mux.Later, m.post(msg.Session, req.DocumentID, e)
}

// parseHead reads the hash of a change: text in hex or bs58check, or 32 bytes.
func parseHead(v any) (h change.Hash, ok bool) {
	var b []byte
	switch v := v.(type) {
	case []byte:
		b = v
	case string:
		if len(v) == hex.EncodedLen(len(h)) {
			b, _ = hex.DecodeString(v)
		} else if payload, valid := parseBase58Check(v); valid {
			b = payload
		}
	}
	return h, copy(h[:], b) == len(b) && len(b) == len(h)
}

// leave handles collab:leave_document.
func (m *Module) leave(msg *mux.Message) (mux.Acknowledgement, error) {
	var req leaveDocument
	if err := decode(msg, &req, &req.DocumentID, auth.None); err != nil {
		return nil, err
	}
	if m.seat(msg.Session, []byte(req.DocumentID)) == nil {
		return nil, nil
	}
	return mux.Later, m.post(msg.Session, req.DocumentID, closed{msg.Reply()})
}

// edit handles collab:edit.
func (m *Module) edit(msg *mux.Message) (mux.Acknowledgement, error) {
	var req edit
	if err := decode(msg, &req, &req.DocumentID, auth.Write); err != nil {
		return nil, err
	}
	if len(req.Changes) == 0 {
		return nil, mux.NewError(mux.BadRequest, msg.Type+": changes are missing")
	}
	return mux.Later, m.post(msg.Session, req.DocumentID, edited{msg.Reply(), req.Changes})
}

const maxCursor = 4 << 10 // bytes

// move handles collab:cursor_move. It does not go through the mailbox: all that
// counts is where a cursor is when the others are told the next time.
func (m *Module) move(msg *mux.Message) (mux.Acknowledgement, error) {
	var req cursorMove
	if err := decode(msg, &req, &req.DocumentID, auth.Read); err != nil {
		return nil, err
	}
	for _, n := range []*mux.Number{req.X, req.Y} {
		if n != nil && (math.IsNaN(float64(*n)) || math.IsInf(float64(*n), 0)) {
			return nil, mux.NewError(mux.BadRequest, msg.Type+": x and y must be finite numbers")
		}
	}
	if req.Cursor != nil && req.Cursor.Len() > maxCursor {
		return nil, mux.NewError(mux.TooLarge, msg.Type+": cursor must have 4096 bytes at most")
	}
	s := msg.Session
	st := m.seat(s, []byte(req.DocumentID))
	if st == nil || !st.mayMove() {
		return nil, errNotJoined
	}
	id := s.Identity()
	if st.room.cursors.move(s, &cursorUpdate{
		UserID: id.UserID, Username: id.Name, SessionID: s.ID, position: req.position, session: s, here: true,
	}) {
		st.room.mail.put(moved{})
	}
	if !st.mayMove() { // it has been sent out meanwhile, and will not be again
		st.room.cursors.leave(s)
		return nil, errNotJoined
	}
	return nil, nil
}

// decode reads a message about a document, whose id it puts into *documentID,
// and checks that the sender may do as much there.
func decode(msg *mux.Message, v any, documentID *string, least auth.Level) error {
	if err := msg.Decode(v); err != nil {
		return err
	}
	if !validDocumentID(*documentID) {
		return mux.NewError(mux.BadRequest, msg.Type+": documentId is not one")
	}
	switch level := msg.Session.Identity().Docs.Level(*documentID); {
	case level >= least:
		return nil
	case level == auth.None:
		return errNoAccess
	default:
		return errReadOnly
	}
}

var (
	errNoAccess = mux.NewError(mux.Forbidden, "no access to this document")
	errReadOnly = mux.NewError(mux.Forbidden, "this document may only be read")
	// errNotJoined is for cursors of who is not in the document.
	errNotJoined = mux.NewError(mux.Forbidden, "join the document first")
)

func hexHeads(heads []change.Hash) []string {
	list := make([]string, len(heads))
	for i, h := range heads {
		list[i] = h.String()
	}
	return list
}
