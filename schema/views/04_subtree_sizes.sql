-- subtree_sizes(tokens, own, keys, sizes): for the nodes of one generation, in
-- the order of their tokens, their own readers and what hangs below them.
-- `keys, sizes` are what the generation below carries up: the token above and
-- the size, once for each child. sumMap adds both; the mark tells nodes of this
-- generation from keys that are not in it. A SQL function is pasted, so the
-- sum is bound to one name.
create or replace function subtree_sizes {{on_cluster}} as (tokens, own, keys, sizes) -> arrayMap(
    sums -> arrayFilter((size, mark) -> mark > 0, sums.2, sums.3),
    [arrayReduce('sumMap', [arrayConcat(keys, tokens)], [arrayConcat(sizes, own)], [arrayConcat(arrayResize(emptyArrayUInt64(), length(keys), toUInt64(0)), arrayResize(emptyArrayUInt64(), length(tokens), toUInt64(1)))])])[1];
