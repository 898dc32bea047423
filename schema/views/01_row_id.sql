-- row_id(batch, row): names a stored event for good. `batch` begins with the
-- id of the spool that numbered `row`.
create or replace function row_id {{on_cluster}} as (batch, number) -> concat(splitByChar('.', toString(batch))[1], '.', toString(number));
