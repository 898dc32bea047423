-- migrations/0001_databases.sql
-- The second database holds what the reading user must not see: quotes,
-- answers' texts, salts, later keys, sessions and erase orders. It has no
-- grant there; what it may see of it comes through views with a definer.
-- The first database, `passalong`, is made before the first migration,
-- because the table of applied migrations lives in it.

-- +goose NO TRANSACTION
-- +goose Up
CREATE DATABASE IF NOT EXISTS passalong_private ON CLUSTER `main`;

-- migrations/0002_events.sql
-- events: one row an event of a beacon, of a short link or of the shop's
-- server. Append-only; the loader writes and counts it by `batch`. A beacon
-- that a browser sent twice may stand here twice; the views count it once.
--
-- Order (site, day, visitor, time): reports read a site's days, and a
-- visitor's views of a day lie side by side, so that cutting them into visits
-- reads neighbours. `day` is the site's day, the partition is the month of
-- `time` in UTC: a batch is cut by that month and each part counted alone.
--
-- The settings are said and not left to the version: a retry of an insert is
-- recognised over the last 10,000 blocks, a part is on disk before its insert
-- is answered, and a merged part before its sources are dropped.

-- +goose NO TRANSACTION
-- +goose Up
CREATE TABLE IF NOT EXISTS passalong.events_local ON CLUSTER `main`
(
    site LowCardinality(String) COMMENT 'id of the configured site',
    day Date COMMENT 'the site''s day of time, by its time zone when it was taken' CODEC(Delta, ZSTD(1)),
    time DateTime64(3, 'UTC') COMMENT 'when it happened: the server''s clock less the age in the beacon' CODEC(Delta, ZSTD(1)),
    received DateTime64(3, 'UTC') COMMENT 'when the collector took it' CODEC(Delta, ZSTD(1)),
    row UInt64 COMMENT 'sequence number in its spool, never reused; with the spool''s id in batch it is the row id' CODEC(Delta, ZSTD(1)),
    seq Nullable(UInt32) COMMENT 'number of the beacon within its view; NULL where none was sent',
    item UInt8 COMMENT 'place in the beacon, 0 to 63',
    type LowCardinality(String) COMMENT 'view copy share engage convert ask answer open unfurl link confirm',
    privacy LowCardinality(String) COMMENT 'level of the site: full strict consent',
    generation UInt8 COMMENT 'strict: the generation that the view''s token names, 0 to 9',

    view String COMMENT 'token of the page view' CODEC(ZSTD(1)),
    via String COMMENT 'token in the address it arrived on' CODEC(ZSTD(1)),
    return UInt8 COMMENT '1 when the browser itself says that it came back',
    visitor String COMMENT 'consented id, or 16 hex characters that change each UTC day' CODEC(ZSTD(1)),
    consented UInt8 COMMENT '1 when visitor is a consented id',
    network UInt64 COMMENT 'keyed hash of the /24 or /48' CODEC(ZSTD(1)),
    bot UInt8 COMMENT '1: a declared or recognised bot; only unfurls and filtered show it',

    page String COMMENT 'address without fragment, utm_* and click ids' CODEC(ZSTD(1)),
    title String CODEC(ZSTD(1)),
    canonical String CODEC(ZSTD(1)),
    author String CODEC(ZSTD(1)),
    section LowCardinality(String),
    published Nullable(DateTime64(3, 'UTC')) COMMENT 'NULL where the page does not say' CODEC(ZSTD(1)),
    language LowCardinality(String),
    zone LowCardinality(String) COMMENT 'time zone of the browser',
    width UInt32 COMMENT 'of the window, CSS pixels; 0 not given',
    hash LowCardinality(String) COMMENT 'what became of the token in the address: written failed excluded refused off',

    referrer String COMMENT 'without query and fragment' CODEC(ZSTD(1)),
    referrer_kind LowCardinality(String) COMMENT 'internal search social messenger email ai video shopping aggregator push referral, empty without referrer',
    referrer_channel LowCardinality(String) COMMENT 'channel of the referrer',
    app LowCardinality(String) COMMENT 'channel of the in-app browser, by agent, package or hint',
    package_channel LowCardinality(String) COMMENT 'channel by the Android package alone',
    country LowCardinality(String) COMMENT 'ISO 3166-1 alpha-2',
    region LowCardinality(String) COMMENT 'ISO 3166-2 without the country',
    device LowCardinality(String) COMMENT 'phone tablet desktop tv bot',
    os LowCardinality(String),
    browser LowCardinality(String) COMMENT 'name alone',
    browser_major UInt32,
    utm_source LowCardinality(String),
    utm_medium LowCardinality(String),
    utm_campaign LowCardinality(String),
    utm_term String CODEC(ZSTD(1)),
    utm_content String CODEC(ZSTD(1)),
    clickid LowCardinality(String) COMMENT 'kind of the click id, never its value',

    what LowCardinality(String) COMMENT 'copy: link text image code email phone',
    chars UInt32 COMMENT 'copy: characters',
    words UInt32 COMMENT 'copy: words',
    token String COMMENT 'share: its own; link, open, unfurl: the link''s' CODEC(ZSTD(1)),
    channel LowCardinality(String) COMMENT 'share, answer, link, unfurl',
    outcome LowCardinality(String) COMMENT 'share: offered done cancelled',
    visible UInt64 COMMENT 'engage: ms in sight, total of the view so far',
    scroll UInt8 COMMENT 'engage: 0 to 100, the deepest so far',
    name LowCardinality(String) COMMENT 'convert, confirm: name of the goal',
    value Decimal(18, 4) COMMENT 'convert, confirm: in units of the currency',
    currency LowCardinality(String) COMMENT 'ISO 4217',
    order String COMMENT 'convert, confirm: the order''s id' CODEC(ZSTD(1)),
    answer LowCardinality(String) COMMENT 'answer: the source the reader names',
    mood Int8 COMMENT 'answer: -1 0 1',
    campaign String COMMENT 'link' CODEC(ZSTD(1)),
    label String COMMENT 'link' CODEC(ZSTD(1)),
    kind LowCardinality(String) COMMENT 'link: chat broadcast influencer print share',
    side LowCardinality(String) COMMENT 'unfurl: sender server',

    batch LowCardinality(String) COMMENT 'spool id . first row of the cut . month: what the loader counts',

    INDEX by_view view TYPE bloom_filter(0.01) GRANULARITY 1,
    INDEX by_token token TYPE bloom_filter(0.01) GRANULARITY 1,
    INDEX by_batch batch TYPE bloom_filter(0.01) GRANULARITY 1
)
ENGINE = ReplicatedMergeTree('/clickhouse/tables/{shard}/passalong/events', '{replica}')
PARTITION BY toYYYYMM(time)
ORDER BY (site, day, visitor, time)
SETTINGS
    index_granularity = 8192,
    replicated_deduplication_window = 10000,
    replicated_deduplication_window_seconds = 604800,
    fsync_after_insert = 1,
    fsync_part_directory = 1,
    min_rows_to_fsync_after_merge = 1;

CREATE TABLE IF NOT EXISTS passalong.events ON CLUSTER `main` AS passalong.events_local
ENGINE = Distributed(`main`, passalong, events_local, cityHash64(site, visitor))
SETTINGS fsync_after_insert = 1;

-- migrations/0003_lineage.sql
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
CREATE TABLE IF NOT EXISTS passalong.lineage_local ON CLUSTER `main`
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
ENGINE = ReplicatedReplacingMergeTree('/clickhouse/tables/{shard}/passalong/lineage', '{replica}', version)
ORDER BY (site, token)
SETTINGS
    index_granularity = 512,
    replicated_deduplication_window = 10000,
    replicated_deduplication_window_seconds = 604800,
    fsync_after_insert = 1,
    fsync_part_directory = 1,
    min_rows_to_fsync_after_merge = 1;

CREATE TABLE IF NOT EXISTS passalong.lineage ON CLUSTER `main` AS passalong.lineage_local
ENGINE = Distributed(`main`, passalong, lineage_local, cityHash64(site, token))
SETTINGS fsync_after_insert = 1;

-- migrations/0004_private.sql
-- texts: one row a copied passage or the text of an answer. Kept apart from
-- `events` because the reading user sees that table whole. The loader writes
-- it from the same batch; the same row again replaces itself.
--
-- salts: one row a candidate for the secret of a site and UTC day. Several
-- collectors may each put one; of several the smallest holds. Rows are deleted
-- two days after their day. Unused where salts are files (embedded engine).

-- +goose NO TRANSACTION
-- +goose Up
CREATE TABLE IF NOT EXISTS passalong_private.texts_local ON CLUSTER `main`
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
ENGINE = ReplicatedReplacingMergeTree('/clickhouse/tables/{shard}/passalong/texts', '{replica}')
PARTITION BY toYYYYMM(day)
ORDER BY (site, day, batch, row)
SETTINGS
    replicated_deduplication_window = 10000,
    replicated_deduplication_window_seconds = 604800,
    fsync_after_insert = 1,
    fsync_part_directory = 1,
    min_rows_to_fsync_after_merge = 1;

CREATE TABLE IF NOT EXISTS passalong_private.texts ON CLUSTER `main` AS passalong_private.texts_local
ENGINE = Distributed(`main`, passalong_private, texts_local, cityHash64(site, day))
SETTINGS fsync_after_insert = 1;

CREATE TABLE IF NOT EXISTS passalong_private.salts_local ON CLUSTER `main`
(
    site LowCardinality(String),
    day Date COMMENT 'UTC',
    salt FixedString(32),
    made DateTime64(3, 'UTC') COMMENT 'when; deletion counts from here for imported past days'
)
ENGINE = ReplicatedReplacingMergeTree('/clickhouse/tables/{shard}/passalong/salts', '{replica}')
ORDER BY (site, day, salt)
SETTINGS
    replicated_deduplication_window = 10000,
    replicated_deduplication_window_seconds = 604800,
    fsync_after_insert = 1,
    fsync_part_directory = 1,
    min_rows_to_fsync_after_merge = 1;

CREATE TABLE IF NOT EXISTS passalong_private.salts ON CLUSTER `main` AS passalong_private.salts_local
ENGINE = Distributed(`main`, passalong_private, salts_local, cityHash64(site, day))
SETTINGS fsync_after_insert = 1;

-- migrations/0005_sites.sql
-- sites: one row a configured site, as the collector last said it. The views
-- read from it which currency `revenue` sums; a site that is not here has the
-- defaults. Written at start by every collector; the latest row holds.

-- +goose NO TRANSACTION
-- +goose Up
CREATE TABLE IF NOT EXISTS passalong.sites_local ON CLUSTER `main`
(
    site LowCardinality(String),
    currency LowCardinality(String) COMMENT 'ISO 4217: what revenue sums',
    timezone LowCardinality(String) COMMENT 'whose days the reports count',
    privacy LowCardinality(String) COMMENT 'full strict consent',
    said DateTime64(3, 'UTC')
)
ENGINE = ReplicatedReplacingMergeTree('/clickhouse/tables/{shard}/passalong/sites', '{replica}', said)
ORDER BY site
SETTINGS
    replicated_deduplication_window = 10000,
    replicated_deduplication_window_seconds = 604800,
    fsync_after_insert = 1,
    fsync_part_directory = 1,
    min_rows_to_fsync_after_merge = 1;

CREATE TABLE IF NOT EXISTS passalong.sites ON CLUSTER `main` AS passalong.sites_local
ENGINE = Distributed(`main`, passalong, sites_local, cityHash64(site))
SETTINGS fsync_after_insert = 1;

-- migrations/0006_erase_orders.sql
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
CREATE TABLE IF NOT EXISTS passalong_private.erase_orders_local ON CLUSTER `main`
(
    id String COMMENT 'names the order; one for a visitor has a row for each of their views, too',
    site LowCardinality(String),
    kind LowCardinality(String) COMMENT 'what the digest is of: visitor token',
    digest FixedString(32) COMMENT 'SHA-256 of kind LF site LF name',
    at DateTime64(3, 'UTC') COMMENT 'rows received until then are erased'
)
ENGINE = ReplicatedMergeTree('/clickhouse/tables/{shard}/passalong/erase_orders', '{replica}')
PARTITION BY toYYYYMM(at)
ORDER BY (site, at)
SETTINGS
    replicated_deduplication_window = 10000,
    replicated_deduplication_window_seconds = 604800,
    fsync_after_insert = 1,
    fsync_part_directory = 1,
    min_rows_to_fsync_after_merge = 1;

CREATE TABLE IF NOT EXISTS passalong_private.erase_orders ON CLUSTER `main` AS passalong_private.erase_orders_local
ENGINE = Distributed(`main`, passalong_private, erase_orders_local, cityHash64(site))
SETTINGS fsync_after_insert = 1;

-- migrations/0007_compact_parts.sql
-- A part of up to 128 MiB lies in one file. By default one of 10 MiB has a file
-- or two a column, and each insert of a full batch then creates, writes and
-- syncs more than a hundred. Measured with batches of 50,000 rows of `events`
-- and the nodes of them: 16.0 µs of ClickHouse's processor time a row before,
-- 10.0 after. Costs nothing to apply: it holds for parts made from now on.

-- +goose NO TRANSACTION
-- +goose Up
ALTER TABLE passalong.events_local ON CLUSTER `main` MODIFY SETTING min_bytes_for_wide_part = 134217728;
ALTER TABLE passalong.lineage_local ON CLUSTER `main` MODIFY SETTING min_bytes_for_wide_part = 134217728;

-- views/10_nodes.sql
-- nodes: one row a view, share or link that no bot made, with what it came by.
-- At a strict site one row a cohort: the token names all readers of a page in
-- one hour and generation.
--
-- site, token   the key
-- kind          view, share or link
-- parent        the token it came by, for a share its view; empty for a root
-- origin        root of the tree; itself for a root
-- depth         arrivals from the root to here; a return and a share keep their parent's
-- return        1: the same reader again, no new one
-- time, day     of the birth, UTC; the site's day
-- page          address of the birth
-- visitor, network
-- via           the token in the address, whether it made an edge or not
-- received      when the collector took the birth
-- returned      the browser's own word for `return`
-- plain         1: came without app, package and referrer
-- pending       1: its parent is not born yet, so depth and origin may change
-- generation    strict: 0 to 9; else -1
--
-- FINAL puts the latest decision in the place of earlier ones. A filter on
-- `origin` or `parent` reads by the bloom filter; the exact mode then looks
-- whether a row it found was replaced by one that the filter left out.
create or replace view passalong.nodes ON CLUSTER `main` as
select
    site, token, kind, parent, origin, depth, return, time, day, page, visitor, network,
    via, received, returned, plain, pending, generation
from passalong.lineage final
settings use_skip_indexes_if_final = 1, use_skip_indexes_if_final_exact_mode = 1;

