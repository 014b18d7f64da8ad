-- The chain over the journal, one row for each write of a journal row, oldest first: when it was added, and when
-- something in it was forgotten. content: the hash of the salt and of the row as that write left it. link: the hash of
-- the link before and of this row. Where a later write took a row's place, the salt is gone, so that the old content
-- can't even be guessed at.
CREATE TABLE chain (
    number    INTEGER PRIMARY KEY,
    first_seq INTEGER NOT NULL,
    salt      BLOB,
    content   BLOB NOT NULL,
    link      BLOB NOT NULL
) STRICT;

-- The number of the chain's row that vouches for this one.
ALTER TABLE journal ADD COLUMN vouched INTEGER NOT NULL DEFAULT 0;
