use super::*;

#[test]
fn reads_a_comparison() {
    let columns = [Column { name: "n".to_owned(), ty: None }];
    assert!(parse("n > 3", &columns).is_ok());
}
