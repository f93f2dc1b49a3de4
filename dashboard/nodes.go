package dashboard

import (
	"context"
	"time"

	"github.com/fxamacker/cbor/v2"

	"atrium/internal/bus"
	"atrium/internal/db"
	"atrium/internal/mux"
)

// Values are put on any node, and told on all. Of each metric the newest version
// counts; one that has not come over the bus is found in the database.

const busTopic = "metrics"

// note is what a node tells the others.
type note struct {
	Version int64  `cbor:"v"`
	Metric  string `cbor:"n"`
	Message []byte `cbor:"m"` // dashboard:update
}

// told is what has been told of a metric.
type told struct {
	version int64
	at      time.Time
}

// tellNewer tells of a version, unless it, or a newer one, has been told.
func (m *Module) tellNewer(metric string, version int64, message any) {
	m.mu.Lock()
	defer m.mu.Unlock() // until it is told: the next one comes after it
	if m.told[metric].version >= version {
		return
	}
	m.told[metric] = told{version, time.Now()}
	m.tell(metric, message)
}

// hearNodes hears what the other nodes tell.
func (m *Module) hearNodes() (stop func()) {
	return m.opts.Bus.Listen(busTopic, bus.Listener{Message: func(_ string, data []byte) {
		var n note
		if cbor.Unmarshal(data, &n) == nil {
			m.tellNewer(n.Metric, n.Version, mux.Raw(n.Message))
		}
	}})
}

// tellStored tells of a value that is committed, here and on the other nodes.
func (m *Module) tellStored(v Value, version int64) {
	if !m.opts.DB.Shared() {
		m.tell(v.Metric, update(v))
		return
	}
	m.tellNewer(v.Metric, version, update(v))
	if m.opts.Bus != nil {
		m.opts.Bus.Publish(busTopic, bus.Encode(note{version, v.Metric, mux.EncodeRaw(update(v))}))
	}
}

// lookBack is how far is looked back for values that have not come: more than what
// passes between two looks and what the nodes' clocks differ by.
const lookBack = time.Minute

// watch looks for values until Close, if there may be other nodes.
func (m *Module) watch() {
	bus.Watch(m.closed, func() { m.lookAround(time.Now().Add(-lookBack)) })
}

func (m *Module) lookAround(since time.Time) {
	type stored struct {
		value   Value
		version int64
	}
	var list []stored
	err := m.opts.DB.Read(context.Background(), func(tx *db.Tx) error {
		rows, err := tx.Query(`SELECT name, value, timestamp, version FROM metrics WHERE stored_at > $1`, db.Micros(since))
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var s stored
			if s.value, err = scanValue(rows, &s.version); err != nil {
				return err
			}
			list = append(list, s)
		}
		return rows.Err()
	})
	if err != nil {
		m.log.Error("metrics cannot be read; trying again", "error", err)
		return
	}
	for _, s := range list {
		m.tellNewer(s.value.Metric, s.version, update(s.value))
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for metric, t := range m.told {
		if t.at.Before(since.Add(-lookBack)) {
			delete(m.told, metric) // nothing so old comes any more
		}
	}
}
