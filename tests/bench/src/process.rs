//! What a process has used, as Linux tells it.

use std::{fs, io, time::Duration};

use rustix::{
    param::clock_ticks_per_second,
    time::{ClockId, clock_gettime},
};

/// CPU time of this process.
pub fn own_cpu() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// What another process has used.
#[derive(Debug, Clone, Copy, Default)]
pub struct Usage {
    /// CPU time, of the system for it included.
    pub cpu: Duration,
    /// The same of its children that have ended: compilations.
    pub children_cpu: Duration,
    /// Memory that it has in RAM and shares with no file.
    pub anonymous_kib: u64,
    /// All memory that it has in RAM.
    pub resident_kib: u64,
}

/// What the process `pid` has used. CPU time comes in steps of 10 ms.
pub fn usage(pid: u32) -> io::Result<Usage> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The name, in parentheses, may hold anything.
    let after_name = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    let fields: Vec<&str> = after_name.split_whitespace().collect();
    let ticks = |number: usize| fields.get(number).and_then(|field| field.parse::<u64>().ok()).unwrap_or_default();
    let time = |ticks: u64| Duration::from_secs_f64(ticks as f64 / clock_ticks_per_second() as f64);
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let kib = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
        line.split_whitespace().next().and_then(|number| number.parse().ok()).unwrap_or_default()
    };
    Ok(Usage {
        // utime, stime, cutime and cstime: fields 14 to 17, of which two come before the third.
        cpu: time(ticks(11) + ticks(12)),
        children_cpu: time(ticks(13) + ticks(14)),
        anonymous_kib: kib("RssAnon:"),
        resident_kib: kib("VmRSS:"),
    })
}
