//! The built program under what machines do to it: kills, power cuts, a full disk, a disk that fails.
//!
//! Every test runs a daemon with a scripted model, says things to it over its control socket and writes down what it
//! acknowledged. Then the machine misbehaves. What was acknowledged must be in the journal, no effect may be done twice
//! or be unknown to the journal, and the next engine must be ready within two seconds and say what it recovered.

mod backups;
mod disks;
mod kills;
mod load;
mod place;
mod written;
