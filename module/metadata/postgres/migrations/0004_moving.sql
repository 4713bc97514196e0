-- hold has the backups that are being made: until they end, no process is told of bytes to
-- delete.
CREATE TABLE {s}.hold (
	id    text COLLATE "C" PRIMARY KEY,
	until timestamptz NOT NULL
);

-- changes is how many there were before those that owners count: of the registry that the
-- tables were filled with.
ALTER TABLE {s}.store ADD COLUMN changes bigint NOT NULL DEFAULT 0;
