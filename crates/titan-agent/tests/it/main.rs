//! Whole turns through the engine, as text: a scripted model, real pipeline, real tools, everything else in memory.

mod harness;
mod sessions;
mod turns;
