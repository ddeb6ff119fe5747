//! xxHash as functions of DuckDB, without an extension: `metaxy_xxhash64(text, ..) -> UBIGINT`, and
//! likewise `metaxy_xxhash32` and `metaxy_xxh3_64`.
//!
//! The texts are joined without a separator and without a copy of their own; NULL if one of them is.
//! Seeds are 0 (wire format, section 2.2). `metaxy_first_digits` cuts such a number to the length that
//! a store keeps, and `metaxy_number` reads one that is stored: both work on numbers, since a text for
//! each record costs more than its hash.

#![allow(unsafe_code, reason = "DuckDB hands its vectors over as raw memory")]

use duckdb::Connection;
use duckdb::core::{DataChunkHandle, LogicalTypeHandle, LogicalTypeId};
use duckdb::ffi::duckdb_string_t;
use duckdb::types::DuckString;
use duckdb::vscalar::{ScalarFunctionSignature, VScalar};
use duckdb::vtab::arrow::WritableVector;
use metaxy_sql::HashAlgorithm;
use metaxy_sql::functions::{DUCKDB_FIRST_DIGITS, DUCKDB_NUMBER, duckdb_hash_name};
use std::error::Error;
use std::marker::PhantomData;

/// Makes the functions known to the database of a connection.
pub(super) fn register(connection: &Connection) -> duckdb::Result<()> {
    let name = duckdb_hash_name;
    connection.register_scalar_function::<Function<Xxh64>>(name(HashAlgorithm::XxHash64))?;
    connection.register_scalar_function::<Function<Xxh32>>(name(HashAlgorithm::XxHash32))?;
    connection.register_scalar_function::<Function<Xxh3>>(name(HashAlgorithm::Xxh3_64))?;
    connection.register_scalar_function::<FirstDigits>(DUCKDB_FIRST_DIGITS)?;
    connection.register_scalar_function::<Number>(DUCKDB_NUMBER)
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

/// The first so many decimal digits of a number.
fn first_digits(number: u64, length: i64) -> u64 {
    let n_digits = i64::from(number.checked_ilog10().unwrap_or_default()) + 1;
    match u32::try_from(n_digits - length) {
        Ok(cut) => number / 10_u64.checked_pow(cut).unwrap_or(u64::MAX),
        Err(_) => number,
    }
}

struct FirstDigits;

impl VScalar for FirstDigits {
    type State = ();

    fn invoke(
        (): &(),
        input: &mut DataChunkHandle,
        output: &mut dyn WritableVector,
    ) -> Result<(), Box<dyn Error>> {
        let rows = input.len();
        let (numbers, lengths) = (input.flat_vector(0), input.flat_vector(1));
        let mut out = output.flat_vector();
        for row in 0..rows {
            if numbers.row_is_null(row as u64) || lengths.row_is_null(row as u64) {
                out.set_null(row);
                continue;
            }
            // SAFETY: the signature says UBIGINT and BIGINT -> UBIGINT, so that the vectors hold `u64`
            // and `i64`; DuckDB flattens the arguments of a registered function, so that there is one
            // for each of the `rows` rows; the result is a vector of its own.
            unsafe {
                let number = numbers.as_slice_with_len::<u64>(rows)[row];
                let length = lengths.as_slice_with_len::<i64>(rows)[row];
                out.as_mut_slice_with_len::<u64>(rows)[row] = first_digits(number, length);
            }
        }
        Ok(())
    }

    fn signatures() -> Vec<ScalarFunctionSignature> {
        let types = vec![LogicalTypeId::UBigint.into(), LogicalTypeId::Bigint.into()];
        vec![ScalarFunctionSignature::exact(types, LogicalTypeId::UBigint.into())]
    }
}

/// The number that a text is, if it is written as the number is rendered.
fn number(text: &[u8]) -> Option<u64> {
    // Without a sign or a zero before it, of which parsing would think nothing.
    let is_plain = matches!(text, [b'0'] | [b'1'..=b'9', ..]);
    is_plain.then(|| std::str::from_utf8(text).ok()?.parse().ok()).flatten()
}

struct Number;

impl VScalar for Number {
    type State = ();

    fn invoke(
        (): &(),
        input: &mut DataChunkHandle,
        output: &mut dyn WritableVector,
    ) -> Result<(), Box<dyn Error>> {
        let rows = input.len();
        let texts = input.flat_vector(0);
        let mut out = output.flat_vector();
        for row in 0..rows {
            if texts.row_is_null(row as u64) {
                out.set_null(row);
                continue;
            }
            // SAFETY: as in `Function::invoke`: VARCHAR, flat, not NULL, kept alive by `input`.
            let mut text = unsafe { texts.as_slice_with_len::<duckdb_string_t>(rows)[row] };
            match number(DuckString::new(&mut text).as_bytes()) {
                // SAFETY: the signature says UBIGINT; nothing else borrows the result.
                Some(number) => unsafe {
                    out.as_mut_slice_with_len::<u64>(rows)[row] = number;
                },
                None => out.set_null(row),
            }
        }
        Ok(())
    }

    fn signatures() -> Vec<ScalarFunctionSignature> {
        let types = vec![LogicalTypeId::Varchar.into()];
        vec![ScalarFunctionSignature::exact(types, LogicalTypeId::UBigint.into())]
    }
}

#[cfg(test)]
mod tests {
    use super::{first_digits, number};

    #[test]
    fn a_number_is_cut_like_its_text() {
        for n in [0, 7, 10, 999, 1000, 1_234_567_890_123_456_789, u64::MAX] {
            for length in 1..25 {
                let mut text = n.to_string();
                text.truncate(length);
                let cut = first_digits(n, i64::try_from(length).expect("small"));
                assert_eq!(cut.to_string(), text, "{n} to {length}");
            }
        }
    }

    #[test]
    fn only_what_a_number_is_rendered_as_is_one() {
        for n in [0, 7, 10, u64::MAX] {
            assert_eq!(number(n.to_string().as_bytes()), Some(n));
        }
        for text in ["", "00", "07", "+7", "-7", " 7", "7 ", "7a", "18446744073709551616", "٧"] {
            assert_eq!(number(text.as_bytes()), None, "{text:?}");
        }
    }
}
