package main

import (
	"crypto/rand"
	"crypto/sha256"
	"database/sql"
	"math/big"
	"path/filepath"
	"slices"
	"testing"

	"atrium/collab/change"
	ct "atrium/collab/change/changetest"
	"atrium/collab/docsync"
	"atrium/collab/pack"
)

// newDocument returns the id of a document that nobody knows yet.
func newDocument() string {
	id := make([]byte, 16)
	rand.Read(id)
	return base58Check(id)
}

// base58Check is how automerge-repo writes bytes; zeros in front it writes apart.
func base58Check(payload []byte) string {
	sum := sha256.Sum256(payload)
	sum = sha256.Sum256(sum[:])
	n := new(big.Int).SetBytes(slices.Concat(payload, sum[:4]))
	const digits = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
	var text []byte
	for digit := new(big.Int); n.Sign() > 0; {
		n.DivMod(n, big.NewInt(58), digit)
		text = append(text, digits[digit.Int64()])
	}
	for i := 0; i < len(payload) && payload[i] == 0; i++ {
		text = append(text, digits[0])
	}
	slices.Reverse(text)
	return string(text)
}

// author writes a chain of changes into one document: each depends on the one
// before, the first on nothing.
type author struct {
	*client
	doc   string
	actor []byte
	seq   uint64
	head  []change.Hash // the newest change, if there is one
	value any           // what it writes; nil: the sequence number
}

func (c *client) author(doc string) *author {
	actor := make([]byte, 16)
	rand.Read(actor)
	return &author{client: c, doc: doc, actor: actor}
}

// again is the same author on another connection.
func (a *author) again(c *client) *author {
	b := *a
	b.client = c
	return &b
}

// next returns the author's next change, as if it had been sent.
func (a *author) next() ct.Change {
	a.seq++
	value := a.value
	if value == nil {
		value = a.seq
	}
	c := ct.Change{
		Actor: a.actor, Seq: a.seq, StartOp: a.seq, Deps: a.head,
		Ops: []ct.Op{ct.Set(ct.ID{}, "by "+a.user, value)},
	}
	a.head = []change.Hash{c.Hash()}
	return c
}

// edit sends the author's next change and returns its hash.
func (a *author) edit() change.Hash {
	a.t.Helper()
	c := a.next()
	a.sync(a.doc, docsync.Message{Heads: a.head, Have: []docsync.Have{{LastSync: c.Deps}}, Changes: [][]byte{c.Encode()}})
	return a.head[0]
}

// write edits and waits until the change is said to be stored.
func (a *author) write() change.Hash {
	a.t.Helper()
	h := a.edit()
	a.acknowledged(h)
	return h
}

// acknowledged waits until the server tells h among its heads.
func (a *author) acknowledged(h change.Hash) {
	a.t.Helper()
	a.await("the acknowledgement of "+h.String(), func(m msg) bool {
		return m["documentId"] == a.doc && slices.Contains(syncOf(a.t, m).Heads, h)
	})
}

// sync sends a sync message.
func (c *client) sync(doc string, m docsync.Message) {
	c.t.Helper()
	c.send(syncMsg(c, doc, m))
}

func syncMsg(c *client, doc string, m docsync.Message) msg {
	return msg{"type": "sync", "senderId": c.senderID, "targetId": "server", "documentId": doc, "data": docsync.AppendMessage(nil, m)}
}

// nothingYet is the first message of a client that does not have the document.
func nothingYet() docsync.Message { return docsync.Message{Have: []docsync.Have{{}}} }

// open asks for a document.
func (c *client) open(doc string) *client {
	c.t.Helper()
	c.sync(doc, nothingYet())
	return c
}

// syncOf reads a message's sync data; other messages have none.
func syncOf(t *testing.T, m msg) docsync.Message {
	t.Helper()
	data, ok := m["data"].([]byte)
	if !ok || m["type"] != "sync" {
		return docsync.Message{}
	}
	parsed, err := docsync.ParseMessage(data)
	if err != nil {
		t.Fatalf("the server sent %x: %v", data, err)
	}
	return parsed
}

// changesIn returns the hashes of the changes that a message carries.
func changesIn(t *testing.T, m msg) (hashes []change.Hash) {
	t.Helper()
	for _, chunk := range syncOf(t, m).Changes {
		c, err := change.Parse(chunk)
		if err != nil {
			t.Fatalf("the server sent a change: %v", err)
		}
		hashes = append(hashes, c.Hash)
	}
	return hashes
}

// receives waits until the client has been sent all of these changes of a document.
func (c *client) receives(doc string, hashes ...change.Hash) {
	c.t.Helper()
	missing := make(map[change.Hash]bool)
	for _, h := range hashes {
		missing[h] = true
	}
	for len(missing) > 0 {
		m := c.await("changes", func(m msg) bool { return m["documentId"] == doc && m["type"] == "sync" })
		for _, h := range changesIn(c.t, m.msg) {
			delete(missing, h)
		}
	}
}

// shout sends an ephemeral message.
func (c *client) shout(doc, text string, count float64) {
	c.t.Helper()
	c.send(shoutMsg(c, doc, text, count))
}

func shoutMsg(c *client, doc, text string, count float64) msg {
	return msg{"type": "ephemeral", "senderId": c.senderID, "targetId": "server", "documentId": doc,
		"sessionId": "tab", "count": count, "data": []byte(text)}
}

// settle returns all that has come when the document has dealt with what the
// client sent before. The first shout may be dealt with together with that, the
// second is so only after everybody has been told what followed from it.
func (c *client) settle(doc string) (before []msg) {
	c.t.Helper()
	for range 2 {
		id := c.id()
		m := shoutMsg(c, doc, "settle", float64(c.asked))
		m["id"], m["sessionId"] = id, "settle"
		c.send(m)
		c.await("the document to settle", func(m msg) bool {
			if m["id"] == id {
				return true
			}
			before = append(before, m)
			return false
		})
	}
	return before
}

// until returns what came before the ephemeral message with this text.
func (c *client) until(text string) (before []msg) {
	c.t.Helper()
	c.await(text, func(m msg) bool {
		if data, _ := m["data"].([]byte); m["type"] == "ephemeral" && string(data) == text {
			return true
		}
		before = append(before, m)
		return false
	})
	return before
}

// openDB opens the server's database beside it.
func openDB(t *testing.T, s *testServer) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+filepath.Join(s.dir, "atrium.db")+"?_pragma=busy_timeout(20000)")
	if s.databaseURL != "" {
		db, err = sql.Open("pgx", s.databaseURL)
	}
	if err != nil {
		t.Fatal(err)
	}
	db.SetMaxOpenConns(1)
	t.Cleanup(func() { db.Close() })
	return db
}

// stored returns the changes of every document in the database, in log order.
func stored(t *testing.T, s *testServer) map[string][]change.Hash {
	t.Helper()
	log := make(map[string][]change.Hash)
	each := func(query string, take func(doc string, data []byte)) {
		rows, err := openDB(t, s).Query(query)
		if err != nil {
			t.Fatal(err)
		}
		defer rows.Close()
		for rows.Next() {
			var doc string
			var data []byte
			if err := rows.Scan(&doc, &data); err != nil {
				t.Fatal(err)
			}
			take(doc, data)
		}
		if err := rows.Err(); err != nil {
			t.Fatal(err)
		}
	}
	take := func(doc string, run []byte) {
		for len(run) > 0 {
			c, rest, err := change.Next(run)
			if err != nil {
				t.Fatalf("a row of %s: %v", doc, err)
			}
			log[doc], run = append(log[doc], c.Hash), rest
		}
	}
	each(`SELECT document_id, data FROM document_packs ORDER BY document_id, first_version`, func(doc string, data []byte) {
		run, _, err := pack.Run(data, len(log[doc]), func(at int) change.Hash { return log[doc][at] })
		if err != nil {
			t.Fatalf("a pack of %s: %v", doc, err)
		}
		take(doc, run)
	})
	each(`SELECT document_id, chunks FROM document_changes ORDER BY document_id, version`, take)
	return log
}
