-- attribution: one row a visit, with where it came from. A count of dark social
-- is sum(confidence) over all visits, not a count of rows.
--
-- site, visit     the key
-- view            token of its landing view
-- day, time       the site's day; UTC
-- page            the landing
-- visitor, network, country, device, os, browser
-- ga4_channel     what Google Analytics 4 would call it, by referrer and UTM
-- naive_dark      1: no referrer, UTM or click id, and no section page
-- source          dark_social where confidence is half or more; else the
--                 likeliest other of direct search social email referral
--                 campaign paid ai push aggregator internal
-- channel         the app or network; empty: not known
-- audience        private public broadcast, or empty
-- method          what decided: token link button app referrer clickid campaign
--                 pattern none
-- confidence      P(dark social) = posterior['dark_social'], 0 to 1
-- posterior       source → probability; sums to 1
-- sharer          the view or link it came by; empty on a return told by
--                 browser or visitor, kept on one told only by the gap
-- origin, depth   root of the tree, arrivals from there
-- campaign        of the link it came by, else utm_campaign
-- spread          of a bare visit: `rates.spread` of its site; else 0
--
-- How sure: a token of another reader, a private messenger and a link that a
-- person hands on are 1; apps that are mostly a public feed and mail clients
-- have the stated prior of facts/channels.tsv; a return is 0, however it was
-- told. A bare visit to a deep page has its site's `rates.p`, the same for
-- every such visit, and what remains is spread by the assumptions of
-- facts/priors.tsv. Bursts and letters are not looked at yet: a token pasted
-- before everybody, without a public referrer, counts as private here.
create or replace view passalong.attribution {{on_cluster}} as
with
    landings as
    (
        select
            e.*,
            ifNull(e.certain, rates.p) as confidence_here,
            e.evidence = 'bare' as by_pattern,
            if(by_pattern, rates.spread, 0.) as spread
        from passalong.evidence as e
        left any join passalong.rates as rates on rates.site = e.site
        where e.landing
    ),
    weighed as
    (
        select
            *,
            map(
                'dark_social', confidence_here,
                'direct', (1 - confidence_here) * multiIf(by_pattern, {{prior "rest_direct"}}, source = 'direct', 1., 0.),
                'search', (1 - confidence_here) * multiIf(by_pattern, {{prior "rest_search"}}, source = 'search', 1., 0.),
                'social', (1 - confidence_here) * if(source = 'social', 1., 0.),
                'email', (1 - confidence_here) * multiIf(by_pattern, {{prior "rest_email"}}, source = 'email', 1., 0.),
                'referral', (1 - confidence_here) * if(source = 'referral', 1., 0.),
                'campaign', (1 - confidence_here) * if(source = 'campaign', 1., 0.),
                'paid', (1 - confidence_here) * if(source = 'paid', 1., 0.),
                'ai', (1 - confidence_here) * multiIf(by_pattern, {{prior "rest_ai"}}, source = 'ai', 1., 0.),
                'push', (1 - confidence_here) * if(source = 'push', 1., 0.),
                'aggregator', (1 - confidence_here) * if(source = 'aggregator', 1., 0.),
                'internal', (1 - confidence_here) * if(source = 'internal', 1., 0.)) as all_sources,
            mapFilter((name, share) -> share > 0, all_sources) as posterior_here,
            multiIf(
                confidence_here >= .5, 'dark_social',
                -- Of equal ones the first in the order above.
                arraySort((name, share) -> -share, mapKeys(mapFilter((name, share) -> name != 'dark_social', posterior_here)), mapValues(mapFilter((name, share) -> name != 'dark_social', posterior_here)))[1]) as likeliest
        from landings
    )
select
    site,
    visit,
    view,
    day,
    time,
    page,
    visitor,
    network,
    country,
    device,
    os,
    browser,
    ga4_channel(if(referrer_kind = 'internal', '', referrer), utm_source, utm_medium, utm_campaign) as ga4_channel,
    referrer = '' and all_tags = ['', '', '', '', ''] and clickid = '' and not section_page(page) as naive_dark,
    likeliest as source,
    channel,
    if(by_pattern and likeliest = 'dark_social', 'private', audience) as audience,
    method,
    confidence_here as confidence,
    posterior_here as posterior,
    if(told in ('browser', 'visitor'), '', sharer) as sharer,
    origin,
    depth,
    if(campaign != '', campaign, utm_campaign) as campaign,
    spread
from weighed
settings
    join_use_nulls = 0,
    max_bytes_before_external_group_by = 200000000,
    max_bytes_before_external_sort = 200000000;
