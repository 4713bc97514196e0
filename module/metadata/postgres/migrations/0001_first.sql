-- The tables of a registry. {s} is the schema. Names are folded by store.Fold and compared
-- byte by byte (COLLATE "C"). Times are nanoseconds since 1970.

-- store is the registry as a whole.
CREATE TABLE {s}.store (
	one    boolean PRIMARY KEY DEFAULT true CHECK (one),
	id     text NOT NULL,
	blobs  text,             -- the ID of the blob store that belongs to it
	schema integer NOT NULL, -- the number of the last migration
	least  integer NOT NULL, -- the least number that a release must know to work with it
	scrub  text
);

-- node has the ticket of the last transaction of each process: whether a commit of which
-- nobody heard the end was made is told by it.
CREATE TABLE {s}.node (
	id     text COLLATE "C" PRIMARY KEY,
	ticket text NOT NULL,
	seen   timestamptz NOT NULL
) WITH (fillfactor = 50);

-- ids are those of packages, versions and files.
CREATE SEQUENCE {s}.ids;

-- owner is what is locked first by whoever changes anything of an owner. Its rows are never
-- deleted. The sums of drafts are apart from those of what is published.
CREATE TABLE {s}.owner (
	id             bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	key            text COLLATE "C" NOT NULL UNIQUE,
	name           text NOT NULL,
	packages       bigint NOT NULL DEFAULT 0, -- that have something published
	versions       bigint NOT NULL DEFAULT 0,
	files          bigint NOT NULL DEFAULT 0,
	bytes          bigint NOT NULL DEFAULT 0,
	draft_versions bigint NOT NULL DEFAULT 0,
	draft_files    bigint NOT NULL DEFAULT 0,
	draft_bytes    bigint NOT NULL DEFAULT 0,
	changes        bigint NOT NULL DEFAULT 0  -- that were ever made
) WITH (fillfactor = 50);

CREATE TABLE {s}.package (
	id             bigint PRIMARY KEY,
	owner_id       bigint NOT NULL,
	key            text COLLATE "C" NOT NULL,
	name           text NOT NULL,
	versions       bigint NOT NULL DEFAULT 0,
	files          bigint NOT NULL DEFAULT 0,
	bytes          bigint NOT NULL DEFAULT 0,
	draft_versions bigint NOT NULL DEFAULT 0,
	draft_files    bigint NOT NULL DEFAULT 0,
	draft_bytes    bigint NOT NULL DEFAULT 0,
	UNIQUE (owner_id, key)
) WITH (fillfactor = 70);

-- version has rows of packages that are deleted, until they are cleaned up: what is there
-- is found by its package.
CREATE TABLE {s}.version (
	id         bigint PRIMARY KEY,
	owner_id   bigint NOT NULL,
	package_id bigint NOT NULL,
	key        text COLLATE "C" NOT NULL,
	name       text NOT NULL,
	rank       bytea NOT NULL,
	creator    text NOT NULL,
	created    bigint NOT NULL,
	draft      boolean NOT NULL,
	released   bigint NOT NULL DEFAULT 0, -- files of lower ids have the time of the version
	files      bigint NOT NULL DEFAULT 0,
	bytes      bigint NOT NULL DEFAULT 0,
	downloads  bigint NOT NULL DEFAULT 0,
	downloaded bigint,
	UNIQUE (package_id, key)
) WITH (fillfactor = 80);
CREATE INDEX version_of_owner ON {s}.version (owner_id, created DESC, id DESC) WHERE NOT draft;
CREATE INDEX version_of_package ON {s}.version (package_id, created DESC, id DESC) WHERE NOT draft;
CREATE INDEX version_by_rank ON {s}.version (package_id, rank, created DESC, id DESC) WHERE NOT draft AND rank <> '';
CREATE INDEX version_draft ON {s}.version (created, id) WHERE draft;

-- file has rows of versions that are deleted, until they are cleaned up.
CREATE TABLE {s}.file (
	id         bigint PRIMARY KEY,
	version_id bigint NOT NULL,
	key        text COLLATE "C" NOT NULL,
	name       text NOT NULL,
	digest     bytea NOT NULL,
	size       bigint NOT NULL,
	creator    text NOT NULL,
	created    bigint NOT NULL,
	downloads  bigint NOT NULL DEFAULT 0,
	downloaded bigint,
	UNIQUE (version_id, key)
) WITH (fillfactor = 90);

CREATE TABLE {s}.blob (
	digest  bytea PRIMARY KEY,
	size    bigint NOT NULL,
	locator text COLLATE "C" NOT NULL UNIQUE,
	refs    bigint NOT NULL, -- rows of file
	hashes  bytea,
	damage  text NOT NULL DEFAULT '' -- what is known to be wrong with the bytes
) WITH (fillfactor = 80);

CREATE INDEX ON {s}.blob (digest) WHERE damage <> '';

CREATE TABLE {s}.condemned (
	locator text COLLATE "C" PRIMARY KEY
);

-- grave has the ids of deleted packages with versions left, and of deleted versions with
-- files left.
CREATE TABLE {s}.grave (
	id      bigint PRIMARY KEY,
	package boolean NOT NULL
);

CREATE TABLE {s}.token (
	id        text COLLATE "C" PRIMARY KEY,
	key       text COLLATE "C" NOT NULL UNIQUE,
	token     text NOT NULL,
	created   bigint NOT NULL,
	last_used bigint
);

-- locked locks what a transaction changes, in the one order: the process, the owners by
-- name, the blobs by digest. Nothing locks an owner after a blob, or a blob out of order.
-- The names are those of files that are deleted or replaced.
CREATE FUNCTION {s}.locked_1(p_node text, p_ticket text, p_made text[], p_owners text[], p_digests bytea[],
	p_file_owners text[], p_packages text[], p_versions text[], p_files text[]) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
	v_digests bytea[];
BEGIN
	-- A process that is gone without a word must not keep its locks for long: COMMIT follows
	-- at once. Who waits for its locks must not keep others waiting for theirs meanwhile. All
	-- tries of a transaction together wait for longer than the locks are kept.
	PERFORM set_config('idle_in_transaction_session_timeout', '5s', true), set_config('lock_timeout', '2s', true);
	UPDATE {s}.node SET ticket = p_ticket, seen = now() WHERE id = p_node;
	IF NOT FOUND THEN
		RAISE EXCEPTION 'the process is not known' USING ERRCODE = 'GR001';
	END IF;
	INSERT INTO {s}.owner (key, name) SELECT m, m FROM unnest(p_made) m
		WHERE NOT EXISTS (SELECT FROM {s}.owner o WHERE o.key = m) ORDER BY m COLLATE "C" ON CONFLICT (key) DO NOTHING;
	PERFORM 1 FROM {s}.owner WHERE key = ANY (p_owners) ORDER BY key FOR UPDATE;
	v_digests := p_digests;
	IF cardinality(p_files) > 0 THEN
		SELECT p_digests || COALESCE(array_agg(f.digest), '{}') INTO v_digests
		FROM unnest(p_file_owners, p_packages, p_versions, p_files) AS w (owner, package, version, file)
		JOIN {s}.owner o ON o.key = w.owner
		JOIN {s}.package p ON p.owner_id = o.id AND p.key = w.package
		JOIN {s}.version v ON v.package_id = p.id AND v.key = w.version
		JOIN {s}.file f ON f.version_id = v.id AND f.key = w.file;
	END IF;
	IF cardinality(v_digests) > 0 THEN
		PERFORM 1 FROM {s}.blob WHERE digest = ANY (v_digests) ORDER BY digest FOR UPDATE;
	END IF;
END $$;

CREATE FUNCTION {s}.condemn_1(p_locator text) RETURNS void
LANGUAGE sql AS $$
	INSERT INTO {s}.condemned (locator) VALUES (p_locator) ON CONFLICT DO NOTHING
$$;

-- refer adds references to a blob, whose bytes are those at a locator from then on. It
-- tells whether other bytes are condemned.
CREATE FUNCTION {s}.refer_1(p_digest bytea, p_size bigint, p_locator text, p_refs bigint) RETURNS boolean
LANGUAGE plpgsql AS $$
DECLARE
	v_old text;
BEGIN
	LOOP
		SELECT locator INTO v_old FROM {s}.blob WHERE digest = p_digest FOR UPDATE;
		IF FOUND THEN
			UPDATE {s}.blob SET locator = p_locator, size = p_size, refs = refs + p_refs,
				damage = CASE WHEN v_old = p_locator THEN damage ELSE '' END WHERE digest = p_digest;
			IF v_old = p_locator THEN
				RETURN false;
			END IF;
			PERFORM {s}.condemn_1(v_old);
			RETURN true;
		END IF;
		INSERT INTO {s}.blob (digest, size, locator, refs) VALUES (p_digest, p_size, p_locator, p_refs) ON CONFLICT (digest) DO NOTHING;
		IF FOUND THEN
			RETURN false;
		END IF;
	END LOOP;
END $$;

-- mark_damage keeps what is wrong with the bytes of a blob, unless something is known to be,
-- or that nothing is, and returns what was known before. NULL when the digest has other
-- bytes, or none.
CREATE FUNCTION {s}.mark_damage_1(p_digest bytea, p_locator text, p_damage text) RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
	v_was text;
BEGIN
	SELECT damage INTO v_was FROM {s}.blob WHERE digest = p_digest AND locator = p_locator;
	IF (v_was = '') <> (p_damage = '') THEN
		UPDATE {s}.blob SET damage = p_damage WHERE digest = p_digest;
	END IF;
	RETURN v_was;
END $$;

-- release takes references off a blob, and condemns its bytes when none is left.
CREATE FUNCTION {s}.release_1(p_digest bytea, p_refs bigint) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
	v_left bigint;
	v_locator text;
BEGIN
	UPDATE {s}.blob SET refs = refs - p_refs WHERE digest = p_digest RETURNING refs, locator INTO v_left, v_locator;
	IF v_left = 0 THEN
		DELETE FROM {s}.blob WHERE digest = p_digest;
		PERFORM {s}.condemn_1(v_locator);
	END IF;
END $$;

-- count adds to the sums of a version, its package and its owner.
CREATE FUNCTION {s}.count_1(p_owner bigint, p_package bigint, p_version bigint, p_draft boolean,
	p_versions bigint, p_files bigint, p_bytes bigint) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
	v_now bigint;
BEGIN
	IF p_version IS NOT NULL THEN
		UPDATE {s}.version SET files = files + p_files, bytes = bytes + p_bytes WHERE id = p_version;
	END IF;
	IF p_draft THEN
		UPDATE {s}.package SET draft_versions = draft_versions + p_versions, draft_files = draft_files + p_files, draft_bytes = draft_bytes + p_bytes
			WHERE id = p_package;
		UPDATE {s}.owner SET draft_versions = draft_versions + p_versions, draft_files = draft_files + p_files, draft_bytes = draft_bytes + p_bytes,
			changes = changes + 1 WHERE id = p_owner;
		RETURN;
	END IF;
	UPDATE {s}.package SET versions = versions + p_versions, files = files + p_files, bytes = bytes + p_bytes
		WHERE id = p_package RETURNING versions INTO v_now;
	UPDATE {s}.owner SET versions = versions + p_versions, files = files + p_files, bytes = bytes + p_bytes, changes = changes + 1,
		packages = packages + CASE WHEN p_versions > 0 AND v_now = p_versions THEN 1 WHEN p_versions < 0 AND v_now = 0 THEN -1 ELSE 0 END
		WHERE id = p_owner;
END $$;

-- publish decides about a file, as store.MetadataStore says. The outcome is done, late,
-- condemned, or why it is refused; then the bytes are condemned, unless they are a blob's, of
-- this digest or of another one.
CREATE FUNCTION {s}.publish_1(
	p_owner text, p_package text, p_version text, p_file text,
	p_owner_name text, p_package_name text, p_version_name text, p_file_name text,
	p_digest bytea, p_size bigint, p_locator text, p_stored bigint, p_within bigint, p_creator text, p_created bigint, p_rank bytea,
	p_draft boolean, p_same boolean, p_replace boolean, q_bytes bigint, q_versions bigint, q_files bigint, q_drafts bigint,
	p_current bigint, -- the ID that the file there must have, 0 for none; NULL for whatever there is
	OUT outcome text, OUT condemned boolean, OUT owner text, OUT package text, OUT version text, OUT file text,
	OUT id bigint, OUT creator text, OUT created bigint, OUT hashes bytea, OUT downloads bigint, OUT downloaded bigint)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
	o {s}.owner;
	p {s}.package;
	v {s}.version;
	f {s}.file;
	v_new boolean;
	v_of bytea;        -- the digest of the blob that has the bytes already
	v_is_blob boolean; -- it is this one
	v_bytes bigint;
	v_files bigint;
	v_versions bigint;
BEGIN
	condemned := false;
	IF (extract(epoch FROM clock_timestamp()) * 1000000000)::bigint - p_stored > p_within THEN
		outcome := 'late';
		RETURN;
	END IF;
	SELECT * INTO STRICT o FROM {s}.owner t WHERE t.key = p_owner FOR UPDATE;
	IF EXISTS (SELECT FROM {s}.condemned t WHERE t.locator = p_locator) THEN
		outcome := 'condemned';
		RETURN;
	END IF;
	SELECT t.digest INTO v_of FROM {s}.blob t WHERE t.locator = p_locator;
	v_is_blob := COALESCE(v_of = p_digest, false);
	SELECT * INTO p FROM {s}.package t WHERE t.owner_id = o.id AND t.key = p_package;
	IF FOUND THEN
		SELECT * INTO v FROM {s}.version t WHERE t.package_id = p.id AND t.key = p_version;
	END IF;
	v_new := v.id IS NULL;
	IF NOT v_new THEN
		SELECT * INTO f FROM {s}.file t WHERE t.version_id = v.id AND t.key = p_file;
		IF f.digest = p_digest AND (v_is_blob OR v.draft = p_draft AND (p_same OR p_replace) AND COALESCE(p_current = f.id, true)) THEN
			IF NOT v_is_blob THEN -- else it was published before
				condemned := {s}.refer_1(p_digest, p_size, p_locator, 0);
				UPDATE {s}.owner t SET changes = t.changes + 1 WHERE t.id = o.id;
			END IF;
			outcome := 'done';
			owner := o.name; package := p.name; version := v.name; file := f.name; id := f.id; creator := f.creator;
			created := CASE WHEN f.id < v.released THEN v.created ELSE f.created END;
			downloads := f.downloads; downloaded := f.downloaded;
			SELECT t.hashes INTO hashes FROM {s}.blob t WHERE t.digest = p_digest;
			RETURN;
		END IF;
		outcome := CASE WHEN p_current <> COALESCE(f.id, 0) THEN 'changed' WHEN v.draft AND NOT p_draft THEN 'draft' WHEN p_draft AND NOT v.draft THEN 'not_draft'
			WHEN f.id IS NOT NULL AND (NOT p_replace OR v_of = f.digest) THEN 'exists' END;
	ELSIF p_current <> 0 THEN
		outcome := 'changed';
	ELSIF p_draft AND q_drafts > 0 AND o.draft_versions >= q_drafts THEN
		outcome := 'quota_drafts';
	END IF;
	IF outcome IS NULL THEN
		v_versions := o.versions + o.draft_versions + CASE WHEN v_new THEN 1 ELSE 0 END;
		v_files := o.files + o.draft_files + CASE WHEN f.id IS NULL THEN 1 ELSE 0 END;
		v_bytes := o.bytes + o.draft_bytes + p_size - COALESCE(f.size, 0);
		outcome := CASE
			WHEN q_versions > 0 AND v_versions > q_versions THEN 'quota_versions'
			WHEN q_files > 0 AND v_files > q_files THEN 'quota_files'
			WHEN q_bytes > 0 AND v_bytes > q_bytes THEN 'quota_bytes'
		END;
	END IF;
	IF outcome IS NOT NULL THEN
		condemned := v_of IS NULL;
		IF condemned THEN
			PERFORM {s}.condemn_1(p_locator);
		END IF;
		RETURN;
	END IF;
	outcome := 'done';
	IF o.versions + o.draft_versions = 0 AND o.name <> p_owner_name THEN
		UPDATE {s}.owner t SET name = p_owner_name WHERE t.id = o.id;
		o.name := p_owner_name;
	END IF;
	IF p.id IS NULL THEN
		INSERT INTO {s}.package (id, owner_id, key, name) VALUES (nextval('{s}.ids'), o.id, p_package, p_package_name) RETURNING * INTO p;
	END IF;
	IF v_new THEN
		INSERT INTO {s}.version (id, owner_id, package_id, key, name, rank, creator, created, draft)
			VALUES (nextval('{s}.ids'), o.id, p.id, p_version, p_version_name, p_rank, p_creator, p_created, p_draft) RETURNING * INTO v;
	END IF;
	condemned := {s}.refer_1(p_digest, p_size, p_locator, 1);
	IF f.id IS NOT NULL THEN
		DELETE FROM {s}.file t WHERE t.id = f.id;
		PERFORM {s}.release_1(f.digest, 1);
		condemned := true;
	END IF;
	INSERT INTO {s}.file (id, version_id, key, name, digest, size, creator, created)
		VALUES (nextval('{s}.ids'), v.id, p_file, p_file_name, p_digest, p_size, p_creator, p_created) RETURNING file.id INTO id;
	PERFORM {s}.count_1(o.id, p.id, v.id, v.draft, CASE WHEN v_new THEN 1 ELSE 0 END,
		CASE WHEN f.id IS NULL THEN 1 ELSE 0 END, p_size - COALESCE(f.size, 0));
	owner := o.name; package := p.name; version := v.name; file := p_file_name; creator := p_creator; created := p_created; downloads := 0;
	SELECT t.hashes INTO hashes FROM {s}.blob t WHERE t.digest = p_digest;
END $$;

-- bury_version deletes a version, and leaves its files to be cleaned up.
CREATE FUNCTION {s}.bury_version_1(v {s}.version) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
	DELETE FROM {s}.version WHERE id = v.id;
	IF v.files > 0 THEN
		INSERT INTO {s}.grave (id, package) VALUES (v.id, false);
	END IF;
	PERFORM {s}.count_1(v.owner_id, v.package_id, NULL, v.draft, -1, -v.files, -v.bytes);
	DELETE FROM {s}.package WHERE id = v.package_id AND versions = 0 AND draft_versions = 0;
END $$;

-- delete_file deletes a file of a draft, of a published version, or with NULL of either. With
-- an ID other than 0 it deletes no other file.
CREATE FUNCTION {s}.delete_file_1(p_owner text, p_package text, p_version text, p_file text, p_draft boolean, p_current bigint) RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
	v {s}.version;
	f {s}.file;
BEGIN
	SELECT t.* INTO v FROM {s}.owner o JOIN {s}.package p ON p.owner_id = o.id JOIN {s}.version t ON t.package_id = p.id
		WHERE o.key = p_owner AND p.key = p_package AND t.key = p_version AND (p_draft IS NULL OR t.draft = p_draft);
	IF NOT FOUND THEN
		RETURN 'no_version';
	END IF;
	SELECT * INTO f FROM {s}.file t WHERE t.version_id = v.id AND t.key = p_file;
	IF NOT FOUND THEN
		RETURN 'no_file';
	END IF;
	IF p_current <> 0 AND p_current <> f.id THEN
		RETURN 'changed';
	END IF;
	DELETE FROM {s}.file t WHERE t.id = f.id;
	PERFORM {s}.release_1(f.digest, 1);
	PERFORM {s}.count_1(v.owner_id, v.package_id, v.id, v.draft, 0, -1, -f.size);
	IF v.files = 1 THEN
		v.files := 0;
		v.bytes := 0;
		PERFORM {s}.bury_version_1(v);
	END IF;
	RETURN 'done';
END $$;

-- delete_version deletes a version. With a time it deletes a draft that was begun before.
CREATE FUNCTION {s}.delete_version_1(p_owner text, p_package text, p_version text, p_before bigint, p_draft boolean) RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
	v {s}.version;
BEGIN
	SELECT t.* INTO v FROM {s}.owner o JOIN {s}.package p ON p.owner_id = o.id JOIN {s}.version t ON t.package_id = p.id
		WHERE o.key = p_owner AND p.key = p_package AND t.key = p_version AND (p_before IS NULL OR t.draft AND t.created < p_before)
		AND (p_draft IS NULL OR t.draft = p_draft);
	IF NOT FOUND THEN
		RETURN 'no_version';
	END IF;
	PERFORM {s}.bury_version_1(v);
	RETURN 'done';
END $$;

CREATE FUNCTION {s}.delete_package_1(p_owner text, p_package text) RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
	p {s}.package;
BEGIN
	DELETE FROM {s}.package t USING {s}.owner o WHERE o.key = p_owner AND t.owner_id = o.id AND t.key = p_package RETURNING t.* INTO p;
	IF NOT FOUND THEN
		RETURN 'no_version';
	END IF;
	INSERT INTO {s}.grave (id, package) VALUES (p.id, true);
	UPDATE {s}.owner SET packages = packages - CASE WHEN p.versions > 0 THEN 1 ELSE 0 END,
		versions = versions - p.versions, files = files - p.files, bytes = bytes - p.bytes,
		draft_versions = draft_versions - p.draft_versions, draft_files = draft_files - p.draft_files, draft_bytes = draft_bytes - p.draft_bytes,
		changes = changes + 1 WHERE id = p.owner_id;
	RETURN 'done';
END $$;

-- publish_draft publishes a draft, if its files are those that are expected, by their
-- folded names. NULL expects nothing. What there is is told when it differs.
CREATE FUNCTION {s}.publish_draft_1(p_owner text, p_package text, p_version text, p_created bigint, p_keys text[], p_digests bytea[],
	OUT outcome text, OUT names text[], OUT digests bytea[])
LANGUAGE plpgsql AS $$
DECLARE
	v {s}.version;
BEGIN
	SELECT t.* INTO v FROM {s}.owner o JOIN {s}.package p ON p.owner_id = o.id JOIN {s}.version t ON t.package_id = p.id
		WHERE o.key = p_owner AND p.key = p_package AND t.key = p_version;
	IF NOT FOUND THEN
		outcome := 'no_version';
		RETURN;
	END IF;
	IF p_keys IS NOT NULL AND EXISTS (
		SELECT FROM (SELECT key, digest FROM {s}.file WHERE version_id = v.id) f
		FULL JOIN unnest(p_keys, p_digests) AS e (key, digest) ON f.key = e.key
		WHERE f.key IS NULL OR e.key IS NULL OR f.digest <> e.digest) THEN
		outcome := 'different';
		SELECT COALESCE(array_agg(name), '{}'), COALESCE(array_agg(digest), '{}') INTO names, digests FROM {s}.file WHERE version_id = v.id;
		RETURN;
	END IF;
	outcome := 'done';
	IF NOT v.draft THEN
		RETURN;
	END IF;
	PERFORM {s}.count_1(v.owner_id, v.package_id, NULL, true, -1, -v.files, -v.bytes);
	UPDATE {s}.version SET draft = false, created = p_created, released = nextval('{s}.ids') WHERE id = v.id;
	PERFORM {s}.count_1(v.owner_id, v.package_id, NULL, false, 1, v.files, v.bytes);
END $$;

-- clean_up takes a step at what deletes have left, and tells whether there was anything.
CREATE FUNCTION {s}.clean_up_1(p_limit integer) RETURNS boolean
LANGUAGE plpgsql AS $$
DECLARE
	g {s}.grave;
	v_ids bigint[];
	v_digests bytea[];
BEGIN
	SELECT * INTO g FROM {s}.grave ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED;
	IF NOT FOUND THEN
		RETURN false;
	END IF;
	IF g.package THEN
		SELECT array_agg(t.id) INTO v_ids FROM (SELECT id FROM {s}.version WHERE package_id = g.id LIMIT p_limit) t;
		INSERT INTO {s}.grave (id, package) SELECT unnest(v_ids), false;
		DELETE FROM {s}.version WHERE id = ANY (v_ids);
	ELSE
		SELECT array_agg(t.id), array_agg(t.digest) INTO v_ids, v_digests
			FROM (SELECT id, digest FROM {s}.file WHERE version_id = g.id LIMIT p_limit) t;
		PERFORM 1 FROM {s}.blob WHERE digest = ANY (v_digests) ORDER BY digest FOR UPDATE;
		PERFORM {s}.release_1(t.digest, t.refs) FROM (SELECT u AS digest, count(*) AS refs FROM unnest(v_digests) u GROUP BY u ORDER BY u) t;
		DELETE FROM {s}.file WHERE id = ANY (v_ids);
	END IF;
	IF COALESCE(cardinality(v_ids), 0) < p_limit THEN
		DELETE FROM {s}.grave WHERE id = g.id;
	END IF;
	RETURN true;
END $$;

-- downloaded adds downloads of files that are there and published. Their owners are locked.
CREATE FUNCTION {s}.downloaded_1(p_owners text[], p_packages text[], p_versions text[], p_files text[], p_ids bigint[], p_counts bigint[], p_last bigint[])
	RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
	WITH counted AS (
		SELECT v.id AS version_id, f.id AS file_id, sum(w.n)::bigint AS n, max(w.last) AS last
		FROM unnest(p_owners, p_packages, p_versions, p_files, p_ids, p_counts, p_last) AS w (owner, package, version, file, id, n, last)
		JOIN {s}.owner o ON o.key = w.owner
		JOIN {s}.package p ON p.owner_id = o.id AND p.key = w.package
		JOIN {s}.version v ON v.package_id = p.id AND v.key = w.version AND NOT v.draft
		JOIN {s}.file f ON f.version_id = v.id AND f.key = w.file AND f.id = w.id
		GROUP BY v.id, f.id
	), of_files AS (
		UPDATE {s}.file t SET downloads = t.downloads + c.n, downloaded = GREATEST(t.downloaded, c.last) FROM counted c WHERE t.id = c.file_id
	)
	UPDATE {s}.version t SET downloads = t.downloads + c.n, downloaded = GREATEST(t.downloaded, c.last)
	FROM (SELECT version_id, sum(n)::bigint AS n, max(last) AS last FROM counted GROUP BY version_id) c WHERE t.id = c.version_id;
END $$;
