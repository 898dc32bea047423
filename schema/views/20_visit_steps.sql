-- visit_steps: one row a page view, with the visit it belongs to and nothing
-- else. A visit is the page views of a visitor with gaps under 30 minutes; it
-- ends at midnight UTC, when the visitor's id changes.
--
-- site, view, member   the page view
-- visit                the token of the visit's first view; at a strict site,
--                      where a token names a cohort, the row id of that view
-- landing              1: this view began the visit
--
-- Apart from `visit_views` because what goes through a window is sorted: only
-- what the cut needs does.
create or replace view passalong.visit_steps {{on_cluster}} as
with
    -- Before the first view of a day stands 1970: a gap long enough.
    stepped as
    (
        select
            site,
            view,
            member,
            visitor,
            time,
            received,
            batch,
            row,
            privacy,
            dateDiff('millisecond', lagInFrame(time) over (partition by site, visitor, toDate(time) order by time, received, batch, row rows between unbounded preceding and current row), time) >= 30 * 60 * 1000 as landing
        from passalong.page_views
    )
select
    site,
    view,
    member,
    -- anyLast passes over NULL: the latest landing up to here.
    assumeNotNull(anyLast(if(landing, if(privacy = 'strict', row_id(batch, row), view), null)) over (partition by site, visitor, toDate(time) order by time, received, batch, row rows between unbounded preceding and current row)) as visit,
    landing
from stepped;
