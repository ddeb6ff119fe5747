//! A string that is built in a constant.

/// Room for any message; what does not fit is cut.
const CAPACITY: usize = 1024;

/// A message that is being written.
pub(super) struct Message {
    bytes: [u8; CAPACITY],
    len: usize,
}

impl Message {
    /// An empty message.
    pub(super) const fn new() -> Self {
        Self { bytes: [0; CAPACITY], len: 0 }
    }

    /// With this text appended; whole, or not at all.
    pub(super) const fn text(mut self, text: &str) -> Self {
        let text = text.as_bytes();
        if self.len + text.len() <= CAPACITY {
            let mut i = 0;
            while i < text.len() {
                self.bytes[self.len] = text[i];
                self.len += 1;
                i += 1;
            }
        }
        self
    }

    /// With this name appended, in backticks.
    pub(super) const fn name(self, name: &str) -> Self {
        self.text("`").text(name).text("`")
    }

    /// With the path of an item appended, in backticks.
    pub(super) const fn path(self, module: &str, name: &str) -> Self {
        self.text("`").text(module).text("::").text(name).text("`")
    }

    /// Stops the evaluation with this message.
    #[track_caller]
    pub(super) const fn panic(self) -> ! {
        match str::from_utf8(self.bytes.split_at(self.len).0) {
            Ok(text) => panic!("{}", text),
            Err(_) => panic!("the definition is wrong"),
        }
    }
}

/// Whether two texts are the same.
pub(super) const fn same(a: &str, b: &str) -> bool {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    if a.len() != b.len() {
        return false;
    }
    let mut i = 0;
    while i < a.len() {
        if a[i] != b[i] {
            return false;
        }
        i += 1;
    }
    true
}
