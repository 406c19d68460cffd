CREATE TABLE folded_facts (
    workspace_id UUID NOT NULL,
    subject_id UUID NOT NULL,
    batch BIGINT NOT NULL,
    facts JSONB NOT NULL,
    CONSTRAINT pk_folded_facts PRIMARY KEY (workspace_id, subject_id, batch)
);

INSERT INTO folded_facts (workspace_id, subject_id, batch, facts)
SELECT workspace_id, subject_id, batch, jsonb_object_agg(
    name, jsonb_build_array(to_char(observed_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"+00:00"'), value))
FROM subject_facts
GROUP BY workspace_id, subject_id, batch;

DROP TABLE subject_facts;

ALTER TABLE folded_facts RENAME TO subject_facts;

ALTER TABLE subject_facts RENAME CONSTRAINT pk_folded_facts TO pk_subject_facts;

COMMENT ON TABLE subject_facts IS 'append-only: name to [observed_at, value] of the facts that became the newest, dated by posting';

COMMENT ON COLUMN subject_facts.batch IS 'key of the posting, known before its number';
