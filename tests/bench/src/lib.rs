//! What the benchmarks share: the workload, processes and their costs, tables.
//!
//! Each benchmark runs Trimtab and its peer alternately in one run, so that what
//! else the machine does falls on both, and reports the least and the median.
//! The figures that last are the ratios.
#![forbid(unsafe_code)]

pub mod guests;
pub mod native;
pub mod process;
pub mod report;
pub mod site;
