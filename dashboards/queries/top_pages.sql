-- Which pages are passed on most?
-- One row is a page. `dark_share` is the part of its Direct visits that came by a private share; empty where it had none.
-- What misleads: a page's visits are those that landed on it.
select
    page,
    any(title) as headline,
    sum(visits) as landings,
    sum(dark_social) as dark,
    sum(direct) as ga4_direct,
    sum(copies) as copied,
    sum(conversions) as orders,
    sum(revenue) as turnover
from passalong.pages
where site in {sites:Array(String)} and day between {from:Date} and {to:Date}
group by site, page
order by dark desc, page
limit 50
