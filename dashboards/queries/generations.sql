-- How far is it handed on?
-- One row is a day and generation: arrivals by a token, the first reader being generation 0.
-- What misleads: depth is counted from the last token that survived.
select
    day,
    depth as generation,
    count() as arrivals
from passalong.shares
where site in {sites:Array(String)} and day between {from:Date} and {to:Date}
group by day, generation
order by day, generation
