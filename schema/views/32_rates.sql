-- rates: one row a site: what its tokens say of the visits that carry none.
-- Capture and recapture in its first form: over everything kept, one value a
-- site, not by channel, platform, page or hour, and without the clumping of
-- arrivals (docs/method.md sections 3, 5 and 6 go further). It knows nothing
-- of a single visit.
--
-- identified   landings known to be private by app, package or referrer, but
--              not by a button or link
-- kept         of these, with another reader's token
-- q            share of shares whose token survives: kept / identified, with a
--              prior of {{prior "expected_kept"}} worth {{worth "expected_kept"}} shares
-- tokened      landings with another's token that would be bare without it
-- bare         landings with no evidence at all, on deep pages
-- dark         of these, how many are expected to be dark social: for every
--              token that survived, (1 − q) / q were lost; at most 0.9 of them
-- p            P(dark social) of a bare landing: dark / bare, with a prior of
--              {{prior "bare_dark"}} worth {{worth "bare_dark"}} visits
-- spread       standard deviation of ln dark: from q, from how few tokens, and
--              0.1 for the model itself
create or replace view passalong.rates {{on_cluster}} as
with
    counted as
    (
        select
            site,
            toFloat64(countIf(privately and evidence in ('token', 'private') and came_by_kind != 'share')) as identified,
            toFloat64(countIf(privately and evidence = 'token' and came_by_kind != 'share')) as kept,
            toFloat64(countIf(evidence = 'token' and came_by_kind != 'share' and app_channel = '' and referrer_kind = '' and all_tags = ['', '', '', '', ''] and clickid = '' and not section_page(page))) as tokened,
            toFloat64(countIf(evidence = 'bare')) as bare
        from passalong.evidence
        where landing
        group by site
    ),
    fitted as
    (
        select
            *,
            (kept + {{prior "expected_kept"}} * {{worth "expected_kept"}}) / (identified + {{worth "expected_kept"}}) as q,
            least(tokened * (1 - q) / q, .9 * bare) as dark
        from counted
    )
select
    site,
    identified,
    kept,
    q,
    tokened,
    bare,
    dark,
    (dark + {{prior "bare_dark"}} * {{worth "bare_dark"}}) / (bare + {{worth "bare_dark"}}) as p,
    sqrt(1 / (q * (1 - q) * (identified + {{worth "expected_kept"}})) + 1 / (tokened + 1) + 1 / (dark + 1) + .01) as spread
from fitted;
