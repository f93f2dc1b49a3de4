package webhook

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// maxWait is the longest between two attempts.
const maxWait = time.Hour

// maxAnswer is how much of an answer is read, so that its connection can be used
// again.
const maxAnswer = 16 << 10

// tell sends what is to be sent of a document now, if anything.
func (m *Module) tell(documentID string) {
	msg, ok, err := m.take(documentID, time.Now())
	if err == nil && ok {
		err = m.deliver(documentID, msg)
	}
	if err != nil {
		m.log.Error("webhooks cannot be stored; trying again", "error", err, "document", documentID)
		select {
		case <-time.After(storePause):
		case <-m.stop:
		}
	}
}

// deliver makes one attempt to send a message. Its error is the store's.
func (m *Module) deliver(documentID string, msg message) error {
	status, failure := m.post(msg)
	now := time.Now()
	switch {
	case failure == nil:
		m.stats.Delivered.Add(1)
		if m.failing.Swap(false) {
			m.log.Info("webhooks are delivered again")
		}
		return m.finish(documentID, msg.id, now)
	case m.ctx.Err() != nil: // it is Close that failed
		return m.unclaim(documentID, msg.id, now)
	}
	if msg.firstFailed.IsZero() {
		msg.firstFailed = now
	}
	msg.attempts++
	due := now.Add(wait(msg.attempts, m.opts.FirstWait, rand.Float64()))
	if status == http.StatusGone || due.Sub(msg.firstFailed) > m.opts.GiveUp {
		m.stats.GivenUp.Add(1)
		m.log.Error("webhook given up", "error", failure, "document", documentID, "webhook", msg.id, "attempts", msg.attempts)
		return m.finish(documentID, msg.id, now)
	}
	m.stats.Retried.Add(1)
	if !m.failing.Swap(true) {
		m.log.Warn("webhooks cannot be delivered; trying again", "error", failure, "document", documentID, "webhook", msg.id)
	}
	return m.postpone(documentID, msg, due)
}

// wait returns how long to wait after a number of failures: twice as long as
// after the one before, and between half of that and all of it by random, which
// is from 0 to 1.
func wait(failures int, first time.Duration, random float64) time.Duration {
	d := first
	for i := 1; i < failures && d < maxWait; i++ {
		d *= 2
	}
	d = min(d, maxWait)
	return d/2 + time.Duration(random*float64(d/2))
}

// post makes an HTTP call of a message. It fails unless the answer is 2xx; the
// status is 0 without one.
func (m *Module) post(msg message) (status int, err error) {
	req, err := http.NewRequestWithContext(m.ctx, http.MethodPost, m.opts.URL, strings.NewReader(msg.body))
	if err != nil {
		return 0, bare(err)
	}
	timestamp := strconv.FormatInt(time.Now().Unix(), 10)
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "Atrium")
	req.Header.Set("Webhook-Id", msg.id)
	req.Header.Set("Webhook-Timestamp", timestamp)
	req.Header.Set("Webhook-Signature", sign(m.opts.Secret, msg.id, timestamp, msg.body))
	resp, err := m.client.Do(req)
	if err != nil {
		return 0, bare(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		return resp.StatusCode, fmt.Errorf("the receiver answered %d", resp.StatusCode)
	}
	io.CopyN(io.Discard, resp.Body, maxAnswer) // it has been taken, whatever more is said
	return resp.StatusCode, nil
}

// bare is an error without the address, which may hold a secret.
func bare(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
}

// sign returns a signature as https://www.standardwebhooks.com has it, but for
// the key, which is taken as it is.
func sign(key []byte, id, timestamp, body string) string {
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(id + "." + timestamp + "." + body))
	return "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))
}
