//! Draws cases from a seed: writes of every sort, by three managers, to kinds
//! that are built in and to custom ones of random schemas, most of them valid.

mod draw;
mod episode;
mod shape;
mod shrink;
mod sketch;

pub use episode::Generator;
pub use shrink::shrink;
