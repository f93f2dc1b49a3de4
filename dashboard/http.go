package dashboard

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"atrium/internal/api"
	"atrium/internal/db"
	"atrium/internal/mux"
)

type (
	putOne struct {
		Name string `path:"name"`
		Body struct {
			Value     json.RawMessage `json:"value" doc:"Any value, up to 16 KiB"`
			Timestamp *time.Time      `json:"timestamp,omitempty" doc:"Default: now"`
		}
	}
	putMany struct {
		Body struct {
			Metrics []metric `json:"metrics" minItems:"1" maxItems:"1000" nullable:"false"`
		}
	}
	metric struct {
		Metric    string          `json:"metric" doc:"1 to 256 bytes"`
		Value     json.RawMessage `json:"value" doc:"Any value, up to 16 KiB"`
		Timestamp *time.Time      `json:"timestamp,omitempty" doc:"Default: now"`
	}
	empty struct{}
)

// Routes registers the calls about metrics.
func (m *Module) Routes(a *api.API) {
	tags := []string{"Metrics"}
	const older = "A value that is older than the one that is there changes nothing. Names that begin with atrium. are Atrium's own."
	api.Post(a, huma.Operation{
		Method: http.MethodPut, Path: "/metrics/{name}", OperationID: "put-metric", Tags: tags, DefaultStatus: http.StatusNoContent,
		Summary: "Set a metric's value", Description: older,
	}, api.Backend, func(_ context.Context, tx *db.Tx, in *putOne) (*empty, func(), error) {
		return m.put(tx, metric{in.Name, in.Body.Value, in.Body.Timestamp})
	})
	api.Post(a, huma.Operation{
		Method: http.MethodPost, Path: "/metrics", OperationID: "put-metrics", Tags: tags, DefaultStatus: http.StatusNoContent,
		Summary: "Set the values of up to 1,000 metrics", Description: older,
	}, api.Backend, func(_ context.Context, tx *db.Tx, in *putMany) (*empty, func(), error) {
		return m.put(tx, in.Body.Metrics...)
	})
}

func (m *Module) put(tx *db.Tx, metrics ...metric) (*empty, func(), error) {
	values := make([]Value, 0, len(metrics))
	for _, x := range metrics {
		v := Value{Metric: x.Metric}
		if x.Timestamp != nil {
			v.Timestamp = *x.Timestamp
			if v.Timestamp.IsZero() { // which would stand for now
				return nil, nil, mux.NewError(mux.BadRequest, "a timestamp is before 1970")
			}
		}
		// Decoding it, too: some JSON is beyond what others can be told, such as 1e999.
		if err := json.Unmarshal(x.Value, &v.Value); err != nil {
			return nil, nil, mux.NewError(mux.BadRequest, "a metric's value must be a JSON value")
		}
		values = append(values, v)
	}
	deliver, err := m.Put(tx, values)
	return new(empty), deliver, err
}
