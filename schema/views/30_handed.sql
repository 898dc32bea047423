-- handed: one row a token by which somebody can arrive, with what its own
-- birth knew: a view, a share made from a view, a link.
--
-- site, token, kind   the key; view share link
-- sharer              the view or link that it stands for: a share's view
-- time, received      of its birth, UTC; when the collector took it
-- visitor             of the view; empty for a link
-- network
-- channel             of a share's button (empty for the system's sheet and a
--                     copy button) or of the link
-- link_kind           of a link: chat broadcast influencer print share
-- campaign, label     of a link
-- tags                UTM fields of that view's own address, in the order
--                     source medium campaign term content
-- clickid             kind of the click id in it
create or replace view passalong.handed {{on_cluster}} as
with
    -- Only views whose address had any; at a strict site the cohort's first.
    tagged as
    (
        select
            e.site as site,
            e.view as view,
            argMin([e.utm_source::String, e.utm_medium::String, e.utm_campaign::String, e.utm_term, e.utm_content], (e.received, e.batch, e.row, e.item)) as tags,
            argMin(e.clickid::String, (e.received, e.batch, e.row, e.item)) as clickid
        from passalong.events as e
        where e.type = 'view' and e.bot = 0 and (e.utm_source, e.utm_medium, e.utm_campaign, e.utm_term, e.utm_content, e.clickid) != ('', '', '', '', '', '')
        group by site, view
    ),
    -- What is said of a share or link besides its birth. A share's channel is
    -- the one it was made for; sheet and copy are ways, not channels.
    described as
    (
        select
            e.site as site,
            e.token as token,
            argMin(if(e.channel::String in ('sheet', 'copy'), '', e.channel::String), (e.received, e.batch, e.row, e.item)) as channel,
            argMin(e.kind::String, (e.received, e.batch, e.row, e.item)) as kind,
            argMin(e.campaign, (e.received, e.batch, e.row, e.item)) as campaign,
            argMin(e.label, (e.received, e.batch, e.row, e.item)) as label
        from passalong.events as e
        where e.type in ('share', 'link') and e.bot = 0
        group by site, token
    )
select
    births.site as site,
    births.token as token,
    births.kind as kind,
    if(births.kind = 'share', births.parent, births.token) as sharer,
    births.time as time,
    births.received as received,
    births.visitor as visitor,
    births.network as network,
    if(births.kind = 'view', '', described.channel) as channel,
    if(births.kind = 'link', described.kind, '') as link_kind,
    described.campaign as campaign,
    described.label as label,
    tagged.tags as tags,
    tagged.clickid as clickid
from passalong.nodes as births
left any join tagged on tagged.site = births.site and tagged.view = if(births.kind = 'share', births.parent, births.token)
left any join described on described.site = births.site and described.token = births.token
settings join_use_nulls = 0;
