-- One grouping finds the latest rows and compares them: each row has become one number below it. 0 stands
-- for a deleted record, since `arg_max` skips NULL; no hash is 0. Each write has a time of its own. Texts are
-- looked up and made for what differs alone.
WITH compared AS MATERIALIZED (
    SELECT *
    FROM (
        SELECT
            id, arg_max(new, time) AS new, nullif(arg_max(old, time), 0) AS old, arg_max(row, time) AS row
        FROM (
            SELECT
                id,
                coalesce(metaxy_deleted_at, metaxy_updated_at) AS time,
                CASE WHEN metaxy_deleted_at IS NULL THEN metaxy_first_digits(
                    metaxy_xxhash64(
                        'summary|1|simple/root.audio|', map_values(metaxy_data_version_by_field)[1]
                    ), 16
                ) ELSE 0 END AS new,
                NULL::UBIGINT AS old,
                NULL::BIGINT AS row
            FROM simple__root
            UNION ALL
            SELECT
                id,
                coalesce(metaxy_deleted_at, metaxy_updated_at),
                NULL,
                CASE WHEN metaxy_deleted_at IS NULL
                    THEN metaxy_number(map_values(metaxy_provenance_by_field)[1]) ELSE 0 END,
                rowid
            FROM simple__leaf
        )
        GROUP BY id
    )
    WHERE nullif(new, 0) IS DISTINCT FROM old
),
texts AS (
    SELECT
        c.id,
        CASE WHEN c.new > 0 THEN CASE WHEN c.old IS NULL THEN 'new' ELSE 'stale' END ELSE 'orphaned' END AS class,
        c.new,
        coalesce(nullif(c.new, 0), c.old)::VARCHAR AS summary,
        CASE WHEN c.new > 0 THEN c.new::VARCHAR ELSE map_values(s.metaxy_data_version_by_field)[1] END AS data,
        CASE WHEN c.old IS NOT NULL THEN s.metaxy_provenance_by_field END AS stored,
        CASE WHEN c.old IS NOT NULL THEN s.metaxy_feature_version END AS version
    FROM compared AS c
    LEFT JOIN simple__leaf AS s ON c.row = s.rowid
)
SELECT
    id,
    class AS metaxy_status,
    map(['summary'], [summary]) AS metaxy_provenance_by_field,
    metaxy_first_digits(metaxy_xxhash64(summary), 16)::VARCHAR AS metaxy_provenance,
    map(['summary'], [data]) AS metaxy_data_version_by_field,
    metaxy_first_digits(metaxy_xxhash64(data), 16)::VARCHAR AS metaxy_data_version,
    CASE WHEN class = 'stale' THEN map(['summary'], ['upstream']) END AS metaxy_stale_fields,
    stored AS metaxy_stored_provenance_by_field,
    version AS metaxy_stored_feature_version,
    CASE WHEN class = 'orphaned' THEN CASE WHEN new = 0 THEN 'gone' ELSE 'missing' END END AS metaxy_cause
FROM texts
