-- What was "Direct" really?
-- One row is a day. GA4 files `direct` visits under Direct; of these `dark_social` came by a private share (a sum of probabilities, not a count).
-- What misleads: tokens get lost on the way, so a quiet site's number is uncertain; see Trust.
select
    day,
    count() as direct,
    sum(confidence) as dark_social,
    count() - sum(confidence) as other
from passalong.attribution
where site in {sites:Array(String)} and day between {from:Date} and {to:Date} and ga4_channel = 'Direct'
group by day
order by day
