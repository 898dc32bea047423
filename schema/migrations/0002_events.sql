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
CREATE TABLE IF NOT EXISTS passalong.{{local "events"}} {{on_cluster}}
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
ENGINE = {{engine "MergeTree" "events"}}
PARTITION BY toYYYYMM(time)
ORDER BY (site, day, visitor, time)
SETTINGS
    index_granularity = 8192,
    {{dedup_window 10000}},
    fsync_after_insert = 1,
    fsync_part_directory = 1,
    min_rows_to_fsync_after_merge = 1;

{{distributed "events" "cityHash64(site, visitor)"}}
