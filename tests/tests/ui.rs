//! Mistakes that the compiler reports, with the words it reports them in.
//!
//! A case is a file in `ui/<topic>/`; its accepted output is the `.stderr` beside it. Names and
//! bounds are checked before constants are evaluated, and the first hide the second: a case has
//! mistakes of one kind. `cargo xtask bless` writes the outputs; reading them is the test.

#[test]
fn ui() {
    trybuild::TestCases::new().compile_fail("ui/*/*.rs");
}
