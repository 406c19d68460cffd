-- Of each subject of the workspace that is set: the newest reading, and the days of the longest window that counts.
update subjects set observed_at = lines.observed_at, longest = lines.longest
from (
  select e.subject_id, max(e.observed_at) as observed_at,
    greatest(max(e.days) filter (where s.counted and s.kind = 'period'), 1) as longest
  from entries e join series s using (workspace_id, series_id) group by e.subject_id
) lines
where subjects.subject_id = lines.subject_id
  and (subjects.observed_at, subjects.longest) is distinct from (lines.observed_at, lines.longest);

-- Days whose beginning cuts a line that stands: the local midnight lies strictly inside it, or it is the edge of the
-- ledger's months at which a piece of it goes on (flag 2). Openings (1) and short windows (32) are never cut. A midnight
-- that comes twice is the first of the two, as the service has it. Bits are the places of metrics in the dictionary.
update subject_days d set carried = begun.mask
from (
  select l.subject_id, z.zone, l.currency, l.paid, begins.day, bit_or(l.mask) as mask
  from (
    select e.subject_id, s.currency, s.paid, e.valid_from, e.valid_to, e.flags,
      case when sum(e.sign) filter (where e.impressions is not null) > 0 then 1::bigint else 0 end
      | case when sum(e.sign) filter (where e.views is not null) > 0 then 2::bigint else 0 end
      | case when sum(e.sign) filter (where e.clicks_all is not null) > 0 then 8::bigint else 0 end
      | case when sum(e.sign) filter (where e.clicks_link is not null) > 0 then 16::bigint else 0 end
      | case when sum(e.sign) filter (where e.likes is not null) > 0 then 32::bigint else 0 end
      | case when sum(e.sign) filter (where e.comments is not null) > 0 then 64::bigint else 0 end
      | case when sum(e.sign) filter (where e.shares is not null) > 0 then 128::bigint else 0 end
      | case when sum(e.sign) filter (where e.saves is not null) > 0 then 256::bigint else 0 end
      | case when sum(e.sign) filter (where e.engagements_platform is not null) > 0 then 512::bigint else 0 end
      | case when sum(e.sign) filter (where e.video_views_3s is not null) > 0 then 1024::bigint else 0 end
      | case when sum(e.sign) filter (where e.video_completions is not null) > 0 then 2048::bigint else 0 end
      | case when sum(e.sign) filter (where e.watch_time is not null) > 0 then 4096::bigint else 0 end
      | case when sum(e.sign) filter (where e.profile_views is not null) > 0 then 8192::bigint else 0 end
      | case when sum(e.sign) filter (where e.followers_gained is not null) > 0 then 32768::bigint else 0 end
      | case when sum(e.sign) filter (where e.followers_lost is not null) > 0 then 65536::bigint else 0 end
      | case when sum(e.sign) filter (where e.sessions is not null) > 0 then 131072::bigint else 0 end
      | case when sum(e.sign) filter (where e.conversions is not null) > 0 then 262144::bigint else 0 end
      | case when sum(e.sign) filter (where e.conversion_value is not null) > 0 then 524288::bigint else 0 end
      | case when sum(e.sign) filter (where e.orders is not null) > 0 then 1048576::bigint else 0 end
      | case when sum(e.sign) filter (where e.refunds is not null) > 0 then 2097152::bigint else 0 end
      | case when sum(e.sign) filter (where e.spend_media is not null) > 0 then 4194304::bigint else 0 end
      | case when sum(e.sign) filter (where e.fee_creator is not null) > 0 then 8388608::bigint else 0 end
      | case when sum(e.sign) filter (where e.cost_production is not null) > 0 then 16777216::bigint else 0 end
      | case when sum(e.sign) filter (where e.conversions_platform is not null) > 0 then 33554432::bigint else 0 end
      | case when sum(e.sign) filter (where e.conversion_value_platform is not null) > 0 then 67108864::bigint else 0 end as mask
    from entries e join series s using (workspace_id, series_id)
    where s.counted and s.kind in ('lifetime', 'period', 'event') and e.day is null and e.flags & 33 = 0
      and e.valid_to > e.valid_from
    group by e.subject_id, e.series_id, s.currency, s.paid, e.valid_from, e.valid_to, e.flags, e.observed_at,
      e.delivery_id, e.received_at
  ) l
  join (
    select distinct m.subject_id, c.zone
    from (
      select campaign_id, subject_id from memberships group by campaign_id, subject_id having sum(sign) > 0
    ) m join campaigns c using (campaign_id)
  ) z using (subject_id)
  cross join lateral (
    select days.at::date as day, days.at at time zone z.zone as later
    from generate_series(
      (l.valid_from at time zone z.zone)::date::timestamp, l.valid_to at time zone z.zone, interval '1 day'
    ) as days (at)
  ) local
  cross join lateral (
    select local.day, case when (local.later - interval '1 hour') at time zone z.zone = local.day::timestamp
      then local.later - interval '1 hour' else local.later end as at
  ) begins
  where l.mask <> 0
    and ((begins.at > l.valid_from and begins.at < l.valid_to) or (l.flags & 2 <> 0 and begins.at = l.valid_from))
  group by l.subject_id, z.zone, l.currency, l.paid, begins.day
) begun
where d.subject_id = begun.subject_id and d.day = begun.day and d.zone = begun.zone and d.basis = 0 and d.days = 1
  and d.currency = begun.currency and d.paid = begun.paid;
