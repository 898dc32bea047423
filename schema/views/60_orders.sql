-- orders: one row an order, as `conversions`, with its visit but not yet with
-- where that visit came from.
--
-- visit     empty where no page view is known
-- revenue   `value` if it is in the site's currency, else 0
create or replace view passalong.orders {{on_cluster}} as
with
    browser as
    (
        select
            *,
            row_number() over (partition by site, view, member, order = '' order by time, received, batch, row) as nth
        from passalong.beacon_events
        where type = 'convert'
    ),
    said as
    (
        select
            site,
            multiIf(order != '', ('order', order), privacy != 'strict' and nth = 1, ('view', view), ('row', row_id(batch, row))) as key,
            0 as confirmed,
            day, time, received, batch, row, order, name, value, currency, view, member
        from browser
        union all
        select
            site,
            multiIf(order != '', ('order', order), view != '', ('view', view), ('row', row_id(batch, row))) as key,
            1 as confirmed,
            day, time, received, batch, row, order, name, value, currency, view, '' as member
        from passalong.events
        where type = 'confirm' and bot = 0
    ),
    orders as
    (
        select
            site,
            key,
            argMin(s.day, (s.confirmed, s.time, s.received, s.batch, s.row)) as day,
            argMin(s.time, (s.confirmed, s.time, s.received, s.batch, s.row)) as time,
            any(s.order) as order,
            argMin(s.name, (s.name = '', s.confirmed, s.time, s.received, s.batch, s.row)) as name,
            argMin((s.view, s.member), (s.view = '', s.confirmed, s.time, s.received, s.batch, s.row)) as seen,
            argMinIf((s.value, s.currency), (s.time, s.received, s.batch, s.row), s.confirmed = 0) as by_browser,
            argMaxIf((s.value, s.currency), (s.received, s.batch, s.row), s.confirmed = 1) as by_server,
            max(s.confirmed) as confirmed
        from said as s
        group by site, key
    ),
    -- The server's price holds if it named one.
    priced as
    (
        select
            o.*,
            o.confirmed = 1 and (o.by_server.1 != 0 or o.by_server.2 != '') as server_priced,
            if(server_priced, o.by_server.1, o.by_browser.1) as value,
            if(s.currency = '', 'EUR', s.currency::String) as site_currency,
            multiIf(server_priced and o.by_server.2 != '', o.by_server.2, o.by_browser.2 != '', o.by_browser.2, site_currency) as currency
        from orders as o
        left any join (select * from passalong.sites final) as s on s.site = o.site
    )
select
    p.site as site,
    p.day as day,
    p.time as time,
    p.order as order,
    p.name as name,
    p.value as value,
    p.currency as currency,
    toUInt8(p.confirmed) as confirmed,
    if(p.currency = p.site_currency, p.value, 0) as revenue,
    steps.visit as visit
from priced as p
left any join passalong.visit_steps as steps on steps.site = p.site and steps.view = p.seen.1 and steps.member = p.seen.2
settings join_use_nulls = 0;
