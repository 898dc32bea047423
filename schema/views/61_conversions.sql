-- conversions: one row an order, (site, order); a conversion without an order
-- is a row of its own. The earliest browser event gives the visit, and with it
-- where the order came from; what the shop's server says gives value, currency
-- and `confirmed`, its latest word holding.
--
-- day, time       of the earliest browser event, else of the server's: the
--                 site's day; UTC
-- order           empty where none was given
-- name            of the goal
-- value           in units of `currency`; of the server if it named value or
--                 currency, else of the browser
-- currency        ISO 4217; where none was sent the site's
-- confirmed       1: the shop's server said so
-- revenue         `value` if it is in the site's currency, else 0
-- visit, landing  empty where no page view is known
-- landing_day     of that visit; where none is known, the order's own `day`
-- source, channel, method, sharer, origin, depth, campaign   of that visit, as in `attribution`
--
-- A server's word about a view, without an order, confirms the first conversion
-- of that view that has no order either.
create or replace view passalong.conversions {{on_cluster}} as
select
    o.site as site,
    o.day as day,
    o.time as time,
    o.order as order,
    o.name as name,
    o.value as value,
    o.currency as currency,
    o.confirmed as confirmed,
    o.revenue as revenue,
    o.visit as visit,
    a.page as landing,
    if(a.visit = '', o.day, a.day) as landing_day,
    a.source as source,
    a.channel as channel,
    a.method as method,
    a.sharer as sharer,
    a.origin as origin,
    a.depth as depth,
    a.campaign as campaign
from passalong.orders as o
left any join passalong.attribution as a on a.site = o.site and a.visit = o.visit
settings
    join_use_nulls = 0,
    max_bytes_before_external_group_by = 200000000,
    max_bytes_before_external_sort = 200000000;
