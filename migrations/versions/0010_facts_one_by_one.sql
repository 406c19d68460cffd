CREATE TABLE single_facts (
    workspace_id UUID NOT NULL,
    subject_id UUID NOT NULL,
    name TEXT NOT NULL,
    batch BIGINT NOT NULL,
    observed_at TIMESTAMP WITH TIME ZONE NOT NULL,
    value JSONB NOT NULL,
    CONSTRAINT pk_single_facts PRIMARY KEY (workspace_id, subject_id, name, batch)
);

INSERT INTO single_facts (workspace_id, subject_id, name, batch, observed_at, value)
SELECT f.workspace_id, f.subject_id, one.key, f.batch, (one.value ->> 0)::timestamptz, one.value -> 1
FROM subject_facts f CROSS JOIN LATERAL jsonb_each(f.facts) AS one;

DROP TABLE subject_facts;

ALTER TABLE single_facts RENAME TO subject_facts;

ALTER TABLE subject_facts RENAME CONSTRAINT pk_single_facts TO pk_subject_facts;

COMMENT ON TABLE subject_facts IS 'append-only: a fact that became the newest of its name, dated by posting';

COMMENT ON COLUMN subject_facts.batch IS 'key of the posting, known before its number';
