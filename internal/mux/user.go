package mux

// CloseUser closes all sessions of a user, on every node.
func (m *Mux) CloseUser(userID string, code CloseCode, reason string) {
	for _, s := range m.SessionsOf(userID) {
		s.Close(code, reason)
	}
}
