-- trees: one row a share tree with at least one arrival. Readers are views that
-- are no return; at a strict site a node is a cohort and counts its readers.
--
-- origin     root: a view, a link, or a token that is not born (yet)
-- page       of the root; while it is not born, of the first arrival
-- day, time  of the root's birth, or of the first arrival: the site's day; UTC
-- campaign   of the link it began with
-- size       readers
-- depth      the farthest reader's distance from the root
-- breadth    most readers at one distance
-- channels   by which they came, in alphabetical order
-- r          (size − 1) / (q · readers above the last generation), q as in
--            `rates`; NULL where there are none. A link is no reader: of its tree
--            size − 1 leaves out one of the link's own arrivals and counts the
--            others as passed on, so r is there no measure of readers alone
-- virality   2 / (n (n − 1)) · Σ s (n − s) over the readers but the root, n being
--            size and s the size of a reader's own subtree (Goel et al. 2015,
--            for a tree: the mean distance between two of its readers)
--
-- A root that its browser calls a return is still the tree's first reader: whom
-- it continues is not known. Arrivals beyond a network's third of a parent's
-- day, which are to be held back, are not taken out yet.
--
-- Subtrees are summed from the last generation to the first, one step a
-- generation: sumMap adds to each node's own readers what its children brought.
-- For that every reader needs the reader above it. A share stands for its view,
-- a return for its reader; a chain of returns (a page that reloads itself) is
-- shortened by half in each step of `jumps`, so thousands of them take a dozen steps.
create or replace view passalong.trees {{on_cluster}} as
with recursive
    cohorts as
    (
        select site, view, toUInt64(countIf(returned = 0)) as readers
        from passalong.page_views
        where privacy = 'strict'
        group by site, view
    ),
    nodes as
    (
        select
            n.site as site,
            n.origin as origin,
            n.token as token,
            n.parent as parent,
            n.kind as kind,
            n.depth as depth,
            n.day as day,
            n.time as time,
            n.page as page,
            n.kind = 'view' and (n.generation >= 0 or n.return = 0 and not (n.returned = 1 and n.parent != '')) as reading,
            multiIf(not reading, toUInt64(0), n.generation >= 0, c.readers, toUInt64(1)) as readers
        from passalong.nodes as n
        left any join cohorts as c on c.site = n.site and c.view = n.token
        where (n.site, n.origin) in (select site, origin from passalong.nodes where kind = 'view' and parent != '' and return = 0 and returned = 0)
    ),
    -- Shares and returns that somebody came by, and what they stand for.
    -- `more` ends it: 0 once no pointer moved any more.
    jumps as
    (
        select site, token, parent as above, toUInt8(1) as more, toUInt8(0) as step
        from nodes
        where not reading and kind != 'link' and (site, token) in (select site, parent from passalong.nodes where parent != '')
        union all
        select
            a.site,
            a.token,
            if(b.token = '', a.above, b.above) as above,
            max(b.token != '') over () as more,
            toUInt8(a.step + 1) as step
        from jumps as a
        left any join jumps as b on b.site = a.site and b.token = a.above
        where a.more = 1 and a.step < 20
    ),
    stands_for as
    (
        select site, token, argMax(above, step) as reader
        from jumps
        group by site, token
    ),
    generations as
    (
        select
            n.site as site,
            n.origin as origin,
            n.depth as depth,
            sum(n.readers) as width,
            arraySort(groupArray((n.token, n.readers, if(s.token = '', n.parent, s.reader)))) as members
        from nodes as n
        left any join stands_for as s on s.site = n.site and s.token = n.parent
        where n.reading
        group by site, origin, depth
    ),
    shapes as
    (
        select
            g.site as site,
            g.origin as origin,
            sum(g.width) as size,
            max(g.depth) as depth,
            max(g.width) as breadth,
            argMax(g.width, g.depth) as last_width,
            arrayReverseSort(generation -> generation.1, groupArray((g.depth, g.members.1, g.members.2, g.members.3))) as from_the_last
        from generations as g
        group by site, origin
    ),
    -- carried: of the generation below, the readers above it and the sizes; then
    -- what the readers so far, but the root, add to the virality.
    summed as
    (
        select
            *,
            arrayFold(
                (carried, generation) -> (
                    generation.4,
                    subtree_sizes(generation.2, generation.3, carried.1, carried.2),
                    carried.3 + if(generation.1 = 0, 0., arraySum(s -> toFloat64(s) * (toFloat64(size) - toFloat64(s)), subtree_sizes(generation.2, generation.3, carried.1, carried.2)))),
                from_the_last,
                ([''], [toUInt64(0)], 0.)).3 as crossings
        from shapes
    ),
    roots as
    (
        select
            n.site as site,
            n.origin as origin,
            argMin(n.page, (n.token != n.origin, n.time, n.token)) as page,
            argMin(n.day, (n.token != n.origin, n.time, n.token)) as day,
            argMin(n.time, (n.token != n.origin, n.time, n.token)) as time
        from nodes as n
        group by site, origin
    ),
    campaigns as
    (
        select site, token, campaign
        from passalong.handed
        where kind = 'link'
    ),
    came as
    (
        select site, origin, arraySort(groupUniqArrayIf(channel, channel != '')) as channels
        from passalong.shares
        group by site, origin
    )
select
    t.site as site,
    t.origin as origin,
    roots.page as page,
    roots.day as day,
    roots.time as time,
    campaigns.campaign as campaign,
    t.size as size,
    t.depth as depth,
    t.breadth as breadth,
    came.channels as channels,
    (t.size - 1) / (rates.q * nullIf(t.size - t.last_width, 0)) as r,
    if(t.size < 2, 0., 2 / (t.size * (t.size - 1.)) * t.crossings) as virality
from summed as t
left any join roots on roots.site = t.site and roots.origin = t.origin
left any join campaigns on campaigns.site = t.site and campaigns.token = t.origin
left any join came on came.site = t.site and came.origin = t.origin
left any join passalong.rates as rates on rates.site = t.site
settings
    join_use_nulls = 0,
    max_bytes_before_external_group_by = 200000000,
    max_bytes_before_external_sort = 200000000;
