-- lineage: one row a birth of a view, a share or a link, and what was decided
-- of it (who it came by, root, depth). The loader writes it after `events`; to
-- write the same decision again does no harm. Of several rows of a key the
-- largest `version` holds: the earliest birth, and of it the latest decision.
-- Read it through the view `nodes`, which puts FINAL in.
--
-- Order (site, token), no partition: an edge is looked up by
-- `(site, token) IN …`. Tokens begin with their minute, so a batch's parents
-- lie in few granules, and 512 rows a granule keep what is read for one of
-- them small. A tree is read by `origin`, its children by `parent`: bloom
-- filters, 1 % false, about 1.2 bytes a row each.

-- +goose NO TRANSACTION
-- +goose Up
CREATE TABLE IF NOT EXISTS passalong.{{local "lineage"}} {{on_cluster}}
(
    site LowCardinality(String),
    token String CODEC(ZSTD(1)),
    kind LowCardinality(String) COMMENT 'view share link',
    via String COMMENT 'the verified token in the address it arrived on; for a share its view' CODEC(ZSTD(1)),
    parent String COMMENT 'what it came by, as decided; for a share its view; empty for a root' CODEC(ZSTD(1)),
    origin String COMMENT 'root of its tree; itself for a root' CODEC(ZSTD(1)),
    depth UInt32 COMMENT 'arrivals between root and here',
    return UInt8 COMMENT 'as decided: the same reader again, no new one',
    pending UInt8 COMMENT '1 while its parent is not born',
    time DateTime64(3, 'UTC') CODEC(Delta, ZSTD(1)),
    received DateTime64(3, 'UTC') CODEC(Delta, ZSTD(1)),
    day Date CODEC(Delta, ZSTD(1)),
    page String CODEC(ZSTD(1)),
    visitor String CODEC(ZSTD(1)),
    network UInt64 CODEC(ZSTD(1)),
    returned UInt8 COMMENT 'the browser''s own word',
    plain UInt8 COMMENT 'came without app, package and referrer',
    generation Int8 COMMENT 'strict: 0 to 9; else -1',
    version UInt64,

    INDEX by_origin origin TYPE bloom_filter(0.01) GRANULARITY 1,
    INDEX by_parent parent TYPE bloom_filter(0.01) GRANULARITY 1
)
ENGINE = {{engine "ReplacingMergeTree" "lineage" "version"}}
ORDER BY (site, token)
SETTINGS
    index_granularity = 512,
    {{dedup_window 10000}},
    fsync_after_insert = 1,
    fsync_part_directory = 1,
    min_rows_to_fsync_after_merge = 1;

{{distributed "lineage" "cityHash64(site, token)"}}
