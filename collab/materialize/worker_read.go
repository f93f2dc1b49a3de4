package materialize

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/automerge/automerge-go"

	"atrium/collab/change"
)

// maxDocumentDepth bounds the nesting of documents, which others may have made.
const maxDocumentDepth = 1000

func unreadable(why string) error { return fmt.Errorf("%w: %s", ErrUnreadable, why) }

// load loads a log, all of it.
func load(log []byte) (*automerge.Doc, error) {
	doc, err := automerge.Load(log)
	if err != nil {
		return nil, unreadable(err.Error())
	}
	want, err := ends(log)
	if err != nil {
		return nil, unreadable(err.Error())
	}
	for _, h := range doc.Heads() {
		delete(want, change.Hash(h))
	}
	for h := range want {
		return nil, unreadable("change " + h.String() + " was not taken in")
	}
	return doc, nil
}

// ends returns the changes of a log that no other change in it depends on. The
// changes of a document chunk, which comes first, do not count.
func ends(log []byte) (map[change.Hash]bool, error) {
	ends := make(map[change.Hash]bool)
	for len(log) > 0 {
		n, err := chunkLen(log)
		if err != nil {
			return nil, err
		}
		c, err := change.Parse(log[:n])
		log = log[n:]
		if errors.Is(err, change.ErrDocument) {
			continue
		}
		if err != nil {
			return nil, err
		}
		ends[c.Hash] = true
		for i := range c.NumDeps() {
			delete(ends, c.Dep(i))
		}
	}
	return ends, nil
}

// chunkLen returns the length of the chunk that log begins with: magic, checksum,
// type, length and body.
func chunkLen(log []byte) (int, error) {
	const lengthAt = 9
	if len(log) < lengthAt {
		return 0, errors.New("chunk is cut off")
	}
	n, rest, err := change.ParseUleb(log[lengthAt:])
	if err != nil {
		return 0, err
	}
	if n > uint64(len(rest)) {
		return 0, errors.New("chunk is cut off")
	}
	return len(log) - len(rest) + int(n), nil
}

// content reads a document. Its nodes know their objects, to be changed.
func content(doc *automerge.Doc) (*node, error) {
	return read(doc.Root(), maxDocumentDepth)
}

func read(v *automerge.Value, depth int) (*node, error) {
	if depth == 0 {
		return nil, unreadable(fmt.Sprintf("nested deeper than %d", maxDocumentDepth))
	}
	switch v.Kind() {
	case automerge.KindNull:
		return &node{kind: kindNull}, nil
	case automerge.KindBool:
		return &node{kind: kindBool, yes: v.Bool()}, nil
	case automerge.KindInt64:
		return &node{kind: kindInt, int: v.Int64()}, nil
	case automerge.KindUint64:
		return &node{kind: kindUint, uint: v.Uint64()}, nil
	case automerge.KindFloat64:
		return &node{kind: kindFloat, float: v.Float64()}, nil
	case automerge.KindStr:
		return &node{kind: kindString, str: v.Str()}, nil
	case automerge.KindBytes:
		return &node{kind: kindBytes, str: string(v.Bytes())}, nil
	case automerge.KindTime:
		return &node{kind: kindTime, int: v.Time().UnixMilli()}, nil
	case automerge.KindCounter:
		i, err := v.Counter().Get()
		return &node{kind: kindCounter, int: i, object: v.Counter()}, err
	case automerge.KindText:
		s, err := v.Text().Get()
		return &node{kind: kindText, str: s, object: v.Text()}, err
	case automerge.KindMap:
		values, err := v.Map().Values()
		if err != nil {
			return nil, err
		}
		n := &node{kind: kindMap, keys: make(map[string]*node, len(values)), object: v.Map()}
		for k, value := range values {
			if n.keys[k], err = read(value, depth-1); err != nil {
				return nil, err
			}
		}
		return n, nil
	case automerge.KindList:
		values, err := v.List().Values()
		if err != nil {
			return nil, err
		}
		n := &node{kind: kindList, items: make([]*node, len(values)), object: v.List()}
		for i, value := range values {
			if n.items[i], err = read(value, depth-1); err != nil {
				return nil, err
			}
		}
		return n, nil
	}
	return &node{kind: kindUnknown}, nil
}

// contentOf reads the content of a log, and keeps nothing of the document.
func contentOf(log []byte) (*node, error) {
	doc, err := load(log)
	if err != nil {
		return nil, err
	}
	n, err := content(doc)
	if err != nil {
		return nil, err
	}
	n.detach()
	doc = nil
	release()
	return n, nil
}

func (n *node) detach() {
	n.object = nil
	for _, child := range n.keys {
		child.detach()
	}
	for _, item := range n.items {
		item.detach()
	}
}

func (r *request) json() (answer, error) {
	doc, err := load(r.Log)
	if err != nil {
		return answer{}, err
	}
	n, err := content(doc)
	if err != nil {
		return answer{}, err
	}
	return answer{Body: n.appendJSON(nil)}, nil
}

// snapshot saves the document and loads what it has saved: the core can write
// what it does not read.
func (r *request) snapshot() (answer, error) {
	body, heads, want, err := saved(r.Log)
	if err != nil {
		return answer{}, err
	}
	r.Log = nil
	release() // or both documents would be in memory
	doc, err := automerge.Load(body)
	if err != nil {
		return answer{}, errors.New("the snapshot does not load: " + err.Error())
	}
	if !bytes.Equal(headsOf(doc), heads) {
		return answer{}, errors.New("the snapshot has other heads")
	}
	n, err := content(doc)
	if err != nil {
		return answer{}, err
	}
	if n.sum(asTyped) != want {
		return answer{}, errors.New("the snapshot has another content")
	}
	return answer{Body: body, Heads: heads}, nil
}

func saved(log []byte) (body, heads []byte, content sum, err error) {
	doc, err := load(log)
	if err != nil {
		return nil, nil, sum{}, err
	}
	n, err := read(doc.Root(), maxDocumentDepth)
	if err != nil {
		return nil, nil, sum{}, err
	}
	return doc.Save(), headsOf(doc), n.sum(asTyped), nil
}

// headsOf returns the heads one after the other, sorted.
func headsOf(doc *automerge.Doc) []byte {
	var heads []byte
	for _, h := range sortedHeads(doc) {
		heads = append(heads, h[:]...)
	}
	return heads
}

func (r *request) changes() (answer, error) {
	doc, err := load(r.Log)
	if err != nil {
		return answer{}, err
	}
	all, err := doc.Changes()
	if err != nil {
		return answer{}, err
	}
	var a answer
	for _, c := range all {
		made, err := change.Parse(c.Save()) // which may be compressed
		if err != nil {
			return answer{}, unreadable(err.Error())
		}
		a.Body = append(a.Body, made.Chunk...)
	}
	return a, nil
}
