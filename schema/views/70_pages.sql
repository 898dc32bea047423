-- pages: one row a site's day × page.
--
-- title, author, section, published   as the day's latest view gave them
-- views         page views
-- visits        visits that landed here, as for all below but copies and shares
-- copies        copy events of any kind
-- shares        shares from the page's own buttons, sheets and copy links, but
--               for cancelled ones
-- dark_social   sum of confidence; dark_low, dark_high its 90 % interval
-- direct        visits that Google Analytics 4 calls Direct
-- dark_share    of those, the share that is dark social; NULL where there are none
-- conversions   orders of those visits; revenue in the site's currency
create or replace view passalong.pages {{on_cluster}} as
with
    ordered as
    (
        select site, visit, count() as orders, sum(o.revenue) as revenue
        from passalong.orders as o
        where o.visit != ''
        group by site, visit
    ),
    viewed as
    (
        select
            v.site as site,
            v.day as day,
            v.page as page,
            count() as views,
            argMax(v.title, (v.title != '', v.time, v.received, v.batch, v.row)) as title,
            argMax(v.author, (v.author != '', v.time, v.received, v.batch, v.row)) as author,
            argMax(v.section, (v.section != '', v.time, v.received, v.batch, v.row)) as section,
            argMax(v.published, (v.published is not null, v.time, v.received, v.batch, v.row)) as published
        from passalong.page_views as v
        group by site, day, page
    ),
    landed as
    (
        select
            a.site as site,
            a.day as day,
            a.page as page,
            count() as visits,
            sum(a.confidence) as dark_social,
            sumIf(a.confidence, a.method != 'pattern') as sure,
            sumIf(a.confidence, a.method = 'pattern') as pattern,
            sum(a.confidence * (1 - a.confidence)) as variance,
            max(a.spread) as spread,
            countIf(a.ga4_channel = 'Direct') as direct,
            sumIf(a.confidence, a.ga4_channel = 'Direct') as dark_direct,
            sum(o.orders) as conversions,
            sum(o.revenue) as revenue
        from passalong.attribution as a
        left any join ordered as o on o.site = a.site and o.visit = a.visit
        group by site, day, page
    ),
    copied as
    (
        select site, day, page, sum(copies) as copies
        from passalong.copies
        group by site, day, page
    ),
    -- A share is told of again when its outcome is known; the latest holds. At
    -- a strict site a share has no token of its own: each event is one.
    shared as
    (
        select site, day, page, count() as shares
        from
        (
            select
                site,
                token,
                argMin(e.day, (e.received, e.batch, e.row)) as day,
                argMin(e.page, (e.received, e.batch, e.row)) as page,
                argMax(e.outcome, (e.received, ifNull(e.seq, 0), e.batch, e.row)) as outcome
            from passalong.events as e
            where e.type = 'share' and e.bot = 0
            group by
                site,
                token,
                multiIf(privacy != 'strict', '', seq is null, row_id(batch, row), concat(visitor, '.', ifNull(toString(seq), ''), '.', toString(item)))
        )
        where outcome != 'cancelled'
        group by site, day, page
    ),
    keys as
    (
        select site, day, page from viewed
        union distinct
        select site, day, page from copied
        union distinct
        select site, day, page from shared
    )
select
    k.site as site,
    k.day as day,
    k.page as page,
    v.title as title,
    v.author as author,
    v.section as section,
    v.published as published,
    v.views as views,
    l.visits as visits,
    c.copies as copies,
    s.shares as shares,
    l.dark_social as dark_social,
    dark_bound(l.sure, l.pattern, l.variance, l.spread, l.visits, -1) as dark_low,
    dark_bound(l.sure, l.pattern, l.variance, l.spread, l.visits, 1) as dark_high,
    l.direct as direct,
    l.dark_direct / nullIf(l.direct, 0) as dark_share,
    l.conversions as conversions,
    l.revenue as revenue
from keys as k
left any join viewed as v on v.site = k.site and v.day = k.day and v.page = k.page
left any join landed as l on l.site = k.site and l.day = k.day and l.page = k.page
left any join copied as c on c.site = k.site and c.day = k.day and c.page = k.page
left any join shared as s on s.site = k.site and s.day = k.day and s.page = k.page
settings
    join_use_nulls = 0,
    max_bytes_before_external_group_by = 200000000,
    max_bytes_before_external_sort = 200000000;
