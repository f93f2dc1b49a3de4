package materialize

import "slices"

func (r *request) diff() (answer, error) {
	from, err := contentOf(r.Log)
	if err != nil {
		return answer{}, err
	}
	to, err := contentOf(r.Other)
	if err != nil {
		return answer{}, err
	}
	ops := &node{kind: kindList}
	difference(ops, from.plain(), to.plain(), "")
	return answer{Body: ops.appendJSON(nil)}, nil
}

// difference appends the operations of a patch of RFC 6902 that make to of from.
func difference(ops *node, from, to *node, pointer string) {
	switch {
	case from.equal(to, asJSON):
	case from.kind == kindMap && to.kind == kindMap:
		for _, k := range from.sortedKeys() {
			if to.keys[k] == nil {
				ops.patchOp("remove", pointer+"/"+escape(k), nil)
			}
		}
		for _, k := range to.sortedKeys() {
			if at := pointer + "/" + escape(k); from.keys[k] == nil {
				ops.patchOp("add", at, to.keys[k])
			} else {
				difference(ops, from.keys[k], to.keys[k], at)
			}
		}
	case from.kind == kindList && to.kind == kindList:
		// From the end, so that indices stay what they were.
		for _, h := range slices.Backward(pairs(from.items, to.items, asJSON)) {
			switch {
			case h.aFrom == h.aTo:
				for i := h.bFrom; i < h.bTo; i++ {
					ops.patchOp("add", index(pointer, h.aFrom+i-h.bFrom), to.items[i])
				}
			case h.bFrom == h.bTo:
				for range h.aTo - h.aFrom {
					ops.patchOp("remove", index(pointer, h.aFrom), nil)
				}
			default:
				difference(ops, from.items[h.aFrom], to.items[h.bFrom], index(pointer, h.aFrom))
			}
		}
	default:
		ops.patchOp("replace", pointer, to)
	}
}

// patchOp appends an operation.
func (n *node) patchOp(op, path string, value *node) {
	keys := map[string]*node{"op": {kind: kindText, str: op}, "path": {kind: kindText, str: path}}
	if value != nil {
		keys["value"] = value
	}
	n.items = append(n.items, &node{kind: kindMap, keys: keys})
}
