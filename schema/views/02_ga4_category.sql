-- ga4_category(source): what Google Analytics 4 calls the site behind a
-- source, as it stands in utm_source or as a referrer's host without `www.`:
-- search social shopping video ai, or empty. Facts: facts/ga4_sources.tsv,
-- an excerpt of the published list, generalised.
-- A `name` is a whole utm_source; a `host` claims its subdomains; a `brand` is
-- a utm_source and, under every top-level domain, a host (google.fr,
-- m.yandex.com.tr) but not every subdomain (docs.google.com and
-- mail.yahoo.com are referrals).
--
-- Asked in this order: the source itself, without its first label, its
-- registrable domain, `*.brand`.
create or replace function ga4_category {{on_cluster}} as (source) -> arrayFirst(
    category -> category != '',
    arrayMap(
        candidate -> transform(candidate, {{ga4}}, ''),
        [
            source,
            if(position(source, '.') > 0, substring(source, position(source, '.') + 1), ''),
            cutToFirstSignificantSubdomain(source),
            if(match(source, '^(m\\.|cn\\.|cse\\.|lite\\.|ntp\\.|wap\\.|([a-z]+\\.)?search\\.)?[a-z0-9-]+(\\.[a-z]{2,3}){1,2}$'), concat('*.', firstSignificantSubdomain(source)), '')
        ]));
