-- dark_bound(sure, pattern, variance, spread, visits, side): an end of the 90 %
-- interval of a sum of confidences; side −1 is the lower, 1 the upper one.
-- `sure` is the sum over visits that have evidence of their own, `pattern` over
-- bare ones, whose level may be wrong as a whole by exp(spread). `variance`, the
-- sum of p (1 − p) over all visits, those of `sure` and the bare ones alike, is
-- the luck of the single visits. docs/method.md section 6.
create or replace function dark_bound {{on_cluster}} as (sure, pattern, variance, spread, visits, side) -> least(
    toFloat64(visits),
    greatest(0., sure + pattern * exp(side * 1.645 * spread) + side * 1.645 * sqrt(greatest(0., variance))));
