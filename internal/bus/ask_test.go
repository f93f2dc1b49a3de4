package bus_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"atrium/internal/bus"
	"atrium/internal/scratch"
)

// askable is a node that answers, by its name and the question, once it listens.
func askable(t *testing.T, b *bus.Bus, name string) *bus.Questions {
	t.Helper()
	q := b.Questions("ask", func(question []byte) []byte { return append([]byte(name+" "), question...) })
	last, _ := listen(t, b, "last") // subscribed to in order
	last.isTold()
	return q
}

// ask returns the answers in their order.
func ask(t *testing.T, q *bus.Questions, within time.Duration, question string, nodes ...*bus.Bus) (answers []string, silent int) {
	t.Helper()
	var names []string
	for _, b := range nodes {
		names = append(names, b.Node())
	}
	ctx, cancel := context.WithTimeout(t.Context(), within)
	defer cancel()
	got, silent := q.Ask(ctx, []byte(question), names)
	for _, a := range got {
		answers = append(answers, string(a.Data))
	}
	slices.Sort(answers)
	return answers, silent
}

// TestQuestions: all others answer, to who has asked.
func TestQuestions(t *testing.T) {
	url := scratch.Redis(t)
	a, b, c := connect(t, url, t.Name()), connect(t, url, t.Name()), connect(t, url, t.Name())
	inA, inB := askable(t, a, "a"), askable(t, b, "b")
	askable(t, c, "c")
	var asking sync.WaitGroup
	for i := range 20 {
		for _, x := range []struct {
			q      *bus.Questions
			nodes  []*bus.Bus
			others string
		}{{inA, []*bus.Bus{b, c}, "b"}, {inB, []*bus.Bus{a, c}, "a"}} {
			asking.Go(func() {
				answers, silent := ask(t, x.q, patience, fmt.Sprint(i), x.nodes...)
				if want := []string{fmt.Sprint(x.others, " ", i), fmt.Sprint("c ", i)}; !slices.Equal(answers, want) || silent != 0 {
					t.Errorf("got %v, %d silent, want %v", answers, silent, want)
				}
			})
		}
	}
	asking.Wait()
	if answers, silent := ask(t, inA, patience, "x"); answers != nil || silent != 0 {
		t.Errorf("nobody was asked, and %v came, %d silent", answers, silent)
	}

	c.Close()
	began := time.Now()
	answers, silent := ask(t, inA, 200*time.Millisecond, "x", b, c)
	if took := time.Since(began); !slices.Equal(answers, []string{"b x"}) || silent != 1 || took < 200*time.Millisecond {
		t.Errorf("one has gone: got %v, %d silent, after %v", answers, silent, took)
	}
	var alone *bus.Bus
	if answers, silent := ask(t, alone.Questions("ask", nil), patience, "x"); answers != nil || silent != 0 {
		t.Errorf("a node alone got %v, %d silent", answers, silent)
	}
}

// TestQuestionsWithoutRedis: nobody waits.
func TestQuestionsWithoutRedis(t *testing.T) {
	server := scratch.NewRedis(t)
	a, b := connect(t, server.RedisURL(), "c"), connect(t, server.RedisURL(), "c")
	q := askable(t, a, "a")
	server.Kill()
	for deadline := time.Now().Add(patience); a.Connected(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("it is still thought to be there")
		}
	}
	began := time.Now()
	if answers, silent := ask(t, q, patience, "x", b); answers != nil || silent != 1 || time.Since(began) > patience/2 {
		t.Errorf("got %v, %d silent, after %v", answers, silent, time.Since(began))
	}
}
