-- The number of the newest change of each collection of documents. Numbers and places are one order: what is stored after a
-- change has a greater place. Engines see by it that another one changed something.
CREATE TABLE collection_change (
    collection bytea PRIMARY KEY,
    number     bigint NOT NULL
);
