-- What was booked as a plain event stands on one subject, and its visit is not known: the first version says so. Its
-- delivery, read again, says more at the same instant, and is believed. Names of orders were hashed with their kind, so
-- that refunds find no order until their deliveries are read again.
with lines as (
  select e.event_key, e.subject_id, e.series_id, e.valid_from, e.observed_at, e.delivery_id, e.received_at, e.batch,
    e.cause, e.orders, e.refunds, e.conversions, e.conversion_value
  from entries e join events v using (workspace_id, event_key)
  where e.sign = 1 and e.subject_id = v.subject_id and e.valid_from = v.at
    and (e.orders is not null or e.refunds is not null or e.conversions is not null)
), standing as (
  select distinct on (l.event_key) l.* from lines l join postings p using (batch)
  order by l.event_key, p.posting desc
), versions as (
  insert into conversions (workspace_id, event_key, version, sign, batch, cause, source_id, kind, at, observed_at,
    subject_id, basis, rule, series_id, currency, goal, value, cancelled, promo_code, utm_campaign,
    delivery_id, received_at)
  select v.workspace_id, v.event_key, 1, 1, l.batch, l.cause, s.source_id,
    case when l.refunds is not null then 'refund' when l.orders is not null then 'order' else 'conversion' end,
    v.at, v.observed_at, v.subject_id, made.basis, made.basis, v.series_id, s.currency, s.goal,
    case when l.refunds is not null then -l.conversion_value else l.conversion_value end, false,
    case made.basis when 'promo_code' then made.value end, case made.basis when 'utm_campaign' then made.value end,
    l.delivery_id, l.received_at
  from events v join standing l using (event_key)
  join series s on s.workspace_id = v.workspace_id and s.series_id = v.series_id
  join subjects u on u.workspace_id = v.workspace_id and u.subject_id = v.subject_id
  cross join lateral (
    select case when u.external_id = 'unattributed' then 'none' when u.external_id like 'promo_code:%' then 'promo_code'
      when u.external_id like 'utm_campaign:%' then 'utm_campaign' else 'subject' end as basis,
      substr(u.external_id, strpos(u.external_id, ':') + 1) as value
  ) made
  returning event_key, version, workspace_id, at
)
insert into credits (workspace_id, event_key, version, place, batch, subject_id, at, observed_at, delivery_id,
  received_at, orders, refunds, conversions, conversion_value)
select v.workspace_id, v.event_key, v.version, 0, l.batch, l.subject_id, v.at, l.observed_at, l.delivery_id,
  l.received_at, l.orders, l.refunds, l.conversions, l.conversion_value
from versions v join standing l using (event_key);

delete from events where event_key in (select event_key from conversions);
