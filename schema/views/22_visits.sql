-- visits: one row a visit: page views of a visitor with gaps under 30 minutes,
-- at most until midnight UTC.
--
-- site, visit      the key: the token of its first view (strict: that row's id)
-- view             the token of its first view
-- visitor          consented id, or 16 hex characters that change each UTC day
-- consented        1: `visitor` is a consented id
-- day, time        of the first view: the site's day; UTC
-- landing          page of the first view
-- referrer … clickid, network   of the first view
-- pages            page views
-- visible          ms in sight, over all its views
create or replace view passalong.visits {{on_cluster}} as
select
    v.site as site,
    v.visit as visit,
    anyIf(v.view, v.landing) as view,
    anyIf(v.visitor, v.landing) as visitor,
    max(v.consented) as consented,
    anyIf(v.day, v.landing) as day,
    min(v.time) as time,
    anyIf(v.page, v.landing) as landing,
    anyIf(v.referrer, v.landing) as referrer,
    anyIf(v.country, v.landing) as country,
    anyIf(v.region, v.landing) as region,
    anyIf(v.device, v.landing) as device,
    anyIf(v.os, v.landing) as os,
    anyIf(v.browser, v.landing) as browser,
    anyIf(v.app, v.landing) as app,
    count() as pages,
    sum(r.visible) as visible,
    anyIf(v.utm_source, v.landing) as utm_source,
    anyIf(v.utm_medium, v.landing) as utm_medium,
    anyIf(v.utm_campaign, v.landing) as utm_campaign,
    anyIf(v.utm_term, v.landing) as utm_term,
    anyIf(v.utm_content, v.landing) as utm_content,
    anyIf(v.clickid, v.landing) as clickid,
    anyIf(v.network, v.landing) as network
from passalong.visit_views as v
left any join passalong.engagement as r on r.site = v.site and r.view = v.view and r.member = v.member
group by site, visit
settings join_use_nulls = 0;
