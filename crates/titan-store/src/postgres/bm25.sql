-- Places and scores of the documents of collection $1 with attributes $2 that have any word of $3, whose words are $4, best
-- first, $5 at most. BM25 with k1 = 1.2 and b = 0.75, as FTS5 computes it.
WITH found AS MATERIALIZED (
    SELECT place, id, n_words, words FROM document
    WHERE collection = $1 AND pairs @> $2 AND words @@ $3::text::tsquery
), times AS MATERIALIZED (
    SELECT place, id, n_words, word.lexeme, cardinality(word.positions)::float8 AS n
    FROM found, unnest(found.words) AS word WHERE word.lexeme = ANY($4)
), whole AS MATERIALIZED (
    SELECT count(*)::float8 AS n, greatest(avg(n_words), 1)::float8 AS n_words FROM document
    WHERE collection = $1 AND pairs @> $2
), rarity AS MATERIALIZED (
    SELECT lexeme, greatest(ln((whole.n - count(*) + 0.5) / (count(*) + 0.5)), 1e-6) AS weight
    FROM times, whole GROUP BY lexeme, whole.n
)
SELECT place, sum(weight * times.n * 2.2 / (times.n + 1.2 * (0.25 + 0.75 * times.n_words / whole.n_words)))::real
FROM times JOIN rarity USING (lexeme), whole
GROUP BY place, id ORDER BY 2 DESC, id LIMIT $5
