-- texts: one row a copied passage or the text of an answer. Kept apart from
-- `events` because the reading user sees that table whole. The loader writes
-- it from the same batch; the same row again replaces itself.
--
-- salts: one row a candidate for the secret of a site and UTC day. Several
-- collectors may each put one; of several the smallest holds. Rows are deleted
-- two days after their day. Unused where salts are files (embedded engine).

-- +goose NO TRANSACTION
-- +goose Up
CREATE TABLE IF NOT EXISTS passalong_private.{{local "texts"}} {{on_cluster}}
(
    site LowCardinality(String),
    day Date,
    batch LowCardinality(String),
    row UInt64,
    item UInt8,
    view String,
    visitor String,
    network UInt64,
    page String,
    type LowCardinality(String) COMMENT 'copy answer',
    quote String COMMENT 'copy: the passage',
    text String COMMENT 'answer: what the reader wrote',
    received DateTime64(3, 'UTC')
)
ENGINE = {{engine "ReplacingMergeTree" "texts"}}
PARTITION BY toYYYYMM(day)
ORDER BY (site, day, batch, row)
SETTINGS
    {{dedup_window 10000}},
    fsync_after_insert = 1,
    fsync_part_directory = 1,
    min_rows_to_fsync_after_merge = 1;

{{distributed "passalong_private.texts" "cityHash64(site, day)"}}

CREATE TABLE IF NOT EXISTS passalong_private.{{local "salts"}} {{on_cluster}}
(
    site LowCardinality(String),
    day Date COMMENT 'UTC',
    salt FixedString(32),
    made DateTime64(3, 'UTC') COMMENT 'when; deletion counts from here for imported past days'
)
ENGINE = {{engine "ReplacingMergeTree" "salts"}}
ORDER BY (site, day, salt)
SETTINGS
    {{dedup_window 10000}},
    fsync_after_insert = 1,
    fsync_part_directory = 1,
    min_rows_to_fsync_after_merge = 1;

{{distributed "passalong_private.salts" "cityHash64(site, day)"}}
