CREATE TABLE balances (
    workspace_id UUID NOT NULL,
    subject_id UUID NOT NULL,
    series_id BIGINT NOT NULL,
    at TIMESTAMP WITH TIME ZONE NOT NULL,
    earlier JSONB,
    impressions BIGINT,
    views BIGINT,
    reach BIGINT,
    clicks_all BIGINT,
    clicks_link BIGINT,
    likes BIGINT,
    comments BIGINT,
    shares BIGINT,
    saves BIGINT,
    engagements_platform BIGINT,
    video_views_3s BIGINT,
    video_completions BIGINT,
    watch_time BIGINT,
    profile_views BIGINT,
    followers BIGINT,
    followers_gained BIGINT,
    followers_lost BIGINT,
    sessions BIGINT,
    conversions BIGINT,
    conversion_value BIGINT,
    orders BIGINT,
    refunds BIGINT,
    spend_media BIGINT,
    fee_creator BIGINT,
    cost_production BIGINT,
    CONSTRAINT pk_balances PRIMARY KEY (workspace_id, subject_id, series_id)
);

COMMENT ON TABLE balances IS 'the newest value of lifetime and level series, per metric';

COMMENT ON COLUMN balances.earlier IS 'metric to instant, for metrics last reported before at';

CREATE TABLE books (
    workspace_id UUID NOT NULL,
    posting BIGINT NOT NULL,
    recorded_at TIMESTAMP WITH TIME ZONE NOT NULL,
    CONSTRAINT pk_books PRIMARY KEY (workspace_id)
);

COMMENT ON COLUMN books.posting IS 'the number of the newest posting';

CREATE TABLE campaign_days (
    workspace_id UUID NOT NULL,
    campaign_id UUID NOT NULL,
    platform TEXT NOT NULL,
    day DATE NOT NULL,
    zone TEXT DEFAULT '' NOT NULL,
    basis SMALLINT NOT NULL,
    days SMALLINT NOT NULL,
    currency TEXT DEFAULT '' NOT NULL,
    paid SMALLINT NOT NULL,
    impressions BIGINT,
    views BIGINT,
    clicks_all BIGINT,
    clicks_link BIGINT,
    likes BIGINT,
    comments BIGINT,
    shares BIGINT,
    saves BIGINT,
    engagements_platform BIGINT,
    video_views_3s BIGINT,
    video_completions BIGINT,
    watch_time BIGINT,
    profile_views BIGINT,
    followers_gained BIGINT,
    followers_lost BIGINT,
    sessions BIGINT,
    conversions BIGINT,
    conversion_value BIGINT,
    orders BIGINT,
    refunds BIGINT,
    spend_media BIGINT,
    fee_creator BIGINT,
    cost_production BIGINT,
    CONSTRAINT pk_campaign_days PRIMARY KEY (workspace_id, campaign_id, platform, day, zone, basis, days, currency, paid)
)
 PARTITION BY RANGE (day);

COMMENT ON COLUMN campaign_days.day IS '-infinity: openings';

COMMENT ON COLUMN campaign_days.basis IS '0 cut to the zone, 1 a source''s own days';

CREATE TABLE confirmations (
    workspace_id UUID NOT NULL,
    subject_id UUID NOT NULL,
    valid_from TIMESTAMP WITH TIME ZONE NOT NULL,
    valid_to TIMESTAMP WITH TIME ZONE NOT NULL,
    series_id BIGINT NOT NULL,
    mask BIGINT NOT NULL,
    confirmed_at TIMESTAMP WITH TIME ZONE NOT NULL,
    CONSTRAINT pk_confirmations PRIMARY KEY (workspace_id, subject_id, valid_from, valid_to, series_id, mask)
)
 PARTITION BY RANGE (valid_from);

COMMENT ON COLUMN confirmations.mask IS 'bit n: the n-th stored metric was confirmed';

CREATE TABLE deliveries (
    workspace_id UUID NOT NULL,
    received_at TIMESTAMP WITH TIME ZONE NOT NULL,
    delivery_id UUID NOT NULL,
    source_id UUID NOT NULL,
    channel TEXT NOT NULL,
    connector TEXT NOT NULL,
    options JSONB DEFAULT '{}'::jsonb NOT NULL,
    headers JSONB DEFAULT '{}'::jsonb NOT NULL,
    request JSONB DEFAULT '{}'::jsonb NOT NULL,
    body BYTEA NOT NULL,
    body_hash BYTEA NOT NULL,
    conflict_of UUID,
    CONSTRAINT pk_deliveries PRIMARY KEY (workspace_id, received_at, delivery_id)
)
 PARTITION BY RANGE (received_at);

COMMENT ON COLUMN deliveries.conflict_of IS 'the earlier delivery with this key and another body';

CREATE TABLE delivery_keys (
    workspace_id UUID NOT NULL,
    source_id UUID NOT NULL,
    key_hash BYTEA NOT NULL,
    delivery_id UUID NOT NULL,
    body_hash BYTEA NOT NULL,
    received_at TIMESTAMP WITH TIME ZONE NOT NULL,
    CONSTRAINT pk_delivery_keys PRIMARY KEY (workspace_id, source_id, key_hash)
);

COMMENT ON TABLE delivery_keys IS 'the ledger of what was received, unpartitioned: a retry on another day meets its first copy here';

CREATE TABLE delivery_outcomes (
    workspace_id UUID NOT NULL,
    received_at TIMESTAMP WITH TIME ZONE NOT NULL,
    delivery_id UUID NOT NULL,
    turn INTEGER NOT NULL,
    source_id UUID NOT NULL,
    outcome TEXT NOT NULL,
    connector_version TEXT NOT NULL,
    posting BIGINT,
    items INTEGER NOT NULL,
    entries INTEGER NOT NULL,
    drops JSONB DEFAULT '[]'::jsonb NOT NULL,
    attempts INTEGER NOT NULL,
    error TEXT DEFAULT '' NOT NULL,
    finished_at TIMESTAMP WITH TIME ZONE NOT NULL,
    CONSTRAINT pk_delivery_outcomes PRIMARY KEY (workspace_id, received_at, delivery_id, turn)
)
 PARTITION BY RANGE (received_at);

COMMENT ON COLUMN delivery_outcomes.turn IS '1 for the first outcome, one more per replay';

CREATE TABLE delivery_queue (
    workspace_id UUID NOT NULL,
    source_id UUID NOT NULL,
    delivery_id UUID NOT NULL,
    received_at TIMESTAMP WITH TIME ZONE NOT NULL,
    ready_at TIMESTAMP WITH TIME ZONE NOT NULL,
    attempt INTEGER DEFAULT 0 NOT NULL,
    lease_until TIMESTAMP WITH TIME ZONE,
    error TEXT DEFAULT '' NOT NULL,
    CONSTRAINT pk_delivery_queue PRIMARY KEY (workspace_id, source_id, delivery_id)
);

COMMENT ON TABLE delivery_queue IS 'what is not posted yet; a row is deleted by the transaction that finishes it';

COMMENT ON COLUMN delivery_queue.attempt IS 'fences the claim';

CREATE TABLE entries (
    workspace_id UUID NOT NULL,
    subject_id UUID NOT NULL,
    valid_from TIMESTAMP WITH TIME ZONE NOT NULL,
    valid_to TIMESTAMP WITH TIME ZONE NOT NULL,
    series_id BIGINT NOT NULL,
    batch BIGINT NOT NULL,
    line INTEGER NOT NULL,
    sign SMALLINT NOT NULL,
    cause SMALLINT NOT NULL,
    flags SMALLINT NOT NULL,
    observed_at TIMESTAMP WITH TIME ZONE NOT NULL,
    delivery_id UUID NOT NULL,
    received_at TIMESTAMP WITH TIME ZONE NOT NULL,
    day DATE,
    days SMALLINT NOT NULL,
    event_key BYTEA,
    impressions BIGINT,
    views BIGINT,
    reach BIGINT,
    clicks_all BIGINT,
    clicks_link BIGINT,
    likes BIGINT,
    comments BIGINT,
    shares BIGINT,
    saves BIGINT,
    engagements_platform BIGINT,
    video_views_3s BIGINT,
    video_completions BIGINT,
    watch_time BIGINT,
    profile_views BIGINT,
    followers BIGINT,
    followers_gained BIGINT,
    followers_lost BIGINT,
    sessions BIGINT,
    conversions BIGINT,
    conversion_value BIGINT,
    orders BIGINT,
    refunds BIGINT,
    spend_media BIGINT,
    fee_creator BIGINT,
    cost_production BIGINT,
    CONSTRAINT pk_entries PRIMARY KEY (workspace_id, subject_id, valid_from, batch, line)
)
 PARTITION BY RANGE (valid_from);

COMMENT ON COLUMN entries.batch IS 'key of the posting, known before its number';

COMMENT ON COLUMN entries.sign IS '1 as read, -1 takes an earlier line back';

COMMENT ON COLUMN entries.flags IS 'bits of service.ledger.series.Flag';

COMMENT ON COLUMN entries.day IS 'first source day of a window of whole days';

CREATE TABLE events (
    workspace_id UUID NOT NULL,
    event_key BYTEA NOT NULL,
    subject_id UUID NOT NULL,
    series_id BIGINT NOT NULL,
    at TIMESTAMP WITH TIME ZONE NOT NULL,
    observed_at TIMESTAMP WITH TIME ZONE NOT NULL,
    metrics JSONB DEFAULT '{}'::jsonb NOT NULL,
    CONSTRAINT pk_events PRIMARY KEY (workspace_id, event_key)
);

COMMENT ON TABLE events IS 'the newest reading of each event: the balance of event series';

COMMENT ON COLUMN events.event_key IS 'hash of source, kind and the sender''s id';

CREATE TABLE fetch_tasks (
    workspace_id UUID NOT NULL,
    source_id UUID NOT NULL,
    kind TEXT NOT NULL,
    slot TIMESTAMP WITH TIME ZONE NOT NULL,
    state TEXT NOT NULL,
    attempt INTEGER NOT NULL,
    lease_until TIMESTAMP WITH TIME ZONE NOT NULL,
    cursor JSONB DEFAULT '{}'::jsonb NOT NULL,
    pages INTEGER DEFAULT 0 NOT NULL,
    error TEXT DEFAULT '' NOT NULL,
    started_at TIMESTAMP WITH TIME ZONE NOT NULL,
    finished_at TIMESTAMP WITH TIME ZONE,
    CONSTRAINT pk_fetch_tasks PRIMARY KEY (workspace_id, source_id, kind, slot)
);

COMMENT ON TABLE fetch_tasks IS 'one row per source, kind and slot: the unique row decides which replica fetches';

CREATE TABLE key_routes (
    key_hash BYTEA NOT NULL,
    workspace_id UUID,
    key_id UUID NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL,
    CONSTRAINT pk_key_routes PRIMARY KEY (key_hash)
);

COMMENT ON TABLE key_routes IS 'control: from the hash of an API key to its workspace';

COMMENT ON COLUMN key_routes.workspace_id IS 'null: an instance key';

CREATE TABLE memberships (
    workspace_id UUID NOT NULL,
    campaign_id UUID NOT NULL,
    subject_id UUID NOT NULL,
    batch BIGINT NOT NULL,
    sign SMALLINT NOT NULL,
    version INTEGER NOT NULL,
    CONSTRAINT pk_memberships PRIMARY KEY (workspace_id, campaign_id, subject_id, batch)
);

CREATE INDEX ix_memberships_workspace_id_subject_id ON memberships (workspace_id, subject_id);

COMMENT ON COLUMN memberships.batch IS 'key of the posting, known before its number';

COMMENT ON COLUMN memberships.sign IS '1 joins, -1 leaves';

COMMENT ON COLUMN memberships.version IS 'of the campaign whose rules decided';

CREATE TABLE pending_work (
    workspace_id UUID NOT NULL,
    source_id UUID NOT NULL,
    ready_at TIMESTAMP WITH TIME ZONE NOT NULL,
    lease_until TIMESTAMP WITH TIME ZONE,
    term BIGINT DEFAULT 0 NOT NULL,
    CONSTRAINT pk_pending_work PRIMARY KEY (workspace_id, source_id)
);

COMMENT ON TABLE pending_work IS 'control: sources with deliveries to post; the lease makes one poster per source';

COMMENT ON COLUMN pending_work.term IS 'fences the lease';

CREATE TABLE postings (
    workspace_id UUID NOT NULL,
    posting BIGINT NOT NULL,
    posting_id UUID NOT NULL,
    batch BIGINT NOT NULL,
    recorded_at TIMESTAMP WITH TIME ZONE NOT NULL,
    cause TEXT NOT NULL,
    source_id UUID,
    deliveries INTEGER NOT NULL,
    entries INTEGER NOT NULL,
    CONSTRAINT pk_postings PRIMARY KEY (workspace_id, posting),
    CONSTRAINT uq_postings_workspace_id_posting_id UNIQUE (workspace_id, posting_id),
    CONSTRAINT uq_postings_workspace_id_batch UNIQUE (workspace_id, batch)
);

CREATE INDEX ix_postings_workspace_id_recorded_at ON postings (workspace_id, recorded_at);

COMMENT ON COLUMN postings.batch IS 'key of the posting, known before its number';

CREATE TABLE refresh_hints (
    workspace_id UUID NOT NULL,
    source_id UUID NOT NULL,
    external_id TEXT NOT NULL,
    type TEXT NOT NULL,
    hinted_at TIMESTAMP WITH TIME ZONE NOT NULL,
    CONSTRAINT pk_refresh_hints PRIMARY KEY (workspace_id, source_id, external_id)
);

COMMENT ON TABLE refresh_hints IS 'subjects to fetch soon; coalesced by subject, deleted when fetched';

CREATE TABLE series (
    workspace_id UUID NOT NULL,
    series_id BIGINT NOT NULL,
    source_id UUID NOT NULL,
    kind TEXT NOT NULL,
    scope TEXT DEFAULT '' NOT NULL,
    zone TEXT DEFAULT '' NOT NULL,
    currency TEXT DEFAULT '' NOT NULL,
    paid SMALLINT NOT NULL,
    goal TEXT DEFAULT '' NOT NULL,
    counted BOOLEAN NOT NULL,
    CONSTRAINT pk_series PRIMARY KEY (workspace_id, series_id)
);

COMMENT ON TABLE series IS 'with a subject and, for windows, a validity: one series of the ledger';

COMMENT ON COLUMN series.series_id IS 'hash of what follows';

COMMENT ON COLUMN series.paid IS '1 paid, 0 organic, -1 not said';

COMMENT ON COLUMN series.counted IS 'false: a check series, reconciled and never added';

CREATE TABLE subject_days (
    workspace_id UUID NOT NULL,
    subject_id UUID NOT NULL,
    day DATE NOT NULL,
    zone TEXT DEFAULT '' NOT NULL,
    basis SMALLINT NOT NULL,
    days SMALLINT NOT NULL,
    currency TEXT DEFAULT '' NOT NULL,
    paid SMALLINT NOT NULL,
    impressions BIGINT,
    views BIGINT,
    clicks_all BIGINT,
    clicks_link BIGINT,
    likes BIGINT,
    comments BIGINT,
    shares BIGINT,
    saves BIGINT,
    engagements_platform BIGINT,
    video_views_3s BIGINT,
    video_completions BIGINT,
    watch_time BIGINT,
    profile_views BIGINT,
    followers_gained BIGINT,
    followers_lost BIGINT,
    sessions BIGINT,
    conversions BIGINT,
    conversion_value BIGINT,
    orders BIGINT,
    refunds BIGINT,
    spend_media BIGINT,
    fee_creator BIGINT,
    cost_production BIGINT,
    CONSTRAINT pk_subject_days PRIMARY KEY (workspace_id, subject_id, day, zone, basis, days, currency, paid)
)
 PARTITION BY RANGE (day);

COMMENT ON COLUMN subject_days.day IS '-infinity: openings';

COMMENT ON COLUMN subject_days.basis IS '0 cut to the zone, 1 a source''s own days';

CREATE TABLE subject_facts (
    workspace_id UUID NOT NULL,
    subject_id UUID NOT NULL,
    name TEXT NOT NULL,
    batch BIGINT NOT NULL,
    observed_at TIMESTAMP WITH TIME ZONE NOT NULL,
    value JSONB NOT NULL,
    CONSTRAINT pk_subject_facts PRIMARY KEY (workspace_id, subject_id, name, batch)
);

COMMENT ON TABLE subject_facts IS 'append-only: a fact that became the newest of its name, dated by posting';

COMMENT ON COLUMN subject_facts.batch IS 'key of the posting, known before its number';

CREATE TABLE subjects (
    workspace_id UUID NOT NULL,
    subject_id UUID NOT NULL,
    platform TEXT NOT NULL,
    external_id TEXT NOT NULL,
    type TEXT NOT NULL,
    batch BIGINT NOT NULL,
    facts JSONB DEFAULT '{}'::jsonb NOT NULL,
    CONSTRAINT pk_subjects PRIMARY KEY (workspace_id, subject_id),
    CONSTRAINT uq_subjects_workspace_id_platform_external_id UNIQUE (workspace_id, platform, external_id)
);

COMMENT ON TABLE subjects IS 'facts is a cache: name to [observed_at, value], the newest of subject_facts';

COMMENT ON COLUMN subjects.batch IS 'key of the posting, known before its number';

CREATE TABLE tenants (
    workspace_id UUID NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL,
    CONSTRAINT pk_tenants PRIMARY KEY (workspace_id)
);

COMMENT ON TABLE tenants IS 'control: which workspaces exist, for sweeps';

CREATE TABLE webhook_routes (
    address_hash BYTEA NOT NULL,
    workspace_id UUID NOT NULL,
    source_id UUID NOT NULL,
    CONSTRAINT pk_webhook_routes PRIMARY KEY (address_hash)
);

COMMENT ON TABLE webhook_routes IS 'control: from the hash of a webhook address to its source';

CREATE TABLE workspaces (
    workspace_id UUID NOT NULL,
    name TEXT NOT NULL,
    zone TEXT NOT NULL,
    currency TEXT NOT NULL,
    data_key BYTEA NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL,
    CONSTRAINT pk_workspaces PRIMARY KEY (workspace_id)
);

COMMENT ON COLUMN workspaces.data_key IS 'the workspace''s data key, wrapped by the master key';

CREATE TABLE api_keys (
    workspace_id UUID NOT NULL,
    key_id UUID NOT NULL,
    name TEXT NOT NULL,
    prefix TEXT NOT NULL,
    key_hash BYTEA NOT NULL,
    scopes TEXT[] NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL,
    expires_at TIMESTAMP WITH TIME ZONE,
    revoked_at TIMESTAMP WITH TIME ZONE,
    CONSTRAINT pk_api_keys PRIMARY KEY (workspace_id, key_id),
    CONSTRAINT fk_api_keys_workspaces FOREIGN KEY(workspace_id) REFERENCES workspaces (workspace_id)
);

CREATE TABLE creators (
    workspace_id UUID NOT NULL,
    creator_id UUID NOT NULL,
    name TEXT NOT NULL,
    notes TEXT DEFAULT '' NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL,
    updated_at TIMESTAMP WITH TIME ZONE NOT NULL,
    CONSTRAINT pk_creators PRIMARY KEY (workspace_id, creator_id),
    CONSTRAINT fk_creators_workspaces FOREIGN KEY(workspace_id) REFERENCES workspaces (workspace_id)
);

CREATE TABLE sources (
    workspace_id UUID NOT NULL,
    source_id UUID NOT NULL,
    connector TEXT NOT NULL,
    platform TEXT NOT NULL,
    account TEXT DEFAULT '' NOT NULL,
    name TEXT NOT NULL,
    options JSONB DEFAULT '{}'::jsonb NOT NULL,
    credentials BYTEA,
    secrets BYTEA,
    address_hash BYTEA,
    counts BOOLEAN NOT NULL,
    tracks_from TIMESTAMP WITH TIME ZONE NOT NULL,
    state TEXT NOT NULL,
    state_detail TEXT DEFAULT '' NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL,
    updated_at TIMESTAMP WITH TIME ZONE NOT NULL,
    CONSTRAINT pk_sources PRIMARY KEY (workspace_id, source_id),
    CONSTRAINT fk_sources_workspaces FOREIGN KEY(workspace_id) REFERENCES workspaces (workspace_id)
);

COMMENT ON COLUMN sources.credentials IS 'sealed JSON object of names and values';

COMMENT ON COLUMN sources.secrets IS 'sealed JSON list: the ring of webhook keys';

COMMENT ON COLUMN sources.address_hash IS 'SHA-256 of the webhook address';

COMMENT ON COLUMN sources.counts IS 'false: another source is of record for this account';

CREATE TABLE strategies (
    workspace_id UUID NOT NULL,
    strategy_id UUID NOT NULL,
    name TEXT NOT NULL,
    description TEXT DEFAULT '' NOT NULL,
    objectives JSONB DEFAULT '[]'::jsonb NOT NULL,
    starts DATE,
    ends DATE,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL,
    updated_at TIMESTAMP WITH TIME ZONE NOT NULL,
    CONSTRAINT pk_strategies PRIMARY KEY (workspace_id, strategy_id),
    CONSTRAINT fk_strategies_workspaces FOREIGN KEY(workspace_id) REFERENCES workspaces (workspace_id)
);

CREATE TABLE campaigns (
    workspace_id UUID NOT NULL,
    campaign_id UUID NOT NULL,
    strategy_id UUID,
    name TEXT NOT NULL,
    zone TEXT NOT NULL,
    currency TEXT NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL,
    CONSTRAINT pk_campaigns PRIMARY KEY (workspace_id, campaign_id),
    CONSTRAINT fk_campaigns_workspaces FOREIGN KEY(workspace_id) REFERENCES workspaces (workspace_id),
    CONSTRAINT fk_campaigns_strategies FOREIGN KEY(workspace_id, strategy_id) REFERENCES strategies (workspace_id, strategy_id)
);

COMMENT ON TABLE campaigns IS 'what never changes of a campaign; the rest is dated by posting in campaign_versions';

CREATE TABLE creator_profiles (
    workspace_id UUID NOT NULL,
    platform TEXT NOT NULL,
    external_id TEXT NOT NULL,
    creator_id UUID NOT NULL,
    CONSTRAINT pk_creator_profiles PRIMARY KEY (workspace_id, platform, external_id),
    CONSTRAINT fk_creator_profiles_creators FOREIGN KEY(workspace_id, creator_id) REFERENCES creators (workspace_id, creator_id)
);

CREATE INDEX ix_creator_profiles_workspace_id_creator_id ON creator_profiles (workspace_id, creator_id);

COMMENT ON TABLE creator_profiles IS 'which profiles are one person; a profile belongs to one creator';

CREATE TABLE campaign_versions (
    workspace_id UUID NOT NULL,
    campaign_id UUID NOT NULL,
    version INTEGER NOT NULL,
    batch BIGINT NOT NULL,
    name TEXT NOT NULL,
    kind TEXT NOT NULL,
    starts DATE NOT NULL,
    ends DATE NOT NULL,
    budget BIGINT,
    margin INTEGER,
    goals JSONB DEFAULT '[]'::jsonb NOT NULL,
    tactics TEXT[] DEFAULT '{}' NOT NULL,
    rules JSONB DEFAULT '[]'::jsonb NOT NULL,
    archived BOOLEAN DEFAULT false NOT NULL,
    CONSTRAINT pk_campaign_versions PRIMARY KEY (workspace_id, campaign_id, version),
    CONSTRAINT fk_campaign_versions_campaigns FOREIGN KEY(workspace_id, campaign_id) REFERENCES campaigns (workspace_id, campaign_id)
);

COMMENT ON COLUMN campaign_versions.batch IS 'key of the posting, known before its number';

COMMENT ON COLUMN campaign_versions.budget IS 'millionths of the campaign''s currency';

COMMENT ON COLUMN campaign_versions.margin IS 'millionths; null where it is not known';
