//! Draws cases from a seed: writes of every sort, by three managers, to kinds
//! that are built in and to custom ones of random schemas, most of them valid;
//! and of objects that own each other.

mod custom;
mod draw;
mod episode;
mod garbage;
mod shape;
mod shrink;
mod sketch;
mod writes;

pub use episode::Generator;
pub use shrink::shrink;
