package main

import (
	"fmt"
	"net/http"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"
)

func subscribeMsg(metrics ...string) msg {
	return msg{"type": "dashboard:subscribe", "metrics": metrics}
}

func unsubscribeMsg(metrics ...string) msg {
	return msg{"type": "dashboard:unsubscribe", "metrics": metrics}
}

// put sets a metric's value, at a second since 1970 or, for 0, now.
func (s *testServer) put(metric string, value any, second int64) {
	s.t.Helper()
	body := map[string]any{"value": value}
	if second != 0 {
		body["timestamp"] = time.Unix(second, 0).UTC().Format(time.RFC3339)
	}
	s.call(request{method: http.MethodPut, path: "/api/v1/metrics/" + metric, credential: apiKey, body: body}).expect(s.t, 204)
}

// watch subscribes, and returns the values of the answer as "metric=value".
func (c *client) watch(metrics ...string) string {
	c.t.Helper()
	answer := c.ask(subscribeMsg(metrics...))
	if outcome(answer) != "ack" {
		c.t.Fatalf("%s: got %v, want an ack", c.user, answer)
	}
	all := []string{}
	for _, v := range answer["values"].([]any) {
		v := v.(map[string]any)
		all = append(all, fmt.Sprint(v["metric"], "=", v["value"]))
	}
	return strings.Join(all, " ")
}

// isShown fails unless the next message is an update to this.
func (c *client) isShown(metric string, value any) msg {
	c.t.Helper()
	m := c.expect("dashboard:update").msg
	if m["metric"] != metric || !reflect.DeepEqual(m["value"], value) {
		c.t.Fatalf("%s: got %v, want %s to be %v", c.user, m, metric, value)
	}
	return m
}

// TestMetric: the newest on subscribing, then every newer one; older ones never
// win.
func TestMetric(t *testing.T) {
	t.Parallel()
	s := startServer(t, withAPIKey)
	for name, inCodec := range everyCodec {
		load, other := name+".load", name+".other"
		alice := dial(t, s, "alice", senderID(name), metric("*", "read"), inCodec)
		if got := alice.watch(load, load); got != "" {
			t.Errorf("before any value: %s", got)
		}
		value := map[string]any{"n": 1.5, "deep": []any{true, nil, "x"}}
		s.put(load, value, 1_000_000_000)
		got := alice.isShown(load, value)
		if want := (msg{"type": "dashboard:update", "metric": load, "value": value, "timestamp": "2001-09-09T01:46:40Z"}); !reflect.DeepEqual(got, want) {
			t.Errorf("got %v, want %v", got, want)
		}
		s.put(load, "older", 999_999_999)
		s.put(other, 1, 0)
		alice.expectNothing()
		s.put(load, "the same time", 1_000_000_000)
		alice.isShown(load, "the same time")
		s.post("/api/v1/metrics", map[string]any{"metrics": []any{
			map[string]any{"metric": other, "value": 2},
			map[string]any{"metric": load, "value": "first of two", "timestamp": "2020-01-01T00:00:00Z"},
			map[string]any{"metric": load, "value": "second of two", "timestamp": "2020-01-01T02:00:00.123456+02:00"},
			map[string]any{"metric": load, "value": "older", "timestamp": "2019-01-01T00:00:00Z"},
		}}).expect(t, 204)
		if m := alice.isShown(load, "second of two"); m["timestamp"] != "2020-01-01T00:00:00.123456Z" {
			t.Errorf("got %v", m)
		}
		if got := alice.watch(load, other, name+".none"); got != load+"=second of two "+other+"=2" {
			t.Errorf("got %s", got)
		}
		before := time.Now()
		s.put(other, nil, 0)
		at, err := time.Parse(time.RFC3339Nano, alice.isShown(other, nil)["timestamp"].(string))
		if err != nil || at.Before(before.Add(-time.Millisecond)) || at.After(time.Now()) {
			t.Errorf("without a timestamp it is of %v, put at %v", at, before)
		}
		if answer := alice.ask(unsubscribeMsg(load, "never.had")); outcome(answer) != "ack" || len(answer["values"].([]any)) != 0 {
			t.Errorf("got %v", answer)
		}
		s.put(load, "unseen", 0)
		alice.expectNothing()
		s.put(other, 3, 0)
		alice.isShown(other, 3.0)
	}
	s.kill9()
	s.start()
	if got := dial(t, s, "alice", metric("*", "read")).watch("json.*"); got != "json.load=unseen json.other=3" {
		t.Errorf("after a restart: %s", got)
	}
}

// TestMetricsByPrefix: a prefix shows what is granted below it, and nothing else.
func TestMetricsByPrefix(t *testing.T) {
	t.Parallel()
	grants := []option{metric("app.*", "read"), metric("app.secret.*", "none"), metric("app.secret.not", "write"), metric("app.open.none", "none")}
	for name, inCodec := range everyCodec {
		s := startServer(t, withAPIKey)
		s.put("app.open", 1, 0)
		s.put("app.secret.key", 2, 0)
		s.put("app.secret.not", 3, 0)
		s.put("apq", 4, 0)
		s.put("übung", 5, 0)
		alice := dial(t, s, "alice", append(grants, senderID(name), inCodec)...)
		if got := alice.watch("app.*"); got != "app.open=1 app.secret.not=3" {
			t.Errorf("got %s", got)
		}
		// Wider and overlapping ones show each once.
		if got := alice.watch("*", "a*", "app.*", "app.open"); got != "app.open=1 app.secret.not=3" {
			t.Errorf("got %s", got)
		}
		if got := alice.watch("app.secret.*"); got != "app.secret.not=3" {
			t.Errorf("got %s", got)
		}
		for _, hidden := range []string{"app.secret.key", "app.open.none", "apq", "übung"} {
			s.put(hidden, "hidden", 0)
		}
		alice.expectNothing()
		s.put("app.open", 1, 0)
		alice.isShown("app.open", 1.0)
		s.put("app.secret.not", 3, 0)
		alice.isShown("app.secret.not", 3.0)
		s.put("app.", "just the prefix", 0)
		alice.isShown("app.", "just the prefix")
		alice.ask(unsubscribeMsg("*", "a*", "app.*", "app.secret.*"))
		s.put("app.secret.not", 3, 0)
		alice.expectNothing()
		s.put("app.open", 1, 0)
		alice.isShown("app.open", 1.0)

		// A new token counts from its message on.
		alice.watch("app.*", "app.secret.not")
		narrower := token(t, "alice", metric("app.*", "read"), metric("app.secret*", "none"), metric("app.open.none", "none"))
		alice.send(msg{"type": "auth", "token": narrower, "id": "narrower"})
		refused, acked := false, false
		for !refused || !acked {
			f := alice.next()
			refused = refused || f.msg["type"] == "error" && f.msg["code"] == "forbidden" && f.msg["id"] == nil
			acked = acked || f.msg["id"] == "narrower" && f.msg["type"] == "ack"
		}
		s.put("app.secret.not", 3, 0)
		alice.expectNothing()
		s.put("app.open", 1, 0)
		alice.isShown("app.open", 1.0)
		if got := alice.watch("app.*"); got != "app.=just the prefix app.open=1" {
			t.Errorf("got %s", got)
		}
		if answer := alice.ask(subscribeMsg("app.secret.not")); outcome(answer) != "forbidden" {
			t.Errorf("got %v", answer)
		}
		// With another, the prefix shows what it did not.
		alice.ask(msg{"type": "auth", "token": token(t, "alice", metric("app.secret.key", "read"))})
		s.put("app.open", 1, 0)
		s.put("app.secret.key", "now seen", 0)
		alice.isShown("app.secret.key", "now seen")
	}
}

func TestMetricsRefused(t *testing.T) {
	t.Parallel()
	s := startServer(t, withAPIKey)
	long := strings.Repeat("m", 257)
	for name, inCodec := range everyCodec {
		alice := dial(t, s, "alice", senderID(name), metric("app.*", "read"), metric("app.none*", "none"), inCodec)
		tests := []struct {
			m    msg
			want string
		}{
			{subscribeMsg("other"), "forbidden"}, {subscribeMsg("app.one", "other"), "forbidden"},
			{subscribeMsg("app.none.x"), "forbidden"}, {subscribeMsg("app.none*"), "forbidden"}, {subscribeMsg("o*"), "forbidden"},
			{subscribeMsg("atrium.sessions"), "forbidden"}, {subscribeMsg("atrium.*"), "forbidden"},
			{subscribeMsg(), "bad_request"}, {subscribeMsg(""), "bad_request"}, {subscribeMsg(long), "bad_request"},
			{subscribeMsg("app.\n"), "bad_request"}, {subscribeMsg("app.*.x"), "bad_request"}, {subscribeMsg("app.**"), "bad_request"},
			{msg{"type": "dashboard:subscribe", "metrics": "app.one"}, "bad_request"}, {msg{"type": "dashboard:subscribe"}, "bad_request"},
			{msg{"type": "dashboard:subscribe", "metrics": []any{7}}, "bad_request"},
			{unsubscribeMsg(""), "bad_request"}, {unsubscribeMsg(), "bad_request"},
			{unsubscribeMsg("other"), "ack"}, {subscribeMsg("app.*", "app.one"), "ack"}, {subscribeMsg("*"), "ack"},
		}
		for _, test := range tests {
			if answer := alice.ask(test.m); outcome(answer) != test.want {
				t.Errorf("%s: %v: got %v, want %s", name, test.m, answer, test.want)
			}
		}
		nobody := dial(t, s, "nobody", senderID(name), inCodec)
		if answer := nobody.ask(subscribeMsg("*")); outcome(answer) != "forbidden" {
			t.Errorf("without any grant: got %v", answer)
		}
		// No more than a thousand, counted once each.
		many := dial(t, s, "many", senderID(name), metric("*", "read"), inCodec)
		names := make([]string, 1000)
		for i := range names {
			names[i] = fmt.Sprint("m", i)
		}
		many.watch(names...)
		many.watch(names[:10]...)
		if answer := many.ask(subscribeMsg("one more")); outcome(answer) != "bad_request" {
			t.Errorf("got %v", answer)
		}
		many.ask(unsubscribeMsg(names[0]))
		many.watch("one more")
		s.put("one%20more", 1, 0)
		many.isShown("one more", 1.0)
	}
	put := func(name string, body any) request {
		return request{method: http.MethodPut, path: "/api/v1/metrics/" + name, body: body}
	}
	one := map[string]any{"value": 1}
	tests := []struct {
		name string
		request
		status int
	}{
		{"at its bounds", put(long[1:], map[string]any{"value": strings.Repeat("v", 16382)}), 204},
		{"null", put("m", map[string]any{"value": nil}), 204},
		{"a large value", put("m", map[string]any{"value": strings.Repeat("v", 16383)}), 400},
		{"no value", put("m", map[string]any{}), 422},
		{"a long name", put(long, one), 400},
		{"a control character", put("a%0ab", one), 400},
		{"an asterisk", put("a*", one), 400},
		{"Atrium's own", put("atrium.sessions", one), 403},
		{"like Atrium's own", put("atrium", one), 204},
		{"a bad timestamp", put("m", map[string]any{"value": 1, "timestamp": "yesterday"}), 422},
		{"far ahead", put("m", map[string]any{"value": 1, "timestamp": time.Now().Add(time.Hour).Format(time.RFC3339)}), 400},
		{"before 1970", put("m", map[string]any{"value": 1, "timestamp": "1969-12-31T23:59:59Z"}), 400},
		{"before all", put("m", map[string]any{"value": 1, "timestamp": "0001-01-01T00:00:00Z"}), 400},
		{"none", request{method: "POST", path: "/api/v1/metrics", body: map[string]any{"metrics": []any{}}}, 422},
		{"null", request{method: "POST", path: "/api/v1/metrics", body: map[string]any{"metrics": nil}}, 422},
		{"one bad of two", request{method: "POST", path: "/api/v1/metrics", body: map[string]any{"metrics": []any{
			map[string]any{"metric": "good", "value": 1}, map[string]any{"metric": "atrium.x", "value": 1},
		}}}, 403},
	}
	for _, test := range tests {
		test.credential = apiKey
		if a := s.call(test.request); a.status != test.status {
			t.Errorf("%s: got %d %.300s, want %d", test.name, a.status, a.raw, test.status)
		}
		if test.status != 204 {
			continue
		}
		for credential, status := range map[string]int{"": 401, "a wrong key": 401, token(t, "alice", metric("*", "write")): 403} {
			test.credential = credential
			s.call(test.request).expect(t, status)
		}
	}
	admin := token(t, "root", func(d *dialing) { d.claims.Admin = true })
	s.call(request{method: "POST", path: "/api/v1/metrics", credential: admin, body: map[string]any{"metrics": []any{map[string]any{"metric": "m", "value": 1}}}}).expect(t, 204)
	if got := dial(t, s, "alice", metric("*", "read")).watch("good"); got != "" {
		t.Errorf("of what was refused there is %s", got)
	}
}

// TestSlowDashboard: who stops reading gets only the newest of each metric
// afterwards, and is not closed.
func TestSlowDashboard(t *testing.T) {
	t.Parallel()
	s := startServer(t, withAPIKey)
	slow := dial(t, s, "slow", metric("*", "read"), receiveBuffer(4096))
	fast := dial(t, s, "fast", metric("*", "read"), inJSON)
	for _, c := range []*client{slow, fast} {
		c.watch("m.*", "m.1")
	}
	slow.pause()
	const rounds, names = 120, 2 // 4 MB, far more than sockets and the queue hold
	filling := strings.Repeat("x", 16000)
	for i := range rounds {
		for m := range names {
			name := fmt.Sprint("m.", m)
			s.put(name, []any{i, filling}, 0)
			fast.isShown(name, []any{float64(i), filling})
		}
	}
	slow.resume()
	got := 0
	at := make([]float64, names)
	for done := 0; done < names; got++ {
		m := slow.expect("dashboard:update").msg
		i := m["value"].([]any)[0].(float64)
		which := int(m["metric"].(string)[2] - '0')
		if got >= names && i <= at[which] {
			t.Fatalf("%v comes after %v", i, at[which])
		}
		if at[which] = i; i == rounds-1 {
			done++
		}
	}
	t.Logf("%d of %d came", got, rounds*names)
	if got > rounds*names*3/4 {
		t.Errorf("%d of %d came to who did not read: more than the newest", got, rounds*names)
	}
	slow.expectNothing()
}

// TestMetricsComeInOrder: though many are put at once, a session never sees an
// older value after a newer one, and ends with the newest.
func TestMetricsComeInOrder(t *testing.T) {
	t.Parallel()
	s := startServer(t, withAPIKey)
	watchers := []*client{dial(t, s, "alice", metric("*", "read"), senderID("1")), dial(t, s, "alice", metric("*", "read"), senderID("2"), inJSON)}
	for _, c := range watchers {
		c.watch("m*")
	}
	const writers, each = 8, 25
	var putting sync.WaitGroup
	for w := range writers {
		putting.Go(func() {
			for i := range each {
				n := i*writers + w + 1
				a := s.call(request{method: http.MethodPut, path: "/api/v1/metrics/m", credential: apiKey, body: map[string]any{
					"value": n, "timestamp": time.Unix(int64(n), 0).UTC().Format(time.RFC3339),
				}})
				if a.status != 204 {
					t.Errorf("got %d %s", a.status, a.raw)
				}
			}
		})
	}
	putting.Wait()
	for _, c := range watchers {
		last := 0.0
		for _, f := range c.ping() {
			n := f.msg["value"].(float64)
			if f.msg["type"] != "dashboard:update" || n <= last {
				t.Fatalf("%v comes after %v", f.msg, last)
			}
			last = n
		}
		if last != writers*each {
			t.Errorf("the last shown is %v, want %d", last, writers*each)
		}
	}
}
