-- The number of the newest change of each collection of documents. Numbers and places are one order: what is stored after a
-- change has a greater place.
CREATE TABLE collection_change (
    collection BLOB NOT NULL PRIMARY KEY,
    number     INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
