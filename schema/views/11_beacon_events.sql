-- beacon_events: one row an event that counts: no bot's, and of a beacon that
-- arrived twice only the first copy. Copies have the same (site, view, visitor,
-- seq, item); the earliest `received` holds, then `batch`, `row`. A beacon
-- without `seq` is never a copy. Columns as in `events`, and
--
-- member   tells apart the page views that carry one token: at a strict site
--          the visitor, elsewhere empty. A page view is (site, view, member).
create or replace view passalong.beacon_events {{on_cluster}} as
with
    numbered as
    (
        select
            *,
            if(privacy = 'strict', visitor, '') as member,
            row_number() over (partition by site, view, visitor, seq, item, if(seq is null, (toString(batch), row), ('', 0)) order by received, batch, row) as copy
        from passalong.events
        where bot = 0 and type in ('view', 'copy', 'share', 'engage', 'convert', 'ask', 'answer')
    )
select * except (copy)
from numbered
where copy = 1;
