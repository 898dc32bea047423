-- What did private sharing sell?
-- One row is a source and channel: orders and their value in each currency.
-- What misleads: an order from the browser alone is not confirmed by the shop.
select
    source,
    if(channel = '', 'not known', channel) as app,
    currency,
    count() as orders,
    countIf(confirmed) as confirmed_orders,
    sum(value) as turnover
from passalong.conversions
where site in {sites:Array(String)} and day between {from:Date} and {to:Date}
group by source, app, currency
order by turnover desc, source, app, currency
