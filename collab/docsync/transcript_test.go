package docsync_test

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"atrium/collab/change"
	"atrium/collab/docsync"
)

var rewrite = flag.Bool("rewrite", false, "write the transcripts anew")

// TestTranscripts plays testdata/*.txt: a line of a script is what a client
// does, the indented lines below it are the messages that this brings about.
//
//	connect NAME [reader]   a new connection of a client, made when first named
//	edit NAME [N]           the client makes N changes
//	as NAME OTHER           the client edits as the other one's actor from now on
//	forget NAME             the client deletes its document
//	up NAME                 its next message reaches the server, which commits
//	down NAME               the server's next message reaches it
//	settle                  all messages arrive
func TestTranscripts(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no transcripts: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			p := play{t: t, doc: &docsync.Document{}, names: make(map[change.Hash]string), clients: make(map[string]*simClient)}
			for line := range strings.Lines(string(want)) {
				if strings.HasPrefix(line, "  ") {
					continue
				}
				p.out.WriteString(line)
				if words := strings.Fields(line); len(words) > 0 && words[0] != "#" {
					p.act(words)
				}
			}
			if *rewrite {
				if err := os.WriteFile(file, p.out.Bytes(), 0o644); err != nil {
					t.Fatal(err)
				}
			} else if got := p.out.String(); got != string(want) {
				t.Errorf("the transcript is now\n%s\nwant\n%s", got, want)
			}
		})
	}
}

type play struct {
	t       *testing.T
	doc     *docsync.Document
	names   map[change.Hash]string // c1, c2 …, in the order of their making
	clients map[string]*simClient
	order   []*simClient
	out     bytes.Buffer
}

func (p *play) act(words []string) {
	words = append(words, "", "")
	name, more := words[1], words[2]
	c := p.clients[name]
	if c == nil && name != "" {
		c = &simClient{refPeer: newRefPeer(), name: name, actor: bytes.Repeat([]byte{byte(len(p.clients) + 1)}, 16)}
		p.clients[name] = c
		p.order = append(p.order, c)
	}
	switch words[0] {
	case "connect":
		c.up, c.down = nil, nil
		c.refSync, c.reads = newRefSync(nil), more == "reader"
		c.knowsFlags = true
		c.peer = docsync.NewPeer(c, c.reads)
		p.clientSend(c)
	case "edit":
		n := 1
		if more != "" {
			fmt.Sscan(more, &n)
		}
		for range n {
			c.seq++
			c.write(p.t, c.actor, c.seq, len(p.names))
			p.names[c.sortedHeads()[0]] = fmt.Sprint("c", len(p.names)+1)
		}
		p.clientSend(c)
	case "as":
		c.actor, c.seq = p.clients[more].actor, 0
	case "forget":
		c.refPeer = newRefPeer()
		p.clientSend(c)
	case "up":
		p.up(c)
	case "down":
		p.down(c)
	case "settle":
		for again := true; again; {
			again = false
			for _, c := range p.order {
				for len(c.up)+len(c.down) > 0 {
					again = true
					p.up(c)
					p.down(c)
				}
			}
		}
	default:
		p.t.Fatalf("unknown act %q", words[0])
	}
}

func (p *play) up(c *simClient) {
	if len(c.up) == 0 {
		return
	}
	m, err := docsync.ParseMessage(c.up[0])
	if err != nil {
		p.t.Fatal(err)
	}
	c.up = c.up[1:]
	refused, err := p.doc.Receive(c.peer, m)
	if err != nil {
		p.t.Fatal(err)
	}
	for _, r := range refused {
		fmt.Fprintf(&p.out, "  %s refused: %v\n", p.names[r.Change], r.Err)
	}
	p.doc.Commit()
	for _, c := range p.order {
		out, ok := p.doc.Next(c.peer)
		if !ok {
			continue
		}
		data := p.doc.Append(nil, out)
		p.doc.Sent(c.peer, out)
		c.down = append(c.down, data)
		if m, err = docsync.ParseMessage(data); err != nil {
			p.t.Fatal(err)
		}
		p.note("server → "+c.name, m)
	}
}

func (p *play) down(c *simClient) {
	if len(c.down) == 0 {
		return
	}
	m, err := docsync.ParseMessage(c.down[0])
	if err != nil {
		p.t.Fatal(err)
	}
	c.down = c.down[1:]
	c.receive(p.t, m)
	p.clientSend(c)
}

func (p *play) clientSend(c *simClient) {
	if m, ok := c.generate(); ok {
		c.up = append(c.up, docsync.AppendMessage(nil, m))
		p.note(c.name+" → server", m)
	}
}

func (p *play) note(way string, m docsync.Message) {
	fmt.Fprintf(&p.out, "  %s: heads %s", way, p.named(m.Heads))
	if len(m.Need) > 0 {
		fmt.Fprintf(&p.out, ", need %s", p.named(m.Need))
	}
	for _, h := range m.Have {
		fmt.Fprintf(&p.out, ", have %s", p.named(h.LastSync))
		if !h.Bloom.Empty() {
			p.out.WriteString(" and a filter")
		}
	}
	var changes []change.Hash
	for _, chunk := range m.Changes {
		c, err := change.Parse(chunk)
		if err != nil {
			p.t.Fatal(err)
		}
		changes = append(changes, c.Hash)
	}
	if len(changes) > 0 {
		fmt.Fprintf(&p.out, ", changes %s", p.named(changes))
	}
	if m.Flags&2 != 0 {
		p.out.WriteString(", read only")
	}
	p.out.WriteString("\n")
}

func (p *play) named(hashes []change.Hash) string {
	var names []string
	for _, h := range hashes {
		names = append(names, p.names[h])
	}
	if len(names) > 4 {
		names = append(append(names[:2:2], "…"), names[len(names)-1])
	}
	return "[" + strings.Join(names, " ") + "]"
}
