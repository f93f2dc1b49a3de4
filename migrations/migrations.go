// Package migrations holds the schema, one folder of numbered goose files for
// each database. It refuses to know what the tables are for: each module owns
// its own.
package migrations

import "embed"

// SQLite holds sqlite/*.sql.
//
//go:embed sqlite/*.sql
var SQLite embed.FS

// Postgres holds postgres/*.sql: the same tables under the same numbers. Names
// are compared by their bytes, as SQLite does.
//
//go:embed postgres/*.sql
var Postgres embed.FS
