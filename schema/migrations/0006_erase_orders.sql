-- erase_orders: one row a visitor or token of an order to erase. Every loader
-- reads it before it sends rows and leaves out what an order names, so that a
-- batch that is counted and sent again cannot bring erased rows back.
--
-- The name itself is not kept, only its SHA-256: enough to know it again. An
-- order holds for rows received until `at`, never for what the same reader
-- sends later. When its month is older than the retention, no row it could
-- hold for is loaded any more, and retention drops the month.
--
-- Order (site, at): the table is small and read whole; a merge keeps a site's
-- orders side by side. A row twice does no harm.

-- +goose NO TRANSACTION
-- +goose Up
CREATE TABLE IF NOT EXISTS passalong_private.{{local "erase_orders"}} {{on_cluster}}
(
    id String COMMENT 'names the order; one for a visitor has a row for each of their views, too',
    site LowCardinality(String),
    kind LowCardinality(String) COMMENT 'what the digest is of: visitor token',
    digest FixedString(32) COMMENT 'SHA-256 of kind LF site LF name',
    at DateTime64(3, 'UTC') COMMENT 'rows received until then are erased'
)
ENGINE = {{engine "MergeTree" "erase_orders"}}
PARTITION BY toYYYYMM(at)
ORDER BY (site, at)
SETTINGS
    {{dedup_window 10000}},
    fsync_after_insert = 1,
    fsync_part_directory = 1,
    min_rows_to_fsync_after_merge = 1;

{{distributed "passalong_private.erase_orders" "cityHash64(site)"}}
