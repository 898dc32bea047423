-- ga4_channel(referrer, utm_source, utm_medium, utm_campaign): the name under
-- which Google Analytics 4 would count a landing. Pass an empty referrer for
-- one of the site's own pages.
--
-- The rules of GA4's default channel group in their published order, the first
-- that holds wins (Help 9756891 as read on 2026-11-24; "AI Assistant" as
-- announced on 2026-05-13). Left out, since only Google knows them: the rules
-- by ad network of Google Ads, Display & Video 360 and Search Ads 360. Any UTM
-- beats the referrer. Click ids are not read: what a gclid stands for is known
-- only to an account that is linked with Google Ads, so without UTM it counts
-- here by its referrer.
--
-- The two arrayMaps over one element only give names to what is used often: a
-- SQL function is pasted into its caller, its arguments as often as they occur.
create or replace function ga4_channel {{on_cluster}} as (referrer, utm_source, utm_medium, utm_campaign) -> arrayMap(
    (source, tagged_medium, campaign, tagged, category) -> arrayMap(
        medium -> multiIf(
            source in ('', '(direct)') and medium in ('', '(none)', '(not set)') and campaign = '', 'Direct',
            position(campaign, 'cross-network') > 0, 'Cross-network',
            (category = 'shopping' or match(campaign, '^(.*(([^a-df-z]|^)shop|shopping).*)$')) and match(medium, '^(.*cp.*|ppc|retargeting|paid.*)$'), 'Paid Shopping',
            category = 'search' and match(medium, '^(.*cp.*|ppc|retargeting|paid.*)$'), 'Paid Search',
            category = 'social' and match(medium, '^(.*cp.*|ppc|retargeting|paid.*)$'), 'Paid Social',
            category = 'video' and match(medium, '^(.*cp.*|ppc|retargeting|paid.*)$'), 'Paid Video',
            medium in ('display', 'banner', 'expandable', 'interstitial', 'cpm'), 'Display',
            match(medium, '^(.*cp.*|ppc|retargeting|paid.*)$'), 'Paid Other',
            category = 'shopping' or match(campaign, '^(.*(([^a-df-z]|^)shop|shopping).*)$'), 'Organic Shopping',
            category = 'social' or medium in ('social', 'social-network', 'social-media', 'sm', 'social network', 'social media'), 'Organic Social',
            category = 'video' or match(medium, '^(.*video.*)$'), 'Organic Video',
            medium = 'ai-assistant', 'AI Assistant',
            category = 'search' or medium = 'organic', 'Organic Search',
            medium in ('referral', 'app', 'link'), 'Referral',
            source in ('email', 'e-mail', 'e_mail', 'e mail') or medium in ('email', 'e-mail', 'e_mail', 'e mail'), 'Email',
            medium = 'affiliate', 'Affiliates',
            medium = 'audio', 'Audio',
            source = 'sms' or medium = 'sms', 'SMS',
            endsWith(medium, 'push') or position(medium, 'mobile') > 0 or position(medium, 'notification') > 0 or source = 'firebase', 'Mobile Push Notifications',
            'Unassigned'),
        [multiIf(tagged, tagged_medium, source = '', '', category = 'ai', 'ai-assistant', category = 'search', 'organic', 'referral')])[1],
    [if(utm_source != '' or utm_medium != '' or utm_campaign != '', lower(utm_source), lower(domainWithoutWWW(referrer)))],
    [lower(utm_medium)],
    [lower(utm_campaign)],
    [utm_source != '' or utm_medium != '' or utm_campaign != ''],
    [ga4_category(if(utm_source != '' or utm_medium != '' or utm_campaign != '', lower(utm_source), lower(domainWithoutWWW(referrer))))])[1];
