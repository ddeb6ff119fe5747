//! A headless Chromium with one page, spoken to over two pipes: Chromium's own protocol, a JSON text and
//! a zero byte per message.
//!
//! Keys and clicks are those of a user, not calls of a script. Nothing listens on a port, and Chromium
//! ends when its pipe does, in whichever way the test ends.

use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

pub(crate) struct Browser {
    process: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
    next_id: u64,
    session: Option<String>,
    /// What the page complained about: exceptions, and what its policy forbids.
    complaints: Vec<String>,
    folder: TempDir,
}

impl Browser {
    /// A page of this size, in pixels.
    pub(crate) fn start(width: u32, height: u32) -> Self {
        let program = test_servers::chromium().expect(test_servers::CHROMIUM_MISSING);
        let folder = tempfile::Builder::new().prefix("metaxy-page-").tempdir().unwrap();
        // Chromium reads from its third descriptor and writes to its fourth, which only a shell can give
        // it without unsafe code.
        let mut process = Command::new("sh")
            .args(["-c", "exec \"$0\" \"$@\" 3<&0 4>&1 </dev/null >/dev/null 2>&1"])
            .arg(program)
            .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic"])
            .args(["--no-first-run", "--disable-background-networking", "--disable-sync"])
            .args(["--disable-component-update", "--disable-dev-shm-usage", "--hide-scrollbars"])
            .args(["--remote-debugging-pipe", "--force-device-scale-factor=1"])
            .arg(format!("--window-size={width},{height}"))
            .arg(format!("--user-data-dir={}", folder.path().join("profile").display()))
            .arg("about:blank")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("a shell");
        let input = process.stdin.take();
        let output = BufReader::new(process.stdout.take().unwrap());
        let mut browser = Self {
            process,
            input,
            output,
            next_id: 0,
            session: None,
            complaints: Vec::new(),
            folder,
        };
        let targets = browser.call("Target.getTargets", json!({}));
        let targets = targets["targetInfos"].as_array().unwrap();
        let page = targets.iter().find(|target| target["type"] == "page").expect("a page");
        let attach = json!({ "targetId": page["targetId"], "flatten": true });
        let session = browser.call("Target.attachToTarget", attach);
        browser.session = Some(session["sessionId"].as_str().unwrap().to_owned());
        for domain in ["Page", "Runtime", "Log"] {
            browser.call(&format!("{domain}.enable"), json!({}));
        }
        let size =
            json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": false });
        browser.call("Emulation.setDeviceMetricsOverride", size);
        // No test waits for an animation, and none looks at half of one.
        browser.prefer(&[("prefers-reduced-motion", "reduce"), ("prefers-color-scheme", "light")]);
        // Whatever the page would fetch, it cannot.
        browser.call("Network.enable", json!({}));
        let offline = json!({ "offline": true, "latency": 0, "downloadThroughput": 0, "uploadThroughput": 0 });
        browser.call("Network.emulateNetworkConditions", offline);
        browser
    }

    /// Opens a page from a file, as somebody who was sent it does.
    pub(crate) fn open(&mut self, html: &str) {
        let path = self.folder.path().join("graph.html");
        std::fs::write(&path, html).unwrap();
        self.call("Page.navigate", json!({ "url": format!("file://{}", path.display()) }));
        let start = Instant::now();
        while self.eval("location.protocol + document.readyState") != "file:complete" {
            assert!(start.elapsed() < Duration::from_secs(60), "the page does not load");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// What the user prefers.
    pub(crate) fn prefer(&mut self, features: &[(&str, &str)]) {
        let features: Vec<_> =
            features.iter().map(|(name, value)| json!({ "name": name, "value": value })).collect();
        self.call("Emulation.setEmulatedMedia", json!({ "features": features }));
    }

    /// The value of an expression.
    pub(crate) fn eval(&mut self, expression: &str) -> Value {
        let call = json!({ "expression": expression, "returnByValue": true, "awaitPromise": true });
        let mut done = self.call("Runtime.evaluate", call);
        assert!(done["exceptionDetails"].is_null(), "{expression}: {}", done["exceptionDetails"]);
        done["result"]["value"].take()
    }

    /// The value of an expression that gives a text.
    pub(crate) fn text(&mut self, expression: &str) -> String {
        self.eval(expression).as_str().unwrap_or_else(|| panic!("no text: {expression}")).to_owned()
    }

    /// Clicks with the mouse on the middle of an element, which has to be what lies there.
    pub(crate) fn click(&mut self, selector: &str) {
        let place = self.eval(&format!(
            "(() => {{ const e = document.querySelector({selector:?}); \
             const b = e.getBoundingClientRect(); \
             const [x, y] = [b.x + b.width / 2, b.y + b.height / 2]; \
             const hit = document.elementFromPoint(x, y); \
             return [x, y, e.contains(hit)]; }})()"
        ));
        assert_eq!(place[2], true, "something lies over `{selector}` at {place}");
        for (kind, buttons) in [("mouseMoved", 0), ("mousePressed", 1), ("mouseReleased", 0)] {
            self.mouse(kind, place[0].as_f64().unwrap(), place[1].as_f64().unwrap(), buttons);
        }
    }

    /// Something that the mouse does.
    pub(crate) fn mouse(&mut self, kind: &str, x: f64, y: f64, buttons: u32) {
        let button = if kind == "mouseMoved" && buttons == 0 { "none" } else { "left" };
        let event = json!({
            "type": kind, "x": x, "y": y, "button": button, "buttons": buttons, "clickCount": 1,
        });
        self.call("Input.dispatchMouseEvent", event);
    }

    /// Turns the wheel over a place.
    pub(crate) fn wheel(&mut self, x: f64, y: f64, by: f64) {
        let event = json!({ "type": "mouseWheel", "x": x, "y": y, "deltaX": 0, "deltaY": by });
        self.call("Input.dispatchMouseEvent", event);
    }

    /// Presses a key by its name; a single character is typed.
    pub(crate) fn press(&mut self, key: &str) {
        let code = match key {
            "Enter" => 13,
            "Escape" => 27,
            "Tab" => 9,
            "End" => 35,
            "Home" => 36,
            "ArrowLeft" => 37,
            "ArrowUp" => 38,
            "ArrowRight" => 39,
            "ArrowDown" => 40,
            _ => 0,
        };
        let text = match key {
            "Enter" => Some("\r"),
            _ if key.chars().count() == 1 => Some(key),
            _ => None,
        };
        let mut down = json!({ "type": "keyDown", "key": key, "windowsVirtualKeyCode": code });
        if let Some(text) = text {
            down["text"] = text.into();
        }
        self.call("Input.dispatchKeyEvent", down);
        let up = json!({ "type": "keyUp", "key": key, "windowsVirtualKeyCode": code });
        self.call("Input.dispatchKeyEvent", up);
    }

    /// Types a text, character by character.
    pub(crate) fn write(&mut self, text: &str) {
        for c in text.chars() {
            self.press(c.encode_utf8(&mut [0; 4]));
        }
    }

    /// What is seen, as PNG.
    pub(crate) fn screenshot(&mut self, path: &Path) {
        let shot = self.call("Page.captureScreenshot", json!({ "format": "png" }));
        let png = shot["data"].as_str().unwrap();
        std::fs::write(
            path,
            base64::Engine::decode(&base64::prelude::BASE64_STANDARD, png).unwrap(),
        )
        .unwrap();
    }

    /// What the page complained about since it was opened.
    pub(crate) fn complaints(&mut self) -> Vec<String> {
        // An answer comes after all that happened before it.
        self.eval("1");
        std::mem::take(&mut self.complaints)
    }

    fn call(&mut self, method: &str, params: impl Into<Value>) -> Value {
        self.next_id += 1;
        let id = self.next_id;
        let mut message = json!({ "id": id, "method": method });
        message["params"] = params.into();
        if let Some(session) = &self.session {
            message["sessionId"] = session.as_str().into();
        }
        let input = self.input.as_mut().expect("it is there until the end");
        let sent = write!(input, "{message}\0").and_then(|()| input.flush());
        sent.expect("Chromium runs");
        loop {
            let mut answer = Vec::new();
            self.output.read_until(0, &mut answer).expect("Chromium answers");
            assert_eq!(answer.pop(), Some(0), "Chromium has ended during `{method}`");
            let mut answer: Value = serde_json::from_slice(&answer).unwrap();
            if answer["id"] == id {
                assert!(answer["error"].is_null(), "{method}: {}", answer["error"]);
                return answer["result"].take();
            }
            self.note(&answer);
        }
    }

    /// Keeps what is an error.
    fn note(&mut self, event: &Value) {
        let params = &event["params"];
        let complaint = match event["method"].as_str() {
            Some("Runtime.exceptionThrown") => Some(&params["exceptionDetails"]),
            Some("Log.entryAdded") if params["entry"]["level"] == "error" => Some(&params["entry"]),
            Some("Runtime.consoleAPICalled") => Some(&params["args"]),
            _ => None,
        };
        self.complaints.extend(complaint.map(ToString::to_string));
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // The end of its pipe ends it.
        drop(self.input.take());
        drop(self.process.wait());
    }
}
