-- turn has which process goes on with an upload in several requests, where it is another one
-- than began it, or than did before: each takes a later turn.
CREATE TABLE {s}.turn (
	upload text COLLATE "C" PRIMARY KEY,
	turn   bigint NOT NULL,
	until  timestamptz NOT NULL -- nobody asks for the upload any more
) WITH (fillfactor = 50);

-- Bytes that are deleted stay condemned for a while: a process that was stopped may be about to
-- name them.
ALTER TABLE {s}.condemned ADD COLUMN buried timestamptz;
CREATE INDEX condemned_due ON {s}.condemned (locator) WHERE buried IS NULL;
CREATE INDEX condemned_buried ON {s}.condemned (buried) WHERE buried IS NOT NULL;

-- give_up condemns bytes unless they are a blob's, and tells whether they were not. The lock is
-- that of who publishes them.
CREATE FUNCTION {s}.give_up_3(p_owner text, p_locator text) RETURNS boolean
LANGUAGE plpgsql AS $$
BEGIN
	INSERT INTO {s}.owner (key, name) VALUES (p_owner, p_owner) ON CONFLICT (key) DO NOTHING;
	PERFORM 1 FROM {s}.owner WHERE key = p_owner FOR UPDATE;
	IF EXISTS (SELECT FROM {s}.blob WHERE locator = p_locator) THEN
		RETURN false;
	END IF;
	PERFORM {s}.condemn_1(p_locator);
	RETURN true;
END $$;
