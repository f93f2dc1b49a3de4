package auth

import (
	"strings"
	"testing"
)

func TestGrants(t *testing.T) {
	g, err := ParseGrants(map[string]string{
		"*": "read", "team-*": "write", "team-secret": "none", "team-x*": "read", "team-xy": "write",
		"news": "none", "news*": "write", "closed*": "none", "closed/open*": "read", "ä*": "write",
	})
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]Level{
		"":             Read,
		"other":        Read,
		"team":         Read,
		"team-":        Write,
		"team-a":       Write,
		"team-secret":  None,
		"team-secrets": Write,
		"team-x":       Read,
		"team-xz":      Read,
		"team-xy":      Write,
		"team-xyz":     Read,
		"news":         None, // exact over the prefix with the same literal part
		"news2":        Write,
		"news*":        Write, // no pattern, a name
		"closed":       None,
		"closed/":      None,
		"closed/open":  Read,
		"Team-a":       Read,
		"ä":            Write,
		"\xc3":         Read, // half an ä
		"*":            Read,
	} {
		if got := g.Level(name); got != want {
			t.Errorf("%q: %v, want %v", name, got, want)
		}
	}

	if got := (Grants{}).Level("x"); got != None {
		t.Errorf("the zero value grants %v", got)
	}
	narrow, err := ParseGrants(map[string]string{"a": "write", "b*": "read"})
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]Level{"": None, "a": Write, "aa": None, "b": Read, "bb": Read, "c": None} {
		if got := narrow.Level(name); got != want {
			t.Errorf("%q: %v, want %v", name, got, want)
		}
	}
}

func TestLevels(t *testing.T) {
	if None >= Read || Read >= Write {
		t.Error("levels are not in order")
	}
	for _, l := range []Level{None, Read, Write} {
		if got, err := ParseLevel(l.String()); got != l || err != nil {
			t.Errorf("%v: %v, %v", l, got, err)
		}
	}
	for _, s := range []string{"", "Read", "write ", "admin", "Level(3)"} {
		if got, err := ParseLevel(s); got != None || err == nil {
			t.Errorf("%q: %v, %v", s, got, err)
		}
	}
}

// naive is what the comment of Level says, pattern by pattern.
func naive(patterns map[string]string, name string) Level {
	best, level := -1, "none"
	for pattern, l := range patterns {
		rank := -1
		if text, ok := strings.CutSuffix(pattern, "*"); ok && strings.HasPrefix(name, text) {
			rank = 2 * len(text)
		} else if pattern == name {
			rank = 2*len(pattern) + 1
		}
		if rank > best {
			best, level = rank, l
		}
	}
	parsed, _ := ParseLevel(level)
	return parsed
}

func FuzzGrants(f *testing.F) {
	f.Add("team-*=write,team-a=none,*=read", "team-a")
	f.Add("a=read,a*=write,aa*=none,aaa=read", "aaa")
	f.Add("ä*=read,\xc3*=write", "ä")
	f.Fuzz(func(t *testing.T, spelt, name string) {
		patterns := map[string]string{}
		for entry := range strings.SplitSeq(spelt, ",") {
			pattern, level, _ := strings.Cut(entry, "=")
			patterns[pattern] = level
		}
		g, err := ParseGrants(patterns)
		if err != nil {
			return
		}
		names := []string{name}
		for pattern := range patterns {
			names = append(names, pattern, strings.TrimSuffix(pattern, "*"), pattern+name)
		}
		for _, name := range names {
			if got, want := g.Level(name), naive(patterns, name); got != want {
				t.Fatalf("%q of %q: %v, want %v", name, patterns, got, want)
			}
		}
	})
}

func TestBelow(t *testing.T) {
	grants, err := ParseGrants(map[string]string{
		"*": "none", "app.*": "read", "app.secret.*": "none", "app.secret.open": "read",
		"team.one": "write", "team.two": "none", "shut*": "none", "news*": "none", "news": "read",
	})
	if err != nil {
		t.Fatal(err)
	}
	for prefix, want := range map[string]Level{
		"": Write, "a": Read, "app.": Read, "app.x": Read, "app.secret": Read, "app.secret.": Read, "app.secret.o": Read,
		"app.secret.open": Read, "app.secret.openly": None, "app.secret.shut": None,
		"t": Write, "team.o": Write, "team.t": None, "shut": None, "sh": None, "news": Read, "newsp": None, "zzz": None,
	} {
		if got := grants.Below(prefix); got != want {
			t.Errorf("below %q: got %v, want %v", prefix, got, want)
		}
	}
	if got := (Grants{}).Below(""); got != None {
		t.Errorf("no grants: got %v", got)
	}
}
