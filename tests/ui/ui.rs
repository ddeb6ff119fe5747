//! Mistakes that the compiler reports, with the words it reports them in.
//!
//! A case is `<topic>/<case>.rs`; what the compiler says of it is in `<topic>/<case>.stderr`. Names
//! and bounds are checked before constants are evaluated, and the first hide the second: a case has
//! mistakes of one kind. `cargo xtask bless` writes the outputs; reading them is the test.

#[test]
fn ui() {
    trybuild::TestCases::new().compile_fail("*/*.rs");
}
