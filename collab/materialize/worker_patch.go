package materialize

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf16"
)

// Bounds of patches, so that a short one does not take long.
const (
	maxPatchOps = 10_000
	maxCopied   = MaxInput
)

// mergePatch applies a patch of RFC 7396. It may change target.
func mergePatch(target, patch *node) *node {
	if patch.kind != kindMap {
		return patch
	}
	if target == nil || target.kind != kindMap {
		target = &node{kind: kindMap, keys: make(map[string]*node)}
	}
	for k, p := range patch.keys {
		if p.kind == kindNull {
			delete(target.keys, k)
		} else {
			target.keys[k] = mergePatch(target.keys[k], p)
		}
	}
	return target
}

// jsonPatch applies a patch of RFC 6902. It may change target, also if it
// fails.
func jsonPatch(target, patch *node) (*node, error) {
	if patch.kind != kindList {
		return nil, malformed("patch is not an array")
	}
	if len(patch.items) > maxPatchOps {
		return nil, malformed(fmt.Sprintf("patch has more than %d operations", maxPatchOps))
	}
	p := patching{root: target}
	for i, op := range patch.items {
		if err := p.apply(op); err != nil {
			err.Index = i
			return nil, err
		}
	}
	return p.root, nil
}

// patching is a document while a patch is applied to it.
type patching struct {
	root   *node
	copied int // about how many bytes of JSON
}

// bad says that an operation is malformed, conflict that it does not fit.
func bad(pointer, reason string) *PatchError { return &PatchError{Pointer: pointer, Reason: reason} }

func conflict(pointer, reason string) *PatchError {
	return &PatchError{Pointer: pointer, Reason: reason, Conflict: true}
}

func (p *patching) apply(op *node) *PatchError {
	if op.kind != kindMap {
		return bad("", "operation is not an object")
	}
	name, err := member(op, "op", kindText)
	if err != nil {
		return err
	}
	path, err := member(op, "path", kindText)
	if err != nil {
		return err
	}
	at, err := parsePointer(path.str)
	if err != nil {
		return err
	}
	switch name.str {
	case "add", "replace", "test":
		value := op.keys["value"]
		if value == nil {
			return bad(path.str, `operation has no "value"`)
		}
		switch name.str {
		case "add":
			return p.add(at, value.plain())
		case "replace":
			return p.replace(at, value.plain())
		}
		found, err := p.find(at)
		if err != nil {
			return err
		}
		if !sameJSON(found, value) {
			return conflict(path.str, "test failed")
		}
		return nil
	case "remove":
		_, err := p.remove(at)
		return err
	case "move", "copy":
		from, err := member(op, "from", kindText)
		if err != nil {
			return err
		}
		source, err := parsePointer(from.str)
		if err != nil {
			return err
		}
		if name.str == "copy" {
			return p.copy(source, at)
		}
		return p.move(source, at)
	case "splice":
		return p.splice(op, at)
	}
	return bad(path.str, fmt.Sprintf("unknown operation %q", name.str))
}

func member(op *node, name string, k kind) (*node, *PatchError) {
	n := op.keys[name]
	if n == nil || n.kind != k {
		at := ""
		if p := op.keys["path"]; p != nil {
			at = p.str
		}
		what := "a string"
		if k == kindInt {
			what = "an integer"
		}
		return nil, bad(at, fmt.Sprintf("%q is not %s", name, what))
	}
	return n, nil
}

// A place is a parsed JSON pointer (RFC 6901).
type place []string

func parsePointer(s string) (place, *PatchError) {
	if s == "" {
		return nil, nil
	}
	if s[0] != '/' {
		return nil, bad(s, "pointer does not begin with /")
	}
	at := place(strings.Split(s[1:], "/"))
	for i, token := range at {
		for j := range len(token) {
			if token[j] == '~' && (j+1 == len(token) || token[j+1] != '0' && token[j+1] != '1') {
				return nil, bad(s, "pointer has a ~ without 0 or 1")
			}
		}
		at[i] = unescape.Replace(token)
	}
	return at, nil
}

var unescape = strings.NewReplacer("~1", "/", "~0", "~")

var escaping = strings.NewReplacer("~", "~0", "/", "~1")

func escape(token string) string { return escaping.Replace(token) }

func index(pointer string, i int) string { return pointer + "/" + strconv.Itoa(i) }

func (at place) String() string {
	var s strings.Builder
	for _, token := range at {
		s.WriteByte('/')
		s.WriteString(escape(token))
	}
	return s.String()
}

// item reads the index of an item that is there, or, if end is set, of the end.
func item(list *node, at place, end bool) (int, *PatchError) {
	token := at[len(at)-1]
	if end && token == "-" {
		return len(list.items), nil
	}
	i, err := strconv.Atoi(token)
	if err != nil || i < 0 || strconv.Itoa(i) != token {
		return 0, conflict(at.String(), fmt.Sprintf("%q is not an index of an array", token))
	}
	if i > len(list.items) || i == len(list.items) && !end {
		return 0, conflict(at.String(), fmt.Sprintf("array has %d items", len(list.items)))
	}
	return i, nil
}

func (p *patching) find(at place) (*node, *PatchError) {
	n := p.root
	for i, token := range at {
		switch n.kind {
		case kindMap:
			child := n.keys[token]
			if child == nil {
				return nil, conflict(at[:i+1].String(), "path is not there")
			}
			n = child
		case kindList:
			j, err := item(n, at[:i+1], false)
			if err != nil {
				return nil, err
			}
			n = n.items[j]
		default:
			return nil, conflict(at[:i+1].String(), "path is not there: parent is neither object nor array")
		}
	}
	return n, nil
}

func (p *patching) add(at place, value *node) *PatchError {
	if len(at) == 0 {
		p.root = value
		return nil
	}
	parent, err := p.find(at[:len(at)-1])
	if err != nil {
		return err
	}
	switch parent.kind {
	case kindMap:
		parent.keys[at[len(at)-1]] = value
	case kindList:
		i, err := item(parent, at, true)
		if err != nil {
			return err
		}
		parent.items = slices.Insert(parent.items, i, value)
	default:
		return conflict(at.String(), "path is not there: parent is neither object nor array")
	}
	return nil
}

func (p *patching) replace(at place, value *node) *PatchError {
	if len(at) == 0 {
		p.root = value
		return nil
	}
	old, err := p.find(at)
	if err != nil {
		return err
	}
	*old = *value
	return nil
}

func (p *patching) remove(at place) (*node, *PatchError) {
	if len(at) == 0 {
		return nil, bad("", "the document itself cannot be removed")
	}
	old, err := p.find(at)
	if err != nil {
		return nil, err
	}
	parent, err := p.find(at[:len(at)-1])
	if err != nil {
		return nil, err
	}
	if parent.kind == kindMap {
		delete(parent.keys, at[len(at)-1])
		return old, nil
	}
	i, err := item(parent, at, false)
	if err != nil {
		return nil, err
	}
	parent.items = slices.Delete(parent.items, i, i+1)
	return old, nil
}

func (p *patching) copy(from, to place) *PatchError {
	n, err := p.find(from)
	if err != nil {
		return err
	}
	if p.copied += n.size(); p.copied > maxCopied {
		return bad(to.String(), fmt.Sprintf("patch copies more than %d bytes", maxCopied))
	}
	return p.add(to, n.plain())
}

func (p *patching) move(from, to place) *PatchError {
	if len(from) < len(to) && slices.Equal(from, to[:len(from)]) {
		return bad(to.String(), "a value cannot be moved into itself")
	}
	if slices.Equal(from, to) {
		_, err := p.find(from)
		return err
	}
	n, err := p.remove(from)
	if err != nil {
		return err
	}
	return p.add(to, n)
}

// sameJSON compares values as they are while a patch is applied: sums, once
// asked for, would not follow.
func sameJSON(a, b *node) bool {
	switch {
	case a.kind != b.kind:
		return false
	case a.kind == kindMap:
		if len(a.keys) != len(b.keys) {
			return false
		}
		for k, child := range a.keys {
			if other := b.keys[k]; other == nil || !sameJSON(child, other) {
				return false
			}
		}
		return true
	case a.kind == kindList:
		return slices.EqualFunc(a.items, b.items, sameJSON)
	}
	return a.yes == b.yes && a.int == b.int && a.uint == b.uint && a.float == b.float && a.str == b.str
}

// splice replaces a part of a string, counted in UTF-16 code units.
func (p *patching) splice(op *node, at place) *PatchError {
	i, err := member(op, "index", kindInt)
	if err != nil {
		return err
	}
	deleted := &node{kind: kindInt}
	if op.keys["delete"] != nil {
		if deleted, err = member(op, "delete", kindInt); err != nil {
			return err
		}
	}
	inserted := &node{kind: kindText}
	if op.keys["insert"] != nil {
		if inserted, err = member(op, "insert", kindText); err != nil {
			return err
		}
	}
	if i.int < 0 || deleted.int < 0 {
		return bad(at.String(), "index or length is negative")
	}
	n, err := p.find(at)
	if err != nil {
		return err
	}
	if n.kind != kindText {
		return conflict(at.String(), "value is not a string")
	}
	from, err := offset(n.str, 0, i.int, at)
	if err != nil {
		return err
	}
	to, err := offset(n.str, from, deleted.int, at)
	if err != nil {
		return err
	}
	*n = node{kind: kindText, str: n.str[:from] + inserted.str + n.str[to:]}
	return nil
}

// offset returns the offset in bytes that is so many UTF-16 code units after
// another.
func offset(s string, from int, units int64, at place) (int, *PatchError) {
	for i, r := range s[from:] {
		if units == 0 {
			return from + i, nil
		}
		if units -= int64(utf16.RuneLen(r)); units < 0 {
			return 0, bad(at.String(), "a surrogate pair would be split")
		}
	}
	if units > 0 {
		return 0, conflict(at.String(), "string ends before")
	}
	return len(s), nil
}
