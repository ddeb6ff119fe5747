//! Compile-fail cases: `<topic>/<case>.rs` is compiled, and what the compiler says is in
//! `<topic>/<case>.stderr`. `cargo xtask bless` writes the expected texts.

#[test]
fn ui() {
    trybuild::TestCases::new().compile_fail("*/*.rs");
}
