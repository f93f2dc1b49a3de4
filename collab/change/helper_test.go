package change

import "bytes"

// typing returns a change of one typed character.
func typing() Change {
	rest := corpus
	for len(rest) > 0 {
		n, r, _ := ParseUleb(rest)
		record := r[:n]
		rest = r[n:]
		m, record, _ := ParseUleb(record[1:])
		c, err := Parse(record[:m])
		if err != nil {
			panic(err)
		}
		if ops, _ := c.Ops(); ops == 1 && len(c.Chunk) < 115 && bytes.Count(c.Chunk, []byte{0x11}) > 0 && c.NumDeps() == 1 {
			if src, _ := c.column(colInsert); len(src) == 2 {
				return c
			}
		}
	}
	panic("no such change")
}
