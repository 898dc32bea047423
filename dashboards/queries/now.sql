-- What is being read now?
-- One row is a minute of the last 30: visits that began, and how many of them came by a private share.
select
    minute,
    count() as visits,
    sum(confidence) as dark_social
from passalong.attribution
where site in {sites:Array(String)} and time >= now() - interval 30 minute
group by toStartOfMinute(time) as minute
order by minute
