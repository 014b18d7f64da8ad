-- The tables of a home's own database, row for row, so that a store moves between the two byte for byte. Text that comes
-- from outside is bytes here too: PostgreSQL's text can hold no NUL, and orders by the language of the database.

-- One row holds events of one session that were committed together; see titan-store/src/rows.rs.
CREATE TABLE journal (
    first_seq bigint PRIMARY KEY,
    last_seq  bigint NOT NULL,
    session   text NOT NULL,
    entries   bytea NOT NULL,
    vouched   bigint NOT NULL
);
CREATE INDEX journal_by_session ON journal (session, first_seq);

-- The chain over the journal; see titan-store/src/chain.rs.
CREATE TABLE chain (
    number    bigint PRIMARY KEY,
    first_seq bigint NOT NULL,
    salt      bytea,
    content   bytea NOT NULL,
    link      bytea NOT NULL
);

-- Where the journal and its chain end. Whoever writes either locks this row first, so engines take turns, and no position
-- is given twice or left out.
CREATE TABLE journal_end (
    is_only  boolean PRIMARY KEY DEFAULT true CHECK (is_only),
    last_seq bigint NOT NULL,
    number   bigint NOT NULL,
    link     bytea NOT NULL
);
INSERT INTO journal_end (last_seq, number, link) VALUES (0, 0, decode(repeat('00', 32), 'hex'));

CREATE TABLE record (
    collection bytea NOT NULL,
    key        bytea NOT NULL,
    version    bigint NOT NULL,
    value      bytea NOT NULL,
    PRIMARY KEY (collection, key)
);
-- One counter for all, so that a key made anew repeats no version.
CREATE SEQUENCE record_version;

-- Words as FTS5 has them in a home: any letters and digits, without accents, stemmed, none left out.
CREATE TEXT SEARCH DICTIONARY stem (TEMPLATE = pg_catalog.snowball, Language = 'english');
CREATE TEXT SEARCH CONFIGURATION words (PARSER = pg_catalog."default");
ALTER TEXT SEARCH CONFIGURATION words ADD MAPPING FOR
    asciiword, word, numword, asciihword, hword, numhword, hword_asciipart, hword_part, hword_numpart,
    int, uint, float, sfloat, version, email, host, url, url_path, file, entity
    WITH stem;

-- Places grow with each upsert: the greatest is the newest. attributes: JSON; pairs: the same, each as ["name","value"].
CREATE SEQUENCE document_place;
CREATE TABLE document (
    place      bigint PRIMARY KEY,
    collection bytea NOT NULL,
    id         bytea NOT NULL,
    text       bytea NOT NULL,
    vector     bytea,
    attributes text NOT NULL,
    pairs      text[] NOT NULL,
    words      tsvector NOT NULL,
    n_words    integer NOT NULL,
    UNIQUE (collection, id)
);
CREATE INDEX document_by_words ON document USING gin (words);
CREATE INDEX document_by_place ON document (collection, place DESC) INCLUDE (n_words);
CREATE INDEX document_with_vector ON document (collection, place) WHERE vector IS NOT NULL;

CREATE TABLE blob (
    id    text PRIMARY KEY,
    bytes bytea NOT NULL
);
