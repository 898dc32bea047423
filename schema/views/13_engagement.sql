-- engagement: one row a page view that said how it was read; `member` as in
-- `page_views`. The totals only grow, so copies of a beacon change nothing.
--
-- visible   ms in sight, the largest total that was sent
-- scroll    percent, the deepest
create or replace view passalong.engagement {{on_cluster}} as
select
    e.site as site,
    e.view as view,
    if(e.privacy = 'strict', e.visitor, '') as member,
    max(e.visible) as visible,
    max(e.scroll) as scroll
from passalong.events as e
where e.type = 'engage' and e.bot = 0
group by site, view, member;
