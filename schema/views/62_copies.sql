-- copies: one row a site's day × page × what was copied.
--
-- what           link text image code email phone
-- copies         how often
-- chars, words   how much, together
create or replace view passalong.copies {{on_cluster}} as
select site, day, page, what, count() as copies, sum(chars) as chars, sum(words) as words
from passalong.beacon_events
where type = 'copy'
group by site, day, page, what;
