-- What do readers copy?
-- One row is a page and what was copied. Copied text is a weak sign of sharing and is counted, never read.
-- What misleads: copying from the address bar shows no event; only its token tells.
select
    page,
    what,
    sum(copies) as copied,
    sum(words) as words_copied
from passalong.copies
where site in {sites:Array(String)} and day between {from:Date} and {to:Date}
group by site, page, what
order by copied desc, page, what
limit 50
