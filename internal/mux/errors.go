package mux

import (
	"errors"
	"time"
)

// Code says what became of a message. Clients act on it, and on Retryable.
type Code string

// All the codes there are.
const (
	BadRequest      Code = "bad_request"
	Unauthenticated Code = "unauthenticated"
	Forbidden       Code = "forbidden"
	NotFound        Code = "not_found"
	Conflict        Code = "conflict"
	TooLarge        Code = "too_large"
	RateLimited     Code = "rate_limited"
	Unavailable     Code = "unavailable"
	Internal        Code = "internal"
)

// Retryable reports whether the same message may succeed later.
func (c Code) Retryable() bool {
	return c == RateLimited || c == Unavailable || c == Internal
}

// Error is what a client is told. Its text holds no secret and no content.
type Error struct {
	Code       Code
	Message    string
	RetryAfter time.Duration // zero: not said
}

func (e *Error) Error() string { return string(e.Code) + ": " + e.Message }

// NewError makes an Error of a code and a sentence for the client.
func NewError(code Code, message string) *Error { return &Error{Code: code, Message: message} }

// codedError finds the *Error in err; anything else is internal and keeps its
// text to itself.
func codedError(err error) *Error {
	var coded *Error
	if errors.As(err, &coded) {
		return coded
	}
	return NewError(Internal, "internal error")
}

// CloseCode is a WebSocket close code.
type CloseCode uint16

// Close codes. After GoingAway and TooSlow clients reconnect; after the other
// 44xx codes only with something new, such as a fresh token.
const (
	CloseNormal        CloseCode = 1000
	CloseProtocol      CloseCode = 1002
	CloseBadUTF8       CloseCode = 1007
	CloseTooLarge      CloseCode = 1009
	CloseNotUnderstood CloseCode = 4400
	CloseBadToken      CloseCode = 4401
	CloseForbidden     CloseCode = 4403
	CloseJoinTooLate   CloseCode = 4408
	CloseReplaced      CloseCode = 4409
	CloseTooMany       CloseCode = 4429
	CloseGoingAway     CloseCode = 4503
	CloseTooSlow       CloseCode = 4508
)

// errorMessage is an Error on the wire. Stock automerge-repo clients look at
// message alone.
type errorMessage struct {
	Type         string `json:"type"`
	ID           ID     `json:"id,omitzero"`
	Code         Code   `json:"code"`
	Message      string `json:"message"`
	Retryable    bool   `json:"retryable"`
	RetryAfterMs int64  `json:"retryAfterMs,omitempty"`
}

func newErrorMessage(id ID, e *Error) *errorMessage {
	m := &errorMessage{Type: "error", ID: id, Code: e.Code, Message: e.Message, Retryable: e.Code.Retryable()}
	if e.RetryAfter > 0 {
		m.RetryAfterMs = max(1, e.RetryAfter.Milliseconds())
	}
	return m
}
