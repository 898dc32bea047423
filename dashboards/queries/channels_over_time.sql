-- Through which app was it passed on?
-- One row is a day and channel. `dark_social` is the sum of confidence over its visits; '' is a private share whose app is not known.
-- What misleads: Slack, Discord, Signal, SMS and desktop WhatsApp open links in the ordinary browser and stand under not known.
select
    day,
    if(channel = '', 'not known', channel) as app,
    sum(confidence_sum) as dark_social
from passalong.channels
where site in {sites:Array(String)} and day between {from:Date} and {to:Date}
group by day, app
having dark_social > 0
order by day, app
