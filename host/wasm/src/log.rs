//! What a guest said: its log lines, and what it wrote to stdout and stderr.
//! Bounded, and the newest is kept: what came last before a trap tells why.

use std::{collections::VecDeque, fmt::Write};

use crate::contract::Level;

/// Longest line that is kept. A hundred of them are 400 KiB for a call: with
/// the 64 calls in flight less than one guest may hold itself.
pub const LINE_BYTES_MAX: usize = 4096;

/// How much of the log is put into the text of a failure: what an Event's
/// message (1,024 bytes) can hold beside the failure itself.
const TAIL_BYTES_MAX: usize = 768;

/// The newest lines of one call.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Log {
    lines: VecDeque<Line>,
    lines_max: usize,
    dropped: u64,
}

/// One line, without its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// How much it matters; stdout is `Info`, stderr is `Warn`.
    pub level: Level,
    /// At most [`LINE_BYTES_MAX`] bytes.
    pub text: String,
}

impl Log {
    pub(crate) fn new(lines_max: usize) -> Self {
        Self { lines: VecDeque::new(), lines_max, dropped: 0 }
    }

    /// The newest lines, the oldest of them first.
    pub fn lines(&self) -> impl ExactSizeIterator<Item = &Line> {
        self.lines.iter()
    }

    /// How many older lines were dropped.
    pub fn dropped(&self) -> u64 {
        self.dropped
    }

    pub(crate) fn push(&mut self, level: Level, text: &str) {
        while self.lines.len() >= self.lines_max.max(1) {
            self.lines.pop_front();
            self.dropped += 1;
        }
        self.lines.push_back(Line { level, text: cut(text, LINE_BYTES_MAX).to_owned() });
    }

    /// The last lines, for the text of a failure.
    pub(crate) fn tail(&self) -> String {
        let mut kept = 0;
        let fits = |line: &&Line| {
            kept += line.text.len() + 1;
            kept <= TAIL_BYTES_MAX
        };
        let newest_first: Vec<_> = self.lines.iter().rev().take_while(fits).collect();
        let mut tail = String::new();
        for line in newest_first.into_iter().rev() {
            let end = if tail.is_empty() { "" } else { "\n" };
            write!(tail, "{end}{}", line.text).expect("a String takes what it is given");
        }
        if tail.is_empty() {
            tail = self.lines.back().map(|line| cut(&line.text, TAIL_BYTES_MAX).to_owned()).unwrap_or_default();
        }
        tail
    }
}

/// At most `bytes_max` bytes of the text, cut between two characters.
fn cut(text: &str, bytes_max: usize) -> &str {
    &text[..text.floor_char_boundary(bytes_max)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_lines_are_kept_and_the_others_counted() {
        let mut log = Log::new(3);
        (0..10).for_each(|line| log.push(Level::Info, &format!("line {line}")));
        assert_eq!(log.lines().map(|line| line.text.as_str()).collect::<Vec<_>>(), ["line 7", "line 8", "line 9"]);
        assert_eq!(log.dropped(), 7);
        assert_eq!(log.tail(), "line 7\nline 8\nline 9");
    }

    #[test]
    fn a_long_line_is_cut_between_two_characters() {
        let mut log = Log::new(3);
        log.push(Level::Info, &"é".repeat(LINE_BYTES_MAX));
        assert_eq!(log.lines().next().unwrap().text.len(), LINE_BYTES_MAX);
        assert_eq!(log.tail().len(), TAIL_BYTES_MAX);
        log.push(Level::Info, &format!("x{}", "é".repeat(LINE_BYTES_MAX)));
        assert_eq!(log.lines().nth(1).unwrap().text.len(), LINE_BYTES_MAX - 1);
    }

    #[test]
    fn the_tail_is_whole_lines_up_to_its_limit() {
        let mut log = Log::new(100);
        log.push(Level::Info, &"a".repeat(TAIL_BYTES_MAX));
        log.push(Level::Info, "b");
        assert_eq!(log.tail(), "b");
    }
}
