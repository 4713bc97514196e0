-- live has the processes that have the registry open, as they told when they were last there.
CREATE TABLE {s}.live (
	id    text COLLATE "C" PRIMARY KEY, -- of an opening, as in node
	name  text NOT NULL,
	rules text NOT NULL,
	seen  timestamptz NOT NULL
) WITH (fillfactor = 50);

-- duty is what one process is enough for, and which does it until when.
CREATE TABLE {s}.duty (
	name  text COLLATE "C" PRIMARY KEY,
	node  text COLLATE "C" NOT NULL, -- by its name
	until timestamptz NOT NULL
) WITH (fillfactor = 50);
