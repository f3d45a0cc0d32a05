//! What a command shows while it runs: in a terminal a region at the bottom
//! that is drawn anew, with lines that pass above it; elsewhere plain lines.

use std::{
    io::{self, IsTerminal, Write},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use rustix::termios::tcgetwinsize;
use tracing_subscriber::fmt::MakeWriter;

/// Where the system does not say how wide the terminal is.
const COLUMNS_DEFAULT: u16 = 80;
const ROWS_DEFAULT: u16 = 24;

/// Standard output and, in a terminal, the region at its bottom.
#[derive(Clone)]
pub struct Screen {
    is_terminal: bool,
    region: Arc<Mutex<Region>>,
}

/// What stands at the bottom.
#[derive(Default)]
struct Region {
    lines: Vec<String>,
    /// Rows that it takes now.
    rows: usize,
}

impl Screen {
    /// Of this process.
    pub fn new() -> Self {
        let dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb");
        let is_terminal = io::stdout().is_terminal() && io::stderr().is_terminal() && !dumb;
        Self { is_terminal, region: Arc::default() }
    }

    /// Whether there is a region to be drawn.
    pub fn is_terminal(&self) -> bool {
        self.is_terminal
    }

    /// Prints text of this program or of a command it ran, above the region.
    pub fn say(&self, line: &str) {
        self.print(&format!("{line}\n"));
    }

    /// Draws other lines into the region.
    pub fn draw(&self, lines: Vec<String>) {
        let mut region = self.region();
        if self.is_terminal && region.lines != lines {
            region.lines = lines;
            let text = region.cleared() + &region.drawn();
            write_out(&text);
        }
    }

    /// Leaves what is drawn where it is: what comes next comes below.
    pub fn leave(&self) {
        *self.region() = Region::default();
    }

    /// Prints text that ends a line, above the region.
    fn print(&self, text: &str) {
        let mut region = self.region();
        let text = if self.is_terminal { region.cleared() + text + &region.drawn() } else { text.to_owned() };
        write_out(&text);
    }

    fn region(&self) -> MutexGuard<'_, Region> {
        // It is only lines: a panic elsewhere leaves nothing half done.
        self.region.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Region {
    /// What takes it away: up to its first row, and clear from there.
    fn cleared(&mut self) -> String {
        match std::mem::take(&mut self.rows) {
            0 => String::new(),
            rows => format!("\x1b[{rows}A\r\x1b[J"),
        }
    }

    /// What puts it there: as many lines as there is room for, each cut to one row.
    fn drawn(&mut self) -> String {
        let (columns, rows) = size();
        let shown = self.lines.len().min(rows.saturating_sub(1));
        self.rows = shown;
        self.lines[..shown].iter().map(|line| cut(&one_line(line), columns) + "\n").collect()
    }
}

fn size() -> (usize, usize) {
    let size = tcgetwinsize(io::stdout()).ok().filter(|size| size.ws_col > 0 && size.ws_row > 0);
    let (columns, rows) = size.map_or((COLUMNS_DEFAULT, ROWS_DEFAULT), |size| (size.ws_col, size.ws_row));
    (columns.into(), rows.into())
}

/// Text from elsewhere as one line: its first one, without what moves a cursor.
pub fn one_line(text: &str) -> String {
    let line = text.lines().next().unwrap_or_default();
    line.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

/// The characters of a line that fit into a row.
fn cut(line: &str, columns: usize) -> String {
    if line.chars().count() <= columns {
        return line.to_owned();
    }
    line.chars().take(columns.saturating_sub(1)).chain(['…']).collect()
}

fn write_out(text: &str) {
    let mut out = io::stdout().lock();
    // Whoever reads this may be gone, and then there is nobody to tell.
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

/// The log in a terminal: its lines pass above the region.
impl<'a> MakeWriter<'a> for Screen {
    type Writer = Line;

    fn make_writer(&'a self) -> Line {
        Line { screen: self.clone(), text: Vec::new() }
    }
}

/// One line of the log, printed whole.
pub struct Line {
    screen: Screen,
    text: Vec<u8>,
}

impl Write for Line {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.text.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        if !self.text.is_empty() {
            self.screen.print(&String::from_utf8_lossy(&self.text));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_cut_to_the_row_it_has() {
        assert_eq!(cut("häuser", 6), "häuser");
        assert_eq!(cut("häuser", 5), "häus…");
    }

    #[test]
    fn text_from_elsewhere_cannot_leave_its_row() {
        assert_eq!(one_line("no \x1b[2J\tway\r\nmore"), "no \u{fffd}[2J\u{fffd}way");
        let mut region = Region { lines: vec!["a\nb\nc".into(), String::new()], rows: 0 };
        assert_eq!(region.drawn(), "a\n\n");
        assert_eq!(region.rows, 2);
    }

    #[test]
    fn a_region_is_taken_away_by_as_many_rows_as_it_took() {
        let mut region = Region { lines: vec!["a".into(), "b".into()], rows: 0 };
        assert_eq!(region.cleared(), "");
        assert_eq!(region.drawn(), "a\nb\n");
        assert_eq!(region.cleared(), "\x1b[2A\r\x1b[J");
        assert_eq!(region.cleared(), "", "once");
    }
}
