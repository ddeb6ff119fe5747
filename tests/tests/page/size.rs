//! A graph of three hundred features: drawn in time, and used with no delay that one would notice.

use super::{Browser, count, field, focused, graphs, lit};
use metaxy::look::Look;
use std::time::{Duration, Instant};

#[test]
fn three_hundred_features_are_usable() {
    let graph = graphs::large();
    let look = Look::new(&graph);
    let start = Instant::now();
    let html = look.html();
    let drawn = start.elapsed();
    println!("{} features drawn in {drawn:?}, {} KiB", graph.len(), html.len() / 1024);
    // A second is promised for a release build on a machine of one's own.
    assert!(drawn < Duration::from_secs(6), "{drawn:?}");

    let mut browser = Browser::start(1440, 900);
    let start = Instant::now();
    browser.open(&html);
    println!("opened in {:?}", start.elapsed());
    assert_eq!(count(&mut browser, ".card"), 300);
    assert_eq!(count(&mut browser, ".field"), 1500);

    browser.press("/");
    browser.write("step_7.faces stage_7");
    browser.press("Enter");
    assert!(focused(&mut browser).starts_with("stage_7/step_7.faces"), "{}", focused(&mut browser));
    let path = lit(&mut browser);
    assert!(path.contains(&"up stage_0/step_7.faces".to_owned()), "{path:?}");
    assert!(path.contains(&"down stage_14/step_7.faces".to_owned()), "{path:?}");
    assert!(path.iter().all(|name| name.ends_with(".faces")), "{path:?}");

    // What was found can be seen and clicked.
    browser.press("Escape");
    let selector = field(&mut browser, "stage_7/step_7.faces");
    browser.click(&selector);
    assert_eq!(lit(&mut browser), path);

    // The page's own time for lighting a path and for drawing it again at another scale.
    let spent = browser.eval(
        "new Promise((done) => { const start = performance.now(); let n = 0; \
         const step = () => { document.querySelector(n % 2 ? '#zoom-in' : '#zoom-out').click(); \
         if (++n < 10) requestAnimationFrame(step); else done((performance.now() - start) / n); }; \
         requestAnimationFrame(step); })",
    );
    println!("{spent} ms per frame");
    assert!(spent.as_f64().unwrap() < 400.0, "{spent} ms per frame");
    assert_eq!(browser.complaints(), Vec::<String>::new());
}
