-- page_views: one row a page view, bots aside: (site, view, member), whose
-- first `view` event holds, however often it was sent.
--
-- site, view, member   the key; `member` is empty but at strict sites, where
--                      one token is carried by all readers of a page and hour
-- day, time, received  the site's day; UTC
-- visitor, consented   the consented id if any beacon of this view brought one
-- returned             the browser's own word that it came back
-- all others           as in `events`
create or replace view passalong.page_views {{on_cluster}} as
with
    -- Most views were sent once. Only those that were not are sorted: to carry
    -- every view's columns through a window costs three times as much.
    doubled as
    (
        select
            e.site as site,
            e.view as view,
            if(e.privacy = 'strict', e.visitor, '') as member
        from passalong.events as e
        where e.type = 'view' and e.bot = 0
        group by site, view, member
        having count() > 1
    ),
    births as
    (
        select e.*, if(e.privacy = 'strict', e.visitor, '') as member
        from passalong.events as e
        left anti join doubled on doubled.site = e.site and doubled.view = e.view and doubled.member = if(e.privacy = 'strict', e.visitor, '')
        where e.type = 'view' and e.bot = 0
        union all
        select * except (birth)
        from
        (
            select
                e.*,
                if(e.privacy = 'strict', e.visitor, '') as member,
                row_number() over (partition by e.site, e.view, if(e.privacy = 'strict', e.visitor, '') order by e.received, e.batch, e.row, e.item) as birth
            from passalong.events as e
            left semi join doubled on doubled.site = e.site and doubled.view = e.view and doubled.member = if(e.privacy = 'strict', e.visitor, '')
            where e.type = 'view' and e.bot = 0
        )
        where birth = 1
    ),
    -- Consent may come with a later beacon of the same view; the earliest holds.
    consents as
    (
        select
            e.site as site,
            e.view as view,
            if(e.privacy = 'strict', e.visitor, '') as member,
            argMin(e.visitor, (e.received, e.batch, e.row)) as visitor,
            max(e.consented) as consented
        from passalong.events as e
        where e.consented = 1 and e.bot = 0
        group by site, view, member
    )
select
    births.site as site,
    births.view as view,
    births.member as member,
    births.day as day,
    births.time as time,
    births.received as received,
    births.batch as batch,
    births.row as row,
    births.privacy as privacy,
    births.generation as generation,
    births.via as via,
    births.return as returned,
    if(consents.consented = 1, consents.visitor, births.visitor) as visitor,
    consents.consented as consented,
    births.network as network,
    births.page as page,
    births.title as title,
    births.canonical as canonical,
    births.author as author,
    births.section as section,
    births.published as published,
    births.language as language,
    births.zone as zone,
    births.width as width,
    births.hash as hash,
    births.referrer as referrer,
    births.referrer_kind as referrer_kind,
    births.referrer_channel as referrer_channel,
    births.app as app,
    births.package_channel as package_channel,
    births.country as country,
    births.region as region,
    births.device as device,
    births.os as os,
    births.browser as browser,
    births.browser_major as browser_major,
    births.utm_source as utm_source,
    births.utm_medium as utm_medium,
    births.utm_campaign as utm_campaign,
    births.utm_term as utm_term,
    births.utm_content as utm_content,
    births.clickid as clickid
from births
left any join consents on consents.site = births.site and consents.view = births.view and consents.member = births.member
settings join_use_nulls = 0;
