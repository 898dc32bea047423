-- evidence: one row a page view, with what it came by and what that proves.
-- `attribution` reads the landings of it, `shares` the edges.
--
-- site, view, member, visit, landing, day, time, page, visitor …   as in `visit_views`
-- came_by         token of the edge, as the lineage decided; empty: none
-- came_by_kind    view share link; empty also while that token is not born
-- sharer          the view or link it came by: a share stands for its view
-- handed_at       when that token was born, UTC; NULL while it is not
-- sharer_network  network of the sharer
-- return          1: the same reader again, by the browser's word or the lineage's
-- told            of a return, by what: browser visitor gap
-- origin, depth   root of the tree and distance to it
-- link_kind, campaign   of the link it came by
-- evidence        the first that holds, from the top:
--   internal      from a page of the site itself
--   own           by the reader's own token
--   link          by a link that a person hands on (chat, share)
--   seeded        by a link that is put out (broadcast, influencer, print)
--   token         by another reader's token, nothing else against it
--   pasted        by another's token, with a public referrer or with a click id
--                 or UTM that the view it came from did not have: in a post
--   returned      no token, but the browser says it came back
--   private       a private messenger's app, package or referrer
--   tagged        UTM, or the click id of an ad, a letter, an affiliate
--   feed          inside an app that is mostly a public feed
--   mail          a mail client's app, package or referrer
--   referrer      any other referrer
--   clicked       a click id that a network puts on shared and posted links alike
--   section       none of these, on a page that people open as a place
--   bare          none of these, on a deep page
-- source          what it is if it is not dark social
-- channel         by app, package or referrer; else the share's or link's
-- method          what decided: token link button app referrer clickid campaign
--                 pattern none
-- certain         P(dark social); NULL for `bare`, which needs the site's rates
-- audience        private public broadcast; empty where none is meant, and for `bare`
--
-- An inherited tag is no evidence: it was copied along with the address. A
-- click id of the `social` kind with a private messenger's app is none either:
-- Messenger puts it on every link.
create or replace view passalong.evidence {{on_cluster}} as
with
    -- A view whose node is not written yet (the loader writes events first) is
    -- taken as its own beacon says. At a strict site the token is a cohort's, so
    -- each view's own `via` and flag count, not those of the cohort's first; its
    -- own cohort is no parent but in generation 9, which has no next.
    -- The browser's flag holds whatever the lineage decided: that speaks of
    -- edges, and leaves a root and a view whose parent is not born at 0.
    joined as
    (
        select
            v.* replace (
                v.privacy::String as privacy,
                v.referrer_kind::String as referrer_kind,
                v.referrer_channel::String as referrer_channel,
                v.app::String as app,
                v.package_channel::String as package_channel,
                v.utm_source::String as utm_source,
                v.utm_medium::String as utm_medium,
                v.utm_campaign::String as utm_campaign,
                v.clickid::String as clickid
            ),
            nodes.token != '' and v.privacy != 'strict' as decided,
            multiIf(decided, nodes.parent, v.privacy = 'strict' and v.via = v.view and v.generation < 9 and v.returned = 0, '', v.via) as came_by,
            greatest(v.returned, if(decided, nodes.return, 0)) as return,
            multiIf(nodes.token != '', nodes.origin, v.via != '', v.via, v.view) as origin,
            multiIf(v.privacy = 'strict', toUInt32(v.generation), nodes.token != '', nodes.depth, toUInt32(v.via != '')) as depth,
            nodes.visitor as birth_visitor
        from passalong.visit_views as v
        left any join passalong.nodes as nodes on nodes.site = v.site and nodes.token = v.view
    ),
    -- Of a strict site the lineage has decided one edge a cohort; whether the
    -- parent is old enough for this reader (10 minutes of slack) is seen here.
    handed_on as
    (
        select
            j.* except (came_by),
            j.privacy = 'strict' and h.token != '' and h.received > j.received + toIntervalMinute(10) as too_young,
            if(too_young, '', j.came_by) as came_by,
            if(too_young, '', h.kind) as came_by_kind,
            h.token != '' and not too_young as handed_known,
            multiIf(too_young, '', h.token = '', j.came_by, j.privacy = 'strict' and h.kind != 'link', '', h.sharer) as sharer,
            h.time as handed_time,
            h.visitor as handed_visitor,
            h.network as sharer_network,
            if(too_young, '', h.channel) as handed_channel,
            if(too_young, '', h.link_kind) as link_kind,
            if(too_young, '', h.campaign) as campaign,
            [j.utm_source, j.utm_medium, j.utm_campaign, j.utm_term, j.utm_content] as all_tags,
            -- Those that the view it came from did not have in its own address.
            if(came_by = '', all_tags, arrayMap((tag, had) -> if(tag = had, '', tag), all_tags, arrayResize(h.tags, 5, ''))) as tags,
            if(came_by != '' and j.clickid = h.clickid, '', j.clickid) as new_clickid
        from joined as j
        left any join passalong.handed as h on h.site = j.site and h.token = j.came_by
    ),
    read as
    (
        select
            *,
            arrayExists(tag -> tag != '', tags) as has_tags,
            transform(new_clickid, {{clickids "means"}}, '') as click_source,
            if(package_channel != '', package_channel, app) as app_channel,
            app_channel in ({{channels "private"}}) or (app_channel = '' and referrer_kind = 'messenger') as privately,
            app_channel = 'email' or (app_channel = '' and referrer_kind = 'email') as by_mail,
            referrer_kind in ('search', 'social', 'ai', 'video', 'shopping', 'aggregator', 'push', 'referral') as publicly,
            if(has_tags, ga4_channel('', tags[1], tags[2], tags[3]), '') as tagged_as
        from handed_on
    ),
    weighed as
    (
        select
            *,
            multiIf(
                referrer_kind = 'internal', 'internal',
                came_by != '' and return = 1, 'own',
                came_by_kind = 'link' and link_kind in ('broadcast', 'influencer', 'print'), 'seeded',
                came_by_kind = 'link', 'link',
                came_by != '' and (publicly or has_tags or (click_source != '' and not (click_source = 'social' and privately))), 'pasted',
                came_by != '', 'token',
                return = 1, 'returned',
                privately, 'private',
                has_tags or click_source in ('paid', 'email', 'campaign'), 'tagged',
                app_channel != '' and not by_mail, 'feed',
                by_mail, 'mail',
                referrer_kind != '' or referrer != '', 'referrer',
                click_source = 'social', 'clicked',
                section_page(page), 'section',
                'bare') as evidence
        from read
    )
select
    *,
    multiIf(
        return = 0, '',
        returned = 1, 'browser',
        came_by = '' or handed_visitor = birth_visitor or handed_visitor = visitor, 'visitor',
        'gap') as told,
    if(handed_known, handed_time, null) as handed_at,
    multiIf(
        evidence = 'internal', 'internal',
        evidence in ('own', 'returned', 'section', 'bare', 'token', 'link', 'private'), 'direct',
        evidence = 'seeded', 'campaign',
        has_tags, multiIf(
            startsWith(tagged_as, 'Paid') or tagged_as in ('Display', 'Cross-network'), 'paid',
            tagged_as = 'Email', 'email',
            tagged_as = 'Organic Social', 'social',
            tagged_as = 'Organic Search', 'search',
            tagged_as = 'Mobile Push Notifications', 'push',
            tagged_as = 'Referral', 'referral',
            ga4_category(lower(tags[1])) = 'ai', 'ai',
            'campaign'),
        click_source in ('paid', 'email', 'campaign'), click_source,
        evidence = 'feed', 'social',
        by_mail, 'email',
        referrer_kind in ('search', 'ai', 'push', 'aggregator'), referrer_kind,
        referrer_kind in ('social', 'video'), 'social',
        referrer != '', 'referral',
        'social') as source,
    multiIf(
        evidence in ('internal', 'own', 'returned', 'section', 'bare'), '',
        evidence in ('link', 'seeded') and handed_channel != '', handed_channel,
        evidence in ('pasted', 'referrer') and referrer_channel != '', referrer_channel,
        app_channel != '', app_channel,
        referrer_channel != '', referrer_channel,
        handed_channel != '' and evidence != 'pasted', handed_channel,
        by_mail, 'email',
        transform(new_clickid, {{clickids "channel"}}, '')) as channel,
    multiIf(
        evidence in ('link', 'token', 'private'), toNullable(1.),
        evidence in ('feed', 'mail', 'clicked'), transform(channel, {{priors_of_channels}}, 0.),
        evidence = 'bare', null,
        0.) as certain,
    multiIf(
        evidence in ('link', 'seeded'), 'link',
        evidence in ('own', 'token'), multiIf(came_by_kind = 'share', 'button', came_by_kind = 'link', 'link', 'token'),
        evidence in ('private', 'feed', 'mail'), if(app_channel != '', 'app', 'referrer'),
        evidence in ('pasted', 'tagged', 'referrer', 'clicked'), multiIf(has_tags, 'campaign', click_source in ('paid', 'email', 'campaign'), 'clickid', referrer != '', 'referrer', 'clickid'),
        evidence = 'internal', 'referrer',
        evidence = 'bare', 'pattern',
        'none') as method,
    multiIf(
        evidence = 'pasted', 'public',
        evidence = 'seeded', if(link_kind = 'broadcast', 'broadcast', 'public'),
        certain >= .5, 'private',
        source = 'social', 'public',
        source in ('campaign', 'email', 'push'), 'broadcast',
        '') as audience
from weighed
settings join_use_nulls = 0;
