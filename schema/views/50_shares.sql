-- shares: one row an edge sharer → arrival: a reader who came by somebody's
-- view, share or link. A return is no arrival.
--
-- parent     the view or link that handed it on: a share stands for its view;
--            at a strict site the cohort's token
-- child      the arrival's token
-- day, time  of the arrival: the site's day; UTC
-- age        ms from the birth of what it came by (of the share, if it was one)
--            to the arrival, never below 0; NULL while that is not born
-- page       where it arrived
-- channel    by the arrival's app, package or referrer; else the share's or link's
-- method, audience   as in `attribution`, also where the arrival began no visit
-- self       1: sharer and arrival on the same network; 0 at a strict site, where
--            the sharer is a cohort
-- depth      of the arrival
-- origin     root of the tree
--
-- Every edge stands here. Those beyond a network's third of a parent's day, which are to be held back, are
-- not marked yet.
create or replace view passalong.shares {{on_cluster}} as
select
    site,
    if(privacy = 'strict' and came_by_kind != 'link', came_by, sharer) as parent,
    view as child,
    day,
    time,
    if(handed_at is null, null, greatest(0, dateDiff('millisecond', handed_at, time))) as age,
    page,
    channel,
    method,
    audience,
    handed_known and came_by_kind != 'link' and privacy != 'strict' and network = sharer_network as self,
    depth,
    origin
from passalong.evidence
where came_by != '' and return = 0;
