//! The page of a graph in headless Chromium, with the mouse and with keys.

#[path = "../../../examples/src/features.rs"]
#[expect(unreachable_pub, reason = "in the examples, these are public")]
mod features;

mod browser;
mod graphs;
mod picture;
mod size;

use browser::Browser;
use metaxy::look::Look;
use serde_json::{Value, json};

fn open(look: &Look<'_>) -> Browser {
    let mut browser = Browser::start(1440, 900);
    browser.open(&look.html());
    browser
}

/// The names of the fields that are lit, with the way on which they are.
fn lit(browser: &mut Browser) -> Vec<String> {
    let names = browser.eval(
        "[...document.querySelectorAll('.field.lit')].map((e) => { \
         const way = ['up', 'down', 'chosen'].filter((w) => e.classList.contains(w)).join(); \
         return way + ' ' + e.querySelector('title').textContent; }).sort()",
    );
    names.as_array().unwrap().iter().map(|name| name.as_str().unwrap().to_owned()).collect()
}

/// The selector of a field.
fn field(browser: &mut Browser, name: &str) -> String {
    let place = browser.eval(&format!(
        "[...document.querySelectorAll('.field')].filter((e) => \
         e.querySelector('title').textContent === {name:?}).map((e) => [e.dataset.f, e.dataset.p])[0]"
    ));
    let part =
        |i: usize| place[i].as_str().unwrap_or_else(|| panic!("no field `{name}`")).to_owned();
    format!(".field[data-f='{}'][data-p='{}']", part(0), part(1))
}

fn focused(browser: &mut Browser) -> String {
    browser.text("document.activeElement.getAttribute('aria-label') ?? document.activeElement.id")
}

fn count(browser: &mut Browser, selector: &str) -> Value {
    browser.eval(&format!("document.querySelectorAll({selector:?}).length"))
}

const PATH_OF_FACES: [&str; 5] = [
    "chosen media/faces.boxes",
    "down media/summary.people",
    "up media/crop.frames",
    "up media/video.frames",
    "up media/video.sound",
];

#[test]
fn a_click_lights_exactly_the_path_of_a_field() {
    let graph = graphs::media();
    let mut browser = open(&graphs::with_states(Look::new(&graph)));
    assert!(lit(&mut browser).is_empty());
    let faces = field(&mut browser, "media/faces.boxes");
    browser.click(&faces);
    assert_eq!(lit(&mut browser), PATH_OF_FACES);
    // Four lines: two into the crop's frames, one on to the faces, one to the summary.
    assert_eq!(count(&mut browser, ".edge.lit"), 4);
    assert_eq!(count(&mut browser, ".edge.lit.up"), 3);
    assert_eq!(
        browser.text("document.querySelector('#panel h2').textContent"),
        "media/faces.boxes"
    );
    let panel = browser.text("document.querySelector('#panel').innerText");
    let panel = panel.replace('\n', "");
    for text in [
        "Faces in <b>every</b> frame",
        "ownerada",
        "runs_ongpu-pool",
        "code version2026-01",
        "media/crop.frames",
        "relationexpansion on video_id",
        "filtersize > 3 AND path LIKE '%\"<x>'",
        "1,204 records",
        "17stale",
    ] {
        assert!(panel.contains(text), "`{text}` is not in: {panel}");
    }
    // The same field once more, and nothing is chosen.
    browser.click(&faces);
    assert!(lit(&mut browser).is_empty());
    assert_eq!(browser.eval("document.querySelector('#panel').hidden"), true);
    // A field beside others of its feature, whose ways are not its own.
    let sound = field(&mut browser, "media/crop.sound");
    browser.click(&sound);
    assert_eq!(lit(&mut browser), ["chosen media/crop.sound", "up media/video.sound"]);
    browser.click(&sound);
    assert_eq!(browser.complaints(), Vec::<String>::new());
}

#[test]
fn keys_do_what_the_mouse_does() {
    let graph = graphs::media();
    let mut browser = open(&Look::new(&graph));
    // Search comes first in the order of Tab, then the tools, then one place of the graph.
    browser.press("Tab");
    assert_eq!(focused(&mut browser), "Search features and fields");
    let mut steps = 0;
    while !focused(&mut browser).starts_with("media/video, feature") {
        browser.press("Tab");
        steps += 1;
        assert!(steps < 10, "the graph cannot be reached: {}", focused(&mut browser));
    }
    browser.press("ArrowDown");
    browser.press("ArrowDown");
    assert!(focused(&mut browser).starts_with("media/video.sound"), "{}", focused(&mut browser));
    browser.press("ArrowUp");
    assert!(focused(&mut browser).starts_with("media/video.frames"));
    browser.press("ArrowRight");
    assert!(focused(&mut browser).starts_with("media/crop.frames"), "{}", focused(&mut browser));
    browser.press("ArrowRight");
    assert!(focused(&mut browser).starts_with("media/faces.boxes"), "{}", focused(&mut browser));
    browser.press("Enter");
    assert_eq!(lit(&mut browser), PATH_OF_FACES);
    assert_eq!(browser.eval("document.activeElement.getAttribute('aria-pressed')"), "true");
    let said = browser.text("document.querySelector('#said').textContent");
    assert_eq!(said, "media/faces.boxes: 3 fields upstream, 1 field downstream");
    browser.press("ArrowLeft");
    assert!(focused(&mut browser).starts_with("media/crop.frames"));
    browser.press("Escape");
    assert!(lit(&mut browser).is_empty());
    browser.press("Home");
    assert!(focused(&mut browser).starts_with("media/video, feature"));
    // What has the focus can be seen to have it.
    let stroke = "getComputedStyle(document.activeElement.querySelector('.band')).stroke";
    assert_ne!(browser.text(stroke), "none");
    browser.press("?");
    assert_eq!(browser.eval("document.querySelector('#help').open"), true);
    browser.press("Escape");
    assert_eq!(browser.eval("document.querySelector('#help').open"), false);
    assert_eq!(browser.complaints(), Vec::<String>::new());
}

#[test]
fn search_finds_keys_fields_descriptions_and_owners() {
    let graph = graphs::media();
    let mut browser = open(&Look::new(&graph));
    let found = |browser: &mut Browser, text: &str| {
        browser.press("/");
        assert_eq!(focused(browser), "Search features and fields");
        browser.eval("document.querySelector('#search').value = ''");
        browser.write(text);
        browser.eval("[...document.querySelectorAll('#found .what')].map((e) => e.textContent)")
    };
    assert_eq!(found(&mut browser, "summ"), json!(["media/summary", "media/summary.people"]));
    assert_eq!(found(&mut browser, "boxes"), json!(["media/faces.boxes"]));
    assert_eq!(found(&mut browser, "gpu-pool"), json!(["media/faces"]));
    assert_eq!(found(&mut browser, "every frame"), json!(["media/faces"]));
    assert_eq!(count(&mut browser, ".card.hit"), 1);
    assert_eq!(found(&mut browser, "<script>"), json!(["media/video"]));
    assert_eq!(found(&mut browser, "nothing like it"), json!([]));
    assert_eq!(found(&mut browser, "boxes"), json!(["media/faces.boxes"]));
    browser.press("Enter");
    assert_eq!(lit(&mut browser), PATH_OF_FACES);
    assert!(focused(&mut browser).starts_with("media/faces.boxes"));
    assert_eq!(browser.complaints(), Vec::<String>::new());
}

#[test]
fn dark_follows_the_system_and_the_switch() {
    let graph = graphs::media();
    let mut browser = open(&Look::new(&graph));
    let ground = "getComputedStyle(document.body).backgroundColor";
    let card = "getComputedStyle(document.querySelector('.box')).fill";
    let light = (browser.text(ground), browser.text(card));
    assert_eq!(light, ("rgb(247, 247, 245)".to_owned(), "rgb(255, 255, 255)".to_owned()));
    let dark = ("rgb(16, 19, 23)".to_owned(), "rgb(24, 28, 34)".to_owned());
    browser.press("t");
    assert_eq!((browser.text(ground), browser.text(card)), dark);
    browser.click("#theme");
    assert_eq!((browser.text(ground), browser.text(card)), light);
    browser.click("#theme");
    browser.prefer(&[("prefers-color-scheme", "dark")]);
    assert_eq!((browser.text(ground), browser.text(card)), dark);
}

/// Names and texts that would be markup, and a policy that allows nothing but the page itself.
#[test]
fn texts_of_users_stay_texts() {
    let graph = graphs::media();
    let mut browser = open(&Look::new(&graph));
    assert_eq!(browser.eval("window.attacked"), Value::Null);
    assert_eq!(count(&mut browser, "script"), 2);
    assert_eq!(count(&mut browser, "#canvas b, #panel b:not(.states b)"), 0);
    let video = ".head[data-f='0']";
    browser.click(video);
    let about = browser.text("document.querySelector('#panel .about').textContent");
    assert_eq!(about, graphs::NASTY);
    assert_eq!(browser.complaints(), Vec::<String>::new());
    // What is added later runs as little.
    browser.eval(
        "document.body.insertAdjacentHTML('beforeend', '<img src=x onerror=\"window.attacked = 1\">'); \
         const s = document.createElement('script'); s.textContent = 'window.attacked = 1'; \
         document.body.append(s); new Promise((done) => setTimeout(done, 50))",
    );
    assert_eq!(browser.eval("window.attacked"), Value::Null);
    assert!(!browser.complaints().is_empty(), "nothing was forbidden");
}

#[test]
fn wheel_drag_and_buttons_move_the_drawing() {
    let graph = graphs::media();
    let mut browser = open(&Look::new(&graph));
    let place = "document.querySelector('#world').getAttribute('transform')";
    let before = browser.text(place);
    browser.wheel(700.0, 450.0, -300.0);
    let zoomed = browser.text(place);
    assert_ne!(before, zoomed);
    // A drag that begins on a card moves it and chooses nothing.
    for (kind, x, buttons) in
        [("mousePressed", 700.0, 1), ("mouseMoved", 720.0, 1), ("mouseMoved", 800.0, 1)]
    {
        browser.mouse(kind, x, 450.0, buttons);
    }
    browser.mouse("mouseReleased", 800.0, 450.0, 0);
    assert_ne!(browser.text(place), zoomed);
    assert!(lit(&mut browser).is_empty());
    browser.press("0");
    assert_eq!(browser.text(place), before);
}
