//! xxHash as functions of DuckDB, without an extension: `metaxy_xxhash64(text, ..) -> UBIGINT`, and
//! likewise `metaxy_xxhash32` and `metaxy_xxh3_64`.
//!
//! The texts are joined without a separator and without a copy of their own; NULL if one of them is.
//! Seeds are 0 (wire format, section 2.2).

#![allow(unsafe_code, reason = "DuckDB hands its vectors over as raw memory")]

use duckdb::Connection;
use duckdb::core::{DataChunkHandle, LogicalTypeHandle, LogicalTypeId};
use duckdb::ffi::duckdb_string_t;
use duckdb::types::DuckString;
use duckdb::vscalar::{ScalarFunctionSignature, VScalar};
use duckdb::vtab::arrow::WritableVector;
use metaxy_sql::HashAlgorithm;
use metaxy_sql::functions::duckdb_hash_name;
use std::error::Error;
use std::marker::PhantomData;

/// Makes the functions known to the database of a connection.
pub(super) fn register(connection: &Connection) -> duckdb::Result<()> {
    let name = duckdb_hash_name;
    connection.register_scalar_function::<Function<Xxh64>>(name(HashAlgorithm::XxHash64))?;
    connection.register_scalar_function::<Function<Xxh32>>(name(HashAlgorithm::XxHash32))?;
    connection.register_scalar_function::<Function<Xxh3>>(name(HashAlgorithm::Xxh3_64))
}

trait HashFunction: 'static {
    fn hash(bytes: &[u8]) -> u64;
}

struct Xxh64;
struct Xxh32;
struct Xxh3;

impl HashFunction for Xxh64 {
    fn hash(bytes: &[u8]) -> u64 {
        xxhash_rust::xxh64::xxh64(bytes, 0)
    }
}

impl HashFunction for Xxh32 {
    fn hash(bytes: &[u8]) -> u64 {
        xxhash_rust::xxh32::xxh32(bytes, 0).into()
    }
}

impl HashFunction for Xxh3 {
    fn hash(bytes: &[u8]) -> u64 {
        xxhash_rust::xxh3::xxh3_64(bytes)
    }
}

struct Function<H>(PhantomData<H>);

impl<H: HashFunction> VScalar for Function<H> {
    type State = ();

    fn invoke(
        (): &(),
        input: &mut DataChunkHandle,
        output: &mut dyn WritableVector,
    ) -> Result<(), Box<dyn Error>> {
        let rows = input.len();
        let columns: Vec<_> = (0..input.num_columns()).map(|i| input.flat_vector(i)).collect();
        let mut out = output.flat_vector();
        let mut joined = Vec::new();
        for row in 0..rows {
            joined.clear();
            let mut is_null = false;
            for column in &columns {
                if column.row_is_null(row as u64) {
                    is_null = true;
                    break;
                }
                // SAFETY: the signature says VARCHAR, so that the vector holds `duckdb_string_t`;
                // DuckDB flattens the arguments of a registered function, so that it holds one for
                // each of its `rows` rows; and this one is not NULL, so that it was written. The
                // copy is bitwise: a short text lies inside of it, a long one is pointed to by it
                // and is kept alive by `input`, which outlives this loop.
                let mut text = unsafe { column.as_slice_with_len::<duckdb_string_t>(rows)[row] };
                joined.extend_from_slice(DuckString::new(&mut text).as_bytes());
            }
            if is_null {
                out.set_null(row);
            } else {
                // SAFETY: the signature says UBIGINT, so that the vector holds `u64`, one for each
                // of the `rows` rows; nothing else borrows it.
                unsafe { out.as_mut_slice_with_len::<u64>(rows)[row] = H::hash(&joined) };
            }
        }
        Ok(())
    }

    fn signatures() -> Vec<ScalarFunctionSignature> {
        vec![ScalarFunctionSignature::variadic(
            LogicalTypeHandle::from(LogicalTypeId::Varchar),
            LogicalTypeHandle::from(LogicalTypeId::UBigint),
        )]
    }
}
