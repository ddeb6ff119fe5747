-- One grouping finds the latest rows and compares them: each row has become one number below it. 0 stands
-- for a deleted record, since `arg_max` skips NULL; no hash is 0. Each write has a time of its own.
SELECT
    id,
    CASE WHEN new IS NULL THEN 'orphaned' WHEN old IS NULL THEN 'new' ELSE 'stale' END AS class,
    new AS new_summary,
    old AS old_summary
FROM (
    SELECT id, nullif(arg_max(new, time), 0) AS new, nullif(arg_max(old, time), 0) AS old
    FROM (
        SELECT
            id,
            coalesce(metaxy_deleted_at, metaxy_updated_at) AS time,
            CASE WHEN metaxy_deleted_at IS NULL THEN metaxy_first_digits(
                metaxy_xxhash64(
                    'summary|1|simple/root.audio|', map_values(metaxy_data_version_by_field)[1]
                ), 16
            ) ELSE 0 END AS new,
            NULL::UBIGINT AS old
        FROM simple__root
        UNION ALL
        SELECT
            id,
            coalesce(metaxy_deleted_at, metaxy_updated_at),
            NULL,
            CASE WHEN metaxy_deleted_at IS NULL
                THEN metaxy_number(map_values(metaxy_provenance_by_field)[1]) ELSE 0 END
        FROM simple__leaf
    )
    GROUP BY id
)
WHERE new IS DISTINCT FROM old
