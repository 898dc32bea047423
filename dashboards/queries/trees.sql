-- Which trees of readers grew largest?
-- One row is a share tree with at least one arrival: readers (`size`), generations (`depth`), most readers of one generation (`breadth`).
-- What misleads: a token that was lost starts a new tree, so each is "at least".
select
    time,
    page,
    origin,
    size,
    depth,
    breadth,
    arrayStringConcat(channels, ' ') as apps,
    r,
    virality
from passalong.trees
where site in {sites:Array(String)} and day between {from:Date} and {to:Date}
order by size desc, time, origin
limit 50
