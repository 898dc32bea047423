-- sites: one row a configured site, as the collector last said it. The views
-- read from it which currency `revenue` sums; a site that is not here has the
-- defaults. Written at start by every collector; the latest row holds.

-- +goose NO TRANSACTION
-- +goose Up
CREATE TABLE IF NOT EXISTS passalong.{{local "sites"}} {{on_cluster}}
(
    site LowCardinality(String),
    currency LowCardinality(String) COMMENT 'ISO 4217: what revenue sums',
    timezone LowCardinality(String) COMMENT 'whose days the reports count',
    privacy LowCardinality(String) COMMENT 'full strict consent',
    said DateTime64(3, 'UTC')
)
ENGINE = {{engine "ReplacingMergeTree" "sites" "said"}}
ORDER BY site
SETTINGS
    {{dedup_window 10000}},
    fsync_after_insert = 1,
    fsync_part_directory = 1,
    min_rows_to_fsync_after_merge = 1;

{{distributed "sites" "cityHash64(site)"}}
