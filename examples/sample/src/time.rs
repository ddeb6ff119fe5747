//! Times of day.

/// A time of day, in minutes.
pub struct Time(u16);

impl Time {
    /// Reads `hh:mm`.
    pub fn new(text: &str) -> Time {
        let (hours, minutes) = text.split_once(':').unwrap_or((text, "0"));
        Time(hours.parse::<u16>().unwrap_or(0) * 60 + minutes.parse::<u16>().unwrap_or(0))
    }

    /// Whether it is later than noon.
    pub fn is_ahead(&self) -> bool {
        self.0 > 12 * 60
    }
}
