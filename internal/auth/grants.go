package auth

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Level is how far somebody is let in.
type Level uint8

const (
	None  Level = iota // no access
	Read               // may see
	Write              // may see and change
)

// String returns the level as tokens spell it.
func (l Level) String() string {
	switch l {
	case None:
		return "none"
	case Read:
		return "read"
	case Write:
		return "write"
	}
	return fmt.Sprintf("Level(%d)", uint8(l))
}

// ParseLevel reads a level as tokens spell it, in lower case.
func ParseLevel(s string) (Level, error) {
	switch s {
	case "none":
		return None, nil
	case "read":
		return Read, nil
	case "write":
		return Write, nil
	}
	return None, refuse("a level is neither none, read nor write")
}

// Grants tells the level for any name. It never changes once made and may be
// shared. The zero value grants nothing.
type Grants struct {
	exact    []grant // sorted by text
	prefixes []grant // longest text first
}

type grant struct {
	text  string // the pattern's literal part: without the asterisk
	level Level
}

// ParseGrants compiles patterns and their levels. A pattern is an exact name,
// or a prefix ending in an asterisk; an asterisk elsewhere, an empty pattern,
// text that no name can have and an unknown level are errors.
func ParseGrants(patterns map[string]string) (Grants, error) {
	var g Grants
	for pattern, spelt := range patterns {
		level, err := ParseLevel(spelt)
		if err != nil {
			return Grants{}, err
		}
		text, isPrefix := strings.CutSuffix(pattern, "*")
		switch {
		case pattern == "":
			return Grants{}, refuse("a pattern is empty")
		case strings.Contains(text, "*"):
			return Grants{}, refuse("a pattern has an asterisk that is not its end")
		case !clean(text):
			return Grants{}, refuse("a pattern is not clean text")
		case isPrefix:
			g.prefixes = append(g.prefixes, grant{text, level})
		default:
			g.exact = append(g.exact, grant{text, level})
		}
	}
	slices.SortFunc(g.exact, func(a, b grant) int { return strings.Compare(a.text, b.text) })
	slices.SortFunc(g.prefixes, func(a, b grant) int {
		return cmp.Or(cmp.Compare(len(b.text), len(a.text)), strings.Compare(a.text, b.text))
	})
	return g, nil
}

// Level returns the level of the pattern that matches name with the longest
// literal part. An exact name wins over the prefix with the same literal part
// ("news" over "news*"), and so over every prefix that matches the same name.
// None if nothing matches. An asterisk in name is a character like any other.
func (g Grants) Level(name string) Level {
	if i, ok := slices.BinarySearchFunc(g.exact, name, func(e grant, name string) int {
		return strings.Compare(e.text, name)
	}); ok {
		return g.exact[i].level
	}
	for _, p := range g.prefixes {
		if strings.HasPrefix(name, p.text) {
			return p.level
		}
	}
	return None
}

// Below returns the highest level that any name beginning with prefix may have.
func (g Grants) Below(prefix string) Level {
	level := None
	for _, e := range g.exact {
		if strings.HasPrefix(e.text, prefix) {
			level = max(level, e.level)
		}
	}
	covered := false // by a pattern for all of them; the longest is the first
	for _, p := range g.prefixes {
		switch {
		case strings.HasPrefix(p.text, prefix):
			level = max(level, p.level)
			covered = covered || p.text == prefix
		case !covered && strings.HasPrefix(prefix, p.text):
			level = max(level, p.level)
			covered = true
		}
	}
	return level
}
