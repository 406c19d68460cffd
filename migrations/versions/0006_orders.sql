alter table campaign_versions add column click_days smallint;

comment on column campaign_versions.click_days is 'how long a click may lead to a conversion; null: the default';

alter table campaign_versions add column view_days smallint;

comment on column campaign_versions.view_days is 'how long a view may; null: the default';

CREATE TABLE touchpoints (
    workspace_id UUID NOT NULL,
    event_key BYTEA NOT NULL,
    version INTEGER NOT NULL,
    sign SMALLINT NOT NULL,
    batch BIGINT NOT NULL,
    source_id UUID NOT NULL,
    kind TEXT NOT NULL,
    at TIMESTAMP WITH TIME ZONE NOT NULL,
    observed_at TIMESTAMP WITH TIME ZONE NOT NULL,
    subject_id UUID NOT NULL,
    customer BYTEA,
    click BYTEA,
    click_name TEXT,
    promo_code TEXT,
    utm_campaign TEXT,
    utm_source TEXT,
    utm_medium TEXT,
    utm_content TEXT,
    platform_campaign TEXT,
    delivery_id UUID NOT NULL,
    received_at TIMESTAMP WITH TIME ZONE NOT NULL,
    CONSTRAINT pk_touchpoints PRIMARY KEY (workspace_id, event_key, version, sign)
);

CREATE INDEX ix_touchpoints_click ON touchpoints (workspace_id, click, at) WHERE click is not null;

CREATE INDEX ix_touchpoints_subject_id ON touchpoints (workspace_id, subject_id);

CREATE INDEX ix_touchpoints_workspace_id_customer_at ON touchpoints (workspace_id, customer, at) WHERE customer is not null;

COMMENT ON TABLE touchpoints IS 'append-only: clicks and views that name somebody; persons are keyed hashes';

COMMENT ON COLUMN touchpoints.event_key IS 'hash of source, kind and the sender''s id';

COMMENT ON COLUMN touchpoints.version IS '1 for the first; the greatest stands';

COMMENT ON COLUMN touchpoints.sign IS '1 stands, -1 takes the version back';

COMMENT ON COLUMN touchpoints.batch IS 'key of the posting, known before its number';

COMMENT ON COLUMN touchpoints.customer IS 'keyed hash of what names a person to the sender';

COMMENT ON COLUMN touchpoints.click IS 'keyed hash of the click id';

CREATE TABLE conversions (
    workspace_id UUID NOT NULL,
    event_key BYTEA NOT NULL,
    version INTEGER NOT NULL,
    sign SMALLINT NOT NULL,
    batch BIGINT NOT NULL,
    source_id UUID NOT NULL,
    kind TEXT NOT NULL,
    at TIMESTAMP WITH TIME ZONE NOT NULL,
    observed_at TIMESTAMP WITH TIME ZONE NOT NULL,
    subject_id UUID NOT NULL,
    cause SMALLINT NOT NULL,
    basis TEXT NOT NULL,
    rule TEXT NOT NULL,
    sale BYTEA,
    series_id BIGINT NOT NULL,
    currency TEXT DEFAULT '' NOT NULL,
    goal TEXT DEFAULT '' NOT NULL,
    value BIGINT,
    first_order BOOLEAN,
    cancelled BOOLEAN DEFAULT false NOT NULL,
    customer BYTEA,
    click BYTEA,
    click_name TEXT,
    promo_code TEXT,
    utm_campaign TEXT,
    utm_source TEXT,
    utm_medium TEXT,
    utm_content TEXT,
    platform_campaign TEXT,
    delivery_id UUID NOT NULL,
    received_at TIMESTAMP WITH TIME ZONE NOT NULL,
    CONSTRAINT pk_conversions PRIMARY KEY (workspace_id, event_key, version, sign)
);

CREATE INDEX ix_conversions_click ON conversions (workspace_id, click, at) WHERE click is not null;

CREATE INDEX ix_conversions_sale ON conversions (workspace_id, sale) WHERE sale is not null;

CREATE INDEX ix_conversions_workspace_id_customer_at ON conversions (workspace_id, customer, at) WHERE customer is not null;

COMMENT ON TABLE conversions IS 'append-only: conversions, orders and refunds, each version with the rule that credits it';

COMMENT ON COLUMN conversions.event_key IS 'hash of source, kind and the sender''s id';

COMMENT ON COLUMN conversions.version IS '1 for the first; the greatest stands';

COMMENT ON COLUMN conversions.sign IS '1 stands, -1 takes the version back';

COMMENT ON COLUMN conversions.batch IS 'key of the posting, known before its number';

COMMENT ON COLUMN conversions.sale IS 'what an order and its refunds have in common';

COMMENT ON COLUMN conversions.value IS 'millionths of the currency; of a refund above zero';

COMMENT ON COLUMN conversions.customer IS 'keyed hash of what names a person to the sender';

COMMENT ON COLUMN conversions.click IS 'keyed hash of the click id';

CREATE TABLE credits (
    workspace_id UUID NOT NULL,
    event_key BYTEA NOT NULL,
    version INTEGER NOT NULL,
    place SMALLINT NOT NULL,
    batch BIGINT NOT NULL,
    subject_id UUID NOT NULL,
    at TIMESTAMP WITH TIME ZONE NOT NULL,
    touch BYTEA,
    observed_at TIMESTAMP WITH TIME ZONE NOT NULL,
    delivery_id UUID NOT NULL,
    received_at TIMESTAMP WITH TIME ZONE NOT NULL,
    orders BIGINT,
    refunds BIGINT,
    conversions BIGINT,
    conversion_value BIGINT,
    CONSTRAINT pk_credits PRIMARY KEY (workspace_id, event_key, version, place)
);

CREATE INDEX ix_credits_workspace_id_subject_id_at ON credits (workspace_id, subject_id, at);

COMMENT ON TABLE credits IS 'append-only: what each subject gets of a version of a conversion, as its line books it';

COMMENT ON COLUMN credits.batch IS 'key of the posting, known before its number';

COMMENT ON COLUMN credits.touch IS 'event_key of the touch that led here';
