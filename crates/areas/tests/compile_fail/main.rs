//! Programs that must not compile, and what the compiler says of them.

#[test]
fn what_must_not_compile() {
    trybuild::TestCases::new().compile_fail("tests/compile_fail/[!m]*.rs");
}
