//! The parts by themselves, and whole lives of reflexes: turns in, what is answered without a model out. Components run in
//! the engine's own host.

mod encoded;
mod life;
mod pure;
mod rig;
mod routing;
mod workshop;
mod written;
