-- Rows of ids that appear once go straight through, see `simple_new.sql`. What is hashed of each side is put
-- together below the join, so that it carries two texts and not four.
WITH a_repeated AS MATERIALIZED (
    SELECT hash(id) AS x FROM wide__a GROUP BY x HAVING count(*) > 1
),
a_latest AS MATERIALIZED (
    SELECT id, arg_max(rowid, coalesce(metaxy_deleted_at, metaxy_updated_at)) AS latest
    FROM wide__a
    WHERE hash(id) IN (FROM a_repeated)
    GROUP BY id
),
b_repeated AS MATERIALIZED (
    SELECT hash(id) AS x FROM wide__b GROUP BY x HAVING count(*) > 1
),
b_latest AS MATERIALIZED (
    SELECT id, arg_max(rowid, coalesce(metaxy_deleted_at, metaxy_updated_at)) AS latest
    FROM wide__b
    WHERE hash(id) IN (FROM b_repeated)
    GROUP BY id
),
a AS (
    SELECT r.id, map_values(r.metaxy_data_version_by_field) AS v
    FROM wide__a AS r
    LEFT JOIN a_latest USING (id)
    WHERE (a_latest.latest IS NULL OR a_latest.latest = r.rowid) AND r.metaxy_deleted_at IS NULL
),
b AS (
    SELECT r.id, map_values(r.metaxy_data_version_by_field) AS v
    FROM wide__b AS r
    LEFT JOIN b_latest USING (id)
    WHERE (b_latest.latest IS NULL OR b_latest.latest = r.rowid) AND r.metaxy_deleted_at IS NULL
),
a_texts AS (
    SELECT
        id,
        'wide/a.audio|' || v[1] || '|wide/a.frames|' || v[2] AS scene,
        'wide/a.meta|' || v[4] || '|wide/a.text|' || v[3] AS summary
    FROM a
),
b_texts AS (
    SELECT
        id,
        'wide/b.audio|' || v[1] || '|wide/b.frames|' || v[2] AS scene,
        'wide/b.meta|' || v[4] || '|wide/b.text|' || v[3] AS summary
    FROM b
),
leaf_repeated AS MATERIALIZED (
    SELECT hash(id) AS x FROM wide__leaf GROUP BY x HAVING count(*) > 1
),
leaf_latest AS MATERIALIZED (
    SELECT id, arg_max(rowid, coalesce(metaxy_deleted_at, metaxy_updated_at)) AS latest
    FROM wide__leaf
    WHERE hash(id) IN (FROM leaf_repeated)
    GROUP BY id
),
leaf AS (
    SELECT r.id, map_values(r.metaxy_provenance_by_field) AS v
    FROM wide__leaf AS r
    LEFT JOIN leaf_latest USING (id)
    WHERE (leaf_latest.latest IS NULL OR leaf_latest.latest = r.rowid) AND r.metaxy_deleted_at IS NULL
),
expected AS (
    SELECT
        a.id,
        metaxy_first_digits(metaxy_xxhash64('scene|1|', a.scene, '|', b.scene), 16) AS scene,
        metaxy_first_digits(metaxy_xxhash64('summary|1|', a.summary, '|', b.summary), 16) AS summary
    FROM a_texts AS a
    JOIN b_texts AS b ON a.id = b.id
),
stored AS (
    SELECT id, metaxy_number(v[1]) AS scene, metaxy_number(v[2]) AS summary FROM leaf
)
SELECT
    coalesce(e.id, s.id) AS id,
    CASE WHEN e.id IS NULL THEN 'orphaned' WHEN s.id IS NULL THEN 'new' ELSE 'stale' END AS class,
    e.scene AS new_scene,
    s.scene AS old_scene,
    e.summary AS new_summary,
    s.summary AS old_summary
FROM expected AS e
FULL JOIN stored AS s ON e.id = s.id
WHERE e.scene IS DISTINCT FROM s.scene OR e.summary IS DISTINCT FROM s.summary
