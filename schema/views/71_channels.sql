-- channels: one row a site's day × channel × method. Visits that no app or
-- network is known of have channel ''. `visits` add up to all visits.
--
-- visits            landings of that day
-- confidence_sum    of these, dark social; dark_low, dark_high its 90 % interval
-- conversions       orders of those visits; revenue in the site's currency
create or replace view passalong.channels {{on_cluster}} as
with
    ordered as
    (
        select site, visit, count() as orders, sum(o.revenue) as revenue
        from passalong.orders as o
        where o.visit != ''
        group by site, visit
    ),
    landed as
    (
        select
            a.site as site,
            a.day as day,
            a.channel as channel,
            a.method as method,
            count() as visits,
            sum(a.confidence) as confidence_sum,
            sumIf(a.confidence, a.method != 'pattern') as sure,
            sumIf(a.confidence, a.method = 'pattern') as pattern,
            sum(a.confidence * (1 - a.confidence)) as variance,
            max(a.spread) as spread,
            sum(o.orders) as conversions,
            sum(o.revenue) as revenue
        from passalong.attribution as a
        left any join ordered as o on o.site = a.site and o.visit = a.visit
        group by site, day, channel, method
        settings
            join_use_nulls = 0,
            max_bytes_before_external_group_by = 200000000,
            max_bytes_before_external_sort = 200000000
    )
select
    l.site as site,
    l.day as day,
    l.channel as channel,
    l.method as method,
    l.visits as visits,
    l.confidence_sum as confidence_sum,
    dark_bound(l.sure, l.pattern, l.variance, l.spread, l.visits, -1) as dark_low,
    dark_bound(l.sure, l.pattern, l.variance, l.spread, l.visits, 1) as dark_high,
    l.conversions as conversions,
    l.revenue as revenue
from landed as l;
