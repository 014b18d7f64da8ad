-- Text that comes from outside is kept as UTF-8 bytes: the driver cuts TEXT at a NUL when it reads it.

-- One row holds events of one session that were committed together; their positions lie in first_seq..=last_seq, which
-- span at most 4,096 positions (rows of different sessions interleave). entries: JSON [[seq, at, turn, event], ...].
CREATE TABLE journal (
    first_seq INTEGER PRIMARY KEY,
    last_seq  INTEGER NOT NULL,
    session   TEXT NOT NULL,
    entries   BLOB NOT NULL
) STRICT;
CREATE INDEX journal_by_session ON journal (session);

CREATE TABLE record (
    collection BLOB NOT NULL,
    key        BLOB NOT NULL,
    version    INTEGER NOT NULL,
    value      BLOB NOT NULL,
    PRIMARY KEY (collection, key)
) STRICT, WITHOUT ROWID;

-- The version that the last change of a record got. One counter for all, so that a key made anew repeats none.
CREATE TABLE record_version (
    last INTEGER NOT NULL
) STRICT;
INSERT INTO record_version VALUES (0);

-- Places grow with each upsert: the greatest is the newest.
CREATE TABLE document (
    place      INTEGER PRIMARY KEY,
    collection BLOB NOT NULL,
    id         BLOB NOT NULL,
    text       BLOB NOT NULL,
    vector     BLOB,
    attributes TEXT NOT NULL,
    UNIQUE (collection, id)
) STRICT;
CREATE INDEX document_with_vector ON document (collection) WHERE vector IS NOT NULL;
CREATE VIRTUAL TABLE document_text USING fts5 (text, content='', tokenize='porter unicode61');
INSERT INTO document_text (document_text, rank) VALUES ('secure-delete', 1);

CREATE TABLE blob (
    id    TEXT NOT NULL UNIQUE,
    bytes BLOB NOT NULL
) STRICT;
