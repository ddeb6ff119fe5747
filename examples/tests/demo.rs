//! The demo on `sample`: what it prints is in a snapshot, and the README shows the same.

use std::fs;
use std::path::Path;

use metaxy_examples::demo;

#[tokio::test]
async fn each_change_costs_what_the_readme_says() {
    let member = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut out = Vec::new();
    demo::run(&member.join("sample"), None, &mut out).await.unwrap();
    let out = String::from_utf8(out).unwrap();
    insta::assert_snapshot!(out);

    for readme in ["README.md", "../README.md"] {
        let readme = fs::read_to_string(member.join(readme)).unwrap();
        let blocks = readme.split("```").skip(1).step_by(2);
        // Other blocks of text show what other programs print.
        let tables = blocks.filter_map(|block| block.strip_prefix("text\n"));
        let shown: Vec<&str> = tables.filter(|block| block.contains('┌')).collect();
        assert!(!shown.is_empty());
        for block in shown {
            assert!(out.contains(block.trim_end()), "a README shows what is not printed:\n{block}");
        }
    }
}
