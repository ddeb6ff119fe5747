-- Rows of ids that appear once go straight through, see `simple_new.sql`. What is hashed of each side is put
-- together below the join, so that it carries two texts and not four. Sides are kept before they are joined: a
-- scan of one row group takes one thread, what reads what is kept takes all.
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
a_texts AS MATERIALIZED (
    SELECT
        id,
        'wide/a.audio|' || v[1] || '|wide/a.frames|' || v[2] AS scene,
        'wide/a.meta|' || v[4] || '|wide/a.text|' || v[3] AS summary
    FROM a
),
b_texts AS MATERIALIZED (
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
stored AS MATERIALIZED (
    SELECT
        r.id,
        r.rowid AS row,
        metaxy_number(map_values(r.metaxy_provenance_by_field)[1]) AS scene,
        metaxy_number(map_values(r.metaxy_provenance_by_field)[2]) AS summary
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
compared AS MATERIALIZED (
    SELECT
        coalesce(e.id, s.id) AS id,
        CASE WHEN e.id IS NULL THEN 'orphaned' WHEN s.id IS NULL THEN 'new' ELSE 'stale' END AS class,
        s.row,
        coalesce(e.scene, s.scene)::VARCHAR AS scene,
        coalesce(e.summary, s.summary)::VARCHAR AS summary,
        e.scene IS DISTINCT FROM s.scene AS scene_differs,
        e.summary IS DISTINCT FROM s.summary AS summary_differs
    FROM expected AS e
    FULL JOIN stored AS s ON e.id = s.id
    WHERE e.scene IS DISTINCT FROM s.scene OR e.summary IS DISTINCT FROM s.summary
),
gone AS (
    SELECT id FROM wide__a WHERE id IN (SELECT id FROM compared WHERE class = 'orphaned')
    GROUP BY id HAVING arg_max(metaxy_deleted_at IS NOT NULL, coalesce(metaxy_deleted_at, metaxy_updated_at))
    UNION
    SELECT id FROM wide__b WHERE id IN (SELECT id FROM compared WHERE class = 'orphaned')
    GROUP BY id HAVING arg_max(metaxy_deleted_at IS NOT NULL, coalesce(metaxy_deleted_at, metaxy_updated_at))
),
texts AS (
    SELECT
        c.*,
        CASE WHEN class <> 'orphaned' AND scene_differs
            THEN scene ELSE map_values(s.metaxy_data_version_by_field)[1] END AS scene_data,
        CASE WHEN class <> 'orphaned' AND summary_differs
            THEN summary ELSE map_values(s.metaxy_data_version_by_field)[2] END AS summary_data,
        s.metaxy_provenance_by_field AS stored,
        s.metaxy_feature_version AS version
    FROM compared AS c
    LEFT JOIN wide__leaf AS s ON c.row = s.rowid
)
SELECT
    id,
    class AS metaxy_status,
    map(['scene', 'summary'], [scene, summary]) AS metaxy_provenance_by_field,
    metaxy_first_digits(metaxy_xxhash64(scene, '|', summary), 16)::VARCHAR AS metaxy_provenance,
    map(['scene', 'summary'], [scene_data, summary_data]) AS metaxy_data_version_by_field,
    metaxy_first_digits(metaxy_xxhash64(scene_data, '|', summary_data), 16)::VARCHAR AS metaxy_data_version,
    CASE WHEN class = 'stale' THEN CASE
        WHEN NOT summary_differs THEN map(['scene'], ['upstream'])
        WHEN NOT scene_differs THEN map(['summary'], ['upstream'])
        ELSE map(['scene', 'summary'], ['upstream', 'upstream'])
    END END AS metaxy_stale_fields,
    stored AS metaxy_stored_provenance_by_field,
    version AS metaxy_stored_feature_version,
    CASE WHEN class = 'orphaned' THEN CASE WHEN id IN (FROM gone) THEN 'gone' ELSE 'missing' END END AS metaxy_cause
FROM texts
