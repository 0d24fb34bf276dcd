-- The catalogue after one commit: the replica of a writer and the snapshot of a server have the same tables.
PRAGMA page_size = 4096;

-- 'n', 'uuid': the last commit applied; 'format': of this schema; 'gc': the last Gc change as JSON.
CREATE TABLE meta (key TEXT PRIMARY KEY, value) WITHOUT ROWID;

CREATE TABLE collections (
    id     INTEGER PRIMARY KEY,
    name   TEXT NOT NULL UNIQUE,
    n      INTEGER NOT NULL,      -- the commit that last set it
    record TEXT NOT NULL          -- Collection as JSON
);

-- One row per input, never deleted: what was last decided about it.
CREATE TABLE inputs (
    id             INTEGER PRIMARY KEY,
    source         TEXT NOT NULL,
    path           TEXT NOT NULL,
    n              INTEGER NOT NULL,   -- the commit that made or changed this decision: what `prev` is compared with
    decision       TEXT NOT NULL,      -- ingested, rejected, superseded, removed, held
    version        TEXT,               -- NULL: no version decided, reconcile makes a job
    source_time_ms INTEGER NOT NULL DEFAULT 0,
    collection     TEXT,
    content        TEXT,               -- of what its datasets were made from
    reason         TEXT,               -- rejected: why
    may_pass       INTEGER NOT NULL DEFAULT 0,
    owner          INTEGER REFERENCES inputs (id),  -- superseded, or rejected for a conflict: by whom
    UNIQUE (source, path)
);
CREATE INDEX inputs_by_owner ON inputs (owner) WHERE owner IS NOT NULL;
CREATE INDEX inputs_undecided ON inputs (source, path, n) WHERE version IS NULL AND decision <> 'removed';
CREATE INDEX inputs_by_content ON inputs (content) WHERE content IS NOT NULL;

CREATE TABLE datasets (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,  -- above all there ever were: `changes.rs` goes by it
    collection INTEGER NOT NULL REFERENCES collections (id),
    keys       TEXT NOT NULL,     -- key values joined by U+001F: sorts as the tuple does
    input      INTEGER NOT NULL REFERENCES inputs (id),
    path       TEXT NOT NULL,     -- of the COG
    minzoom    INTEGER NOT NULL,
    maxzoom    INTEGER NOT NULL,
    west       REAL NOT NULL,     -- WGS84 bounds; west > east across the antimeridian
    south      REAL NOT NULL,
    east       REAL NOT NULL,
    north      REAL NOT NULL,
    UNIQUE (collection, keys)
);
CREATE INDEX datasets_by_input ON datasets (input);
CREATE INDEX datasets_by_path ON datasets (path);

-- Apart from the rest, whose rows queries pass over by the thousand.
CREATE TABLE records (
    dataset INTEGER PRIMARY KEY REFERENCES datasets (id),
    record  BLOB NOT NULL         -- Dataset, as packed.rs packs it
);

-- Every key value but the first of each dataset, which `datasets` is in the order of.
CREATE TABLE dataset_keys (
    collection INTEGER NOT NULL,
    key        INTEGER NOT NULL,  -- index in the collection's keys
    value      TEXT NOT NULL,
    keys       TEXT NOT NULL,     -- of the dataset
    PRIMARY KEY (collection, key, value, keys)
) WITHOUT ROWID;

-- How many datasets have a key value, and where they lie: what /keys answers, and what a query's plan rests on.
CREATE TABLE key_values (
    collection INTEGER NOT NULL,
    key        INTEGER NOT NULL,
    value      TEXT NOT NULL,
    datasets   INTEGER NOT NULL,  -- never 0
    west       REAL NOT NULL,     -- edges as in `totals`, of all datasets that had the value since there is one: at least as wide as those that have it
    south      REAL NOT NULL,
    east       REAL NOT NULL,
    north      REAL NOT NULL,
    PRIMARY KEY (collection, key, value)
) WITHOUT ROWID;

-- Of all datasets of a collection; no row where there are none. Edges as in `datasets`, but the whole round where one crosses the antimeridian.
CREATE TABLE totals (
    collection INTEGER PRIMARY KEY REFERENCES collections (id),
    datasets   INTEGER NOT NULL,
    west       REAL NOT NULL,
    south      REAL NOT NULL,
    east       REAL NOT NULL,
    north      REAL NOT NULL
);

-- WGS84 boxes; a dataset that crosses the antimeridian has two: ids 2·dataset and 2·dataset + 1. Rounded outward to 32 bits.
CREATE VIRTUAL TABLE footprints USING rtree (id, west, east, south, north);
