-- Rows of ids that appear once, which are nearly all, go straight through: what finds the others groups
-- hashes of ids, not the ids themselves, and so may take a few too many for one of them. Each write has a
-- time of its own. Versions of a map are read by their place, in half the time that a key takes. Provenances
-- and data versions of what is new are the same columns twice.
WITH repeated AS MATERIALIZED (
    SELECT hash(id) AS x FROM simple__root GROUP BY x HAVING count(*) > 1
),
latest AS MATERIALIZED (
    SELECT id, arg_max(rowid, coalesce(metaxy_deleted_at, metaxy_updated_at)) AS latest
    FROM simple__root
    WHERE hash(id) IN (FROM repeated)
    GROUP BY id
),
expected AS (
    SELECT
        r.id,
        metaxy_first_digits(
            metaxy_xxhash64('summary|1|simple/root.audio|', map_values(r.metaxy_data_version_by_field)[1]), 16
        )::VARCHAR AS summary
    FROM simple__root AS r
    LEFT JOIN latest USING (id)
    WHERE (latest.latest IS NULL OR latest.latest = r.rowid) AND r.metaxy_deleted_at IS NULL
),
rendered AS (
    SELECT
        id,
        map(['summary'], [summary]) AS by_field,
        metaxy_first_digits(metaxy_xxhash64(summary), 16)::VARCHAR AS over_all
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
