package bench

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"time"
)

// snapshotTimeout is how long is waited for a snapshot of the preload.
const snapshotTimeout = 5 * time.Minute

// awaitSnapshot waits until the document as a file, which is its snapshot and
// what came after that, is no longer than a tenth of its changes.
func (r *docsRun) awaitSnapshot(ctx context.Context) error {
	raw := int64(0)
	for _, c := range r.script.preload {
		raw += int64(len(c.chunk))
	}
	client := &http.Client{Timeout: joinTimeout}
	defer client.CloseIdleConnections()
	for end := time.Now().Add(snapshotTimeout); ; {
		req, err := r.target.request(ctx, http.MethodGet, 0, "/api/v1/documents/"+r.documentID, nil)
		if err != nil {
			return err
		}
		req.Header.Set("Accept", "application/vnd.automerge")
		resp, err := client.Do(req)
		if err != nil {
			return err
		}
		n, err := io.Copy(io.Discard, io.LimitReader(resp.Body, raw/10))
		resp.Body.Close()
		switch {
		case err != nil:
			return err
		case resp.StatusCode != http.StatusOK:
			return fmt.Errorf("read the document: the server answers %s", resp.Status)
		case n < raw/10:
			return nil
		case time.Now().After(end):
			return fmt.Errorf("no snapshot of %d bytes within %s", raw, snapshotTimeout)
		}
		if err := pause(ctx, time.Second); err != nil {
			return err
		}
	}
}
