-- change has what webhooks have not told yet. Whoever changes something of an owner adds a row
-- while the owner is locked, so that the ids of one owner are in the order of its changes. Rows
-- are numbered (seq) later, when they can be seen.
CREATE TABLE {s}.change (
	id      bigint GENERATED ALWAYS AS IDENTITY,
	seq     bigint UNIQUE,
	line    text NOT NULL,   -- a store.Change without IDs
	file    bigint NOT NULL, -- the ID of a published file, or 0
	version bigint NOT NULL  -- the ID of its version, or of the draft that was published, or 0
);
CREATE INDEX change_new ON {s}.change (id) WHERE seq IS NULL;

-- following is whether changes are kept, and how far they were told. It has one row.
CREATE TABLE {s}.following (
	one       boolean PRIMARY KEY DEFAULT true CHECK (one),
	recording boolean NOT NULL DEFAULT false,
	last      bigint NOT NULL DEFAULT 0, -- the number that was given out last
	claim     text,                      -- of the process that may change the bookmarks
	bookmarks text NOT NULL DEFAULT '{}'
) WITH (fillfactor = 50);
INSERT INTO {s}.following DEFAULT VALUES;

-- told keeps a change, if it was made and if changes are kept, and returns its outcome. Who calls
-- it has locked the owner.
CREATE FUNCTION {s}.told_5(p_outcome text, p_made boolean, p_line text, p_file bigint, p_version bigint) RETURNS text
LANGUAGE plpgsql AS $$
BEGIN
	IF p_outcome = 'done' AND p_made AND EXISTS (SELECT FROM {s}.following WHERE recording) THEN
		INSERT INTO {s}.change (line, file, version) VALUES (p_line, COALESCE(p_file, 0),
			COALESCE(p_version, (SELECT version_id FROM {s}.file WHERE id = p_file), 0));
	END IF;
	RETURN p_outcome;
END $$;

-- number numbers the changes that can be seen and have no number, and returns the last number.
-- NULL when there are more of them than one call numbers. A change that is committed later gets
-- a later number, whatever its id. Of one owner whoever sees a change sees all before it.
CREATE FUNCTION {s}.number_5(p_limit integer) RETURNS bigint
LANGUAGE plpgsql AS $$
DECLARE
	v_last bigint;
	v_count bigint;
BEGIN
	SELECT last INTO v_last FROM {s}.following;
	IF NOT EXISTS (SELECT FROM {s}.change WHERE seq IS NULL) THEN
		RETURN v_last;
	END IF;
	SELECT last INTO v_last FROM {s}.following FOR UPDATE;
	-- What was committed until the lock was taken is seen by this statement.
	WITH new AS (
		SELECT id, row_number() OVER (ORDER BY id) AS n FROM (SELECT id FROM {s}.change WHERE seq IS NULL ORDER BY id LIMIT p_limit) t
	)
	UPDATE {s}.change c SET seq = v_last + new.n FROM new WHERE c.id = new.id;
	GET DIAGNOSTICS v_count = ROW_COUNT;
	UPDATE {s}.following SET last = v_last + v_count WHERE v_count > 0;
	RETURN CASE WHEN v_count < p_limit THEN v_last + v_count END;
END $$;

-- hold has changes be kept, and deletes those up to a number. With NULL none are kept. It tells
-- whether the claim is still that of the caller; otherwise it does nothing.
CREATE FUNCTION {s}.hold_5(p_claim text, p_after bigint) RETURNS boolean
LANGUAGE plpgsql AS $$
BEGIN
	PERFORM 1 FROM {s}.following WHERE claim = p_claim FOR UPDATE;
	IF NOT FOUND THEN
		RETURN false;
	END IF;
	UPDATE {s}.following SET recording = (p_after IS NOT NULL) WHERE recording <> (p_after IS NOT NULL);
	DELETE FROM {s}.change WHERE p_after IS NULL OR seq <= p_after;
	RETURN true;
END $$;
