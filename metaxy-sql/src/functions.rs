//! What a function is called in each database, as a table.
//!
//! A spelling is a template: `{0}` is an argument, `{0!}` an argument that gets parentheses unless
//! it is a single word, `{..}` all arguments joined by `, `, `{||}` all arguments joined by ` || `;
//! `{1..}` and `{1||}` are all but the first.
//! An empty cell means that the database has no such function; asking for it is an
//! [`Unsupported`](crate::error::Reason::Unsupported) error.

use crate::plan::HashAlgorithm;

/// A function that plans need.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Function {
    /// Joins texts; NULL if one of them is.
    Concat,
    /// The first argument that is not NULL.
    Coalesce,
    /// The value of a key of a map from text to text; NULL without that key.
    MapGet,
    /// A member of a struct.
    StructGet,
    /// A map from text to text, from keys and values in turn; entries with a NULL value are kept.
    MapOf,
    /// A timestamp as microseconds since 1970-01-01 UTC.
    EpochMicros,
    /// The opposite: microseconds since 1970-01-01 UTC as a time of UTC without a time zone.
    LocalTimestamp,
    /// The number of rows.
    CountAll,
    /// The number of rows for which a condition holds.
    CountIf,
    /// The largest value.
    Max,
    /// The smallest value.
    Min,
    /// The first argument, never NULL, in the row in which the second is largest.
    MaxBy,
    /// One order for the rows of a record, from time (that of a row without any comes first),
    /// tombstone (0 or 1) and write token: a row that is larger is later.
    RowOrder,
    /// The hash of texts one after the other, as the database computes it: a number or a text. The
    /// first argument is the number of characters or digits that are kept.
    Hash(HashAlgorithm),
    /// Such a hash as a text.
    HashText(HashAlgorithm),
    /// A text as such a hash, to be compared; NULL if it is none.
    HashOfText(HashAlgorithm),
    /// A number that equal values share, and others with hardly any exception do not.
    Fingerprint,
    /// The number of characters of a text.
    Length,
    /// The MD5 of a text, as 32 lower-case hexadecimal digits.
    Md5,
    /// The shard of a text among `n`: the first 15 hexadecimal digits of its MD5 as a number, modulo
    /// `n`.
    Shard,
    /// Whether a text matches a pattern: `%` any text, `_` any one character, `\` takes the next
    /// character literally; upper and lower case differ.
    Like,
    /// The largest argument.
    Greatest,
    /// The time of now, the same in a whole statement, but later than this one in microseconds.
    Later,
}

/// The Postgres column of the table.
pub(crate) const fn postgres(function: Function) -> &'static str {
    use Function as F;
    match function {
        F::Concat => "({||})",
        F::Coalesce => "coalesce({..})",
        // What is a struct elsewhere is JSON here.
        F::MapGet | F::StructGet => "({0!} ->> {1!})",
        F::MapOf => "jsonb_object(ARRAY[{..}]::text[])",
        F::EpochMicros => "(extract(epoch FROM {0}) * 1000000)::bigint",
        // A double holds every number of microseconds up to the year 2255.
        F::LocalTimestamp => "(TIMESTAMP 'epoch' + {0!} * INTERVAL '1 microsecond')",
        F::CountAll => "count(*)",
        F::CountIf => "count(*) FILTER (WHERE {0})",
        F::Max => "max({0})",
        F::Min => "min({0})",
        F::MaxBy => "(array_agg({0} ORDER BY {1} DESC))[1]",
        // A row has no largest one before Postgres 18, an array has.
        F::RowOrder => {
            "ARRAY[coalesce((extract(epoch FROM {0}) * 1000000)::bigint, 0) * 2 + {1!}, \
             coalesce({2}, 0)]"
        }
        // These are installed on request only.
        F::Hash(HashAlgorithm::XxHash64) => "left(metaxy_xxhash64({1||}), {0})",
        F::Hash(HashAlgorithm::XxHash32) => "left(metaxy_xxhash32({1||}), {0})",
        F::Hash(HashAlgorithm::Xxh3_64) => "",
        F::Hash(HashAlgorithm::Md5) => "left(md5({1||}), {0})",
        F::Hash(HashAlgorithm::Sha256) => {
            "left(encode(sha256(convert_to({1||}, 'UTF8')), 'hex'), {0})"
        }
        F::HashText(_) | F::HashOfText(_) => "{0}",
        F::Fingerprint => "",
        F::Length => "length({0})",
        F::Md5 => "md5({0})",
        F::Shard => "(('x' || left(md5({0}), 15))::bit(60)::bigint % {1!})",
        F::Like => "({0!} LIKE {1!} ESCAPE '\\')",
        F::Greatest => "greatest({..})",
        F::Later => {
            "(TIMESTAMPTZ 'epoch' + greatest((extract(epoch FROM statement_timestamp()) * \
             1000000)::bigint, {0!} + 1) * INTERVAL '1 microsecond')"
        }
    }
}

/// The name under which a hash is registered with DuckDB by its store.
#[must_use]
pub const fn duckdb_hash_name(algorithm: HashAlgorithm) -> &'static str {
    match algorithm {
        HashAlgorithm::XxHash64 => "metaxy_xxhash64",
        HashAlgorithm::XxHash32 => "metaxy_xxhash32",
        HashAlgorithm::Xxh3_64 => "metaxy_xxh3_64",
        HashAlgorithm::Md5 => "md5",
        HashAlgorithm::Sha256 => "sha256",
    }
}

/// The name under which DuckDB's store registers the first so many decimal digits of an unsigned
/// number, as a number: `metaxy_first_digits(UBIGINT, BIGINT) -> UBIGINT`.
pub const DUCKDB_FIRST_DIGITS: &str = "metaxy_first_digits";

/// The name under which DuckDB's store registers the number that a text is: `metaxy_number(VARCHAR)
/// -> UBIGINT`. A text that is not exactly what the number is rendered as gives NULL.
pub const DUCKDB_NUMBER: &str = "metaxy_number";

/// The ClickHouse column of the table.
pub(crate) const fn clickhouse(function: Function) -> &'static str {
    use Function as F;
    match function {
        F::Concat => "concat({..})",
        F::Coalesce => "coalesce({..})",
        // A key that is not there gives an empty text otherwise.
        F::MapGet => "if(mapContains({0}, {1}), {0!}[{1}], NULL)",
        F::StructGet => "tupleElement({0}, {1})",
        // Values cannot be NULL; a key that is not there gives that as well.
        F::MapOf => "CAST(mapFilter((k, v) -> v IS NOT NULL, map({..})) AS Map(String, String))",
        F::EpochMicros => "toUnixTimestamp64Micro({0})",
        F::LocalTimestamp => "fromUnixTimestamp64Micro({0})",
        F::CountAll => "toInt64(count())",
        F::CountIf => "toInt64(countIf({0}))",
        F::Max => "max({0})",
        F::Min => "min({0})",
        F::MaxBy => "argMax({0}, {1})",
        F::RowOrder => {
            "(toInt128(coalesce(toUnixTimestamp64Micro({0}), 0) * 2 + {1!}) * 9223372036854775808 \
             + coalesce({2}, 0))"
        }
        // Numbers are rendered as they are hashed: unsigned and decimal.
        F::Hash(HashAlgorithm::XxHash64) => "leftUTF8(toString(xxHash64(concat({1..}))), {0})",
        F::Hash(HashAlgorithm::XxHash32) => "leftUTF8(toString(xxHash32(concat({1..}))), {0})",
        F::Hash(HashAlgorithm::Xxh3_64) => "leftUTF8(toString(xxh3(concat({1..}))), {0})",
        F::Hash(HashAlgorithm::Md5) => "leftUTF8(lower(hex(MD5(concat({1..})))), {0})",
        F::Hash(HashAlgorithm::Sha256) => "leftUTF8(lower(hex(SHA256(concat({1..})))), {0})",
        F::HashText(_) | F::HashOfText(_) => "{0}",
        F::Fingerprint => "",
        F::Length => "lengthUTF8({0})",
        F::Md5 => "lower(hex(MD5({0})))",
        F::Shard => {
            "(bitShiftRight(byteSwap(reinterpretAsUInt64(substring(MD5({0}), 1, 8))), 4) % {1!})"
        }
        // A backslash escapes without being told.
        F::Like => "({0!} LIKE {1!})",
        F::Greatest => "greatest({..})",
        F::Later => {
            "fromUnixTimestamp64Micro(greatest(toUnixTimestamp64Micro(now64(6, 'UTC')), {0!} + 1), \
             'UTC')"
        }
    }
}

/// The DuckDB column of the table.
pub(crate) const fn duckdb(function: Function) -> &'static str {
    use Function as F;
    match function {
        F::Concat => "({||})",
        F::Coalesce => "coalesce({..})",
        F::MapGet => "{0!}[{1}]",
        F::StructGet => "struct_extract({0}, {1})",
        F::MapOf => "MAP {{:}}",
        F::EpochMicros => "epoch_us({0})",
        F::LocalTimestamp => "make_timestamp({0})",
        F::CountAll => "count(*)",
        F::CountIf => "count(*) FILTER (WHERE {0})",
        F::Max => "max({0})",
        F::Min => "min({0})",
        F::MaxBy => "arg_max({0}, {1})",
        // 2^63 leaves the low bits to the token, which is never negative.
        F::RowOrder => {
            "((coalesce(epoch_us({0}), 0) * 2 + {1!})::HUGEINT * 9223372036854775808 + \
             coalesce({2}, 0)::HUGEINT)"
        }
        // Our own functions give integers, which are small to carry along and quick to compare; and
        // they join their arguments without a copy. See `DUCKDB_FIRST_DIGITS`.
        F::Hash(HashAlgorithm::XxHash64) => "metaxy_first_digits(metaxy_xxhash64({1..}), {0})",
        F::Hash(HashAlgorithm::XxHash32) => "metaxy_first_digits(metaxy_xxhash32({1..}), {0})",
        F::Hash(HashAlgorithm::Xxh3_64) => "metaxy_first_digits(metaxy_xxh3_64({1..}), {0})",
        F::Hash(HashAlgorithm::Md5) => "left(md5({1||}), {0})",
        F::Hash(HashAlgorithm::Sha256) => "left(sha256({1||}), {0})",
        F::HashText(algorithm) if algorithm.is_number() => "{0!}::VARCHAR",
        F::HashOfText(algorithm) if algorithm.is_number() => "metaxy_number({0})",
        F::HashText(_) | F::HashOfText(_) => "{0}",
        F::Fingerprint => "hash({..})",
        F::Length => "length({0})",
        F::Md5 => "md5({0})",
        F::Shard => "(('0x' || left(md5({0}), 15))::BIGINT % {1!})",
        // Without ESCAPE there is no character that escapes.
        F::Like => "({0!} LIKE {1!} ESCAPE '\\')",
        F::Greatest => "greatest({..})",
        F::Later => "make_timestamptz(greatest(epoch_us(now()), {0!} + 1))",
    }
}
