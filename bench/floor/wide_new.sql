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
expected AS (
    SELECT
        a.id,
        metaxy_first_digits(metaxy_xxhash64('scene|1|', a.scene, '|', b.scene), 16)::VARCHAR AS scene,
        metaxy_first_digits(metaxy_xxhash64('summary|1|', a.summary, '|', b.summary), 16)::VARCHAR AS summary
    FROM a_texts AS a
    JOIN b_texts AS b ON a.id = b.id
),
rendered AS (
    SELECT
        id,
        map(['scene', 'summary'], [scene, summary]) AS by_field,
        metaxy_first_digits(metaxy_xxhash64(scene, '|', summary), 16)::VARCHAR AS over_all
    FROM expected
)
SELECT
    id,
    'new' AS metaxy_status,
    by_field AS metaxy_provenance_by_field,
    over_all AS metaxy_provenance,
    by_field AS metaxy_data_version_by_field,
    over_all AS metaxy_data_version,
    NULL::MAP(VARCHAR, VARCHAR) AS metaxy_stale_fields,
    NULL::MAP(VARCHAR, VARCHAR) AS metaxy_stored_provenance_by_field,
    NULL::VARCHAR AS metaxy_stored_feature_version,
    NULL::VARCHAR AS metaxy_cause
FROM rendered
