package main

import "testing"

// valuesIn are the values of an answer to dashboard:subscribe, by metric.
func valuesIn(t *testing.T, m msg) map[string]any {
	t.Helper()
	values := make(map[string]any)
	for _, v := range m["values"].([]any) {
		value := v.(map[string]any)
		values[value["metric"].(string)] = value["value"]
	}
	return values
}

// TestOwnMetrics: Atrium shows how it is, to who may see that, once a second.
func TestOwnMetrics(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	alice := dial(t, s, "alice", docs("*", "write"), metric("atrium.*", "read"))
	alice.author(newDocument()).write()
	subscribe := msg{"type": "dashboard:subscribe", "metrics": []any{"atrium.*"}}
	values := valuesIn(t, alice.ask(subscribe))
	for _, name := range []string{"sessions", "documents_open", "messages_in_per_second", "messages_out_per_second", "memory_bytes", "commit_p99_ms"} {
		if _, ok := values["atrium."+name].(float64); !ok {
			t.Errorf("%s is not among %v", name, values)
		}
	}
	if values["atrium.sessions"] != 1.0 || values["atrium.documents_open"] != 1.0 {
		t.Errorf("got %v, want one session and one document", values)
	}
	bob := dial(t, s, "bob")
	alice.await("the news of another session", func(m msg) bool {
		return m["type"] == "dashboard:update" && m["metric"] == "atrium.sessions" && m["value"] == 2.0
	})
	alice.await("messages per second", func(m msg) bool {
		n, _ := m["value"].(float64)
		return m["metric"] == "atrium.messages_out_per_second" && n > 0
	})
	if answer := bob.ask(subscribe); outcome(answer) != "forbidden" {
		t.Errorf("bob, who may see none, got %v", answer)
	}
}
