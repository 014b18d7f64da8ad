//! Whole turns through the engine, as text: a scripted model, real pipeline, real tools, everything else in memory.

mod asides;
mod banking;
mod branches;
mod canvas;
mod harness;
mod images;
mod jobs;
mod known;
mod rest;
mod sessions;
mod shortcuts;
mod taint;
mod trust;
mod turns;
mod undo;
mod written;
