-- nodes: one row a view, share or link that no bot made, with what it came by.
-- At a strict site one row a cohort: the token names all readers of a page in
-- one hour and generation.
--
-- site, token   the key
-- kind          view, share or link
-- parent        the token it came by, for a share its view; empty for a root
-- origin        root of the tree; itself for a root
-- depth         arrivals from the root to here; a return and a share keep their parent's
-- return        1: the same reader again, no new one
-- time, day     of the birth, UTC; the site's day
-- page          address of the birth
-- visitor, network
-- via           the token in the address, whether it made an edge or not
-- received      when the collector took the birth
-- returned      the browser's own word for `return`
-- plain         1: came without app, package and referrer
-- pending       1: its parent is not born yet, so depth and origin may change
-- generation    strict: 0 to 9; else -1
--
-- FINAL puts the latest decision in the place of earlier ones. A filter on
-- `origin` or `parent` reads by the bloom filter; the exact mode then looks
-- whether a row it found was replaced by one that the filter left out.
create or replace view passalong.nodes {{on_cluster}} as
select
    site, token, kind, parent, origin, depth, return, time, day, page, visitor, network,
    via, received, returned, plain, pending, generation
from passalong.lineage final
settings use_skip_indexes_if_final = 1, use_skip_indexes_if_final_exact_mode = 1;
