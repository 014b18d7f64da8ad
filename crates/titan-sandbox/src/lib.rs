//! Places to work and the one way out.
//!
//! [`HostWorkbench`] is the person's own machine as a [`Workbench`](titan_protocol::Workbench): paths are resolved
//! before they are used, files are replaced whole, programs run confined by the operating system, with a clean
//! environment, and end as a whole tree. [`GuardedEgress`] is the network as an [`Egress`](titan_protocol::Egress): the address
//! that is dialled is the address that was checked, secrets go to their own host only, and offline means offline.
//!
//! Nothing here decides *whether* a step may happen; that is policy's. What is here holds whatever policy says.

mod egress;
mod host;

pub use egress::{EgressConfig, EgressConfigError, GuardedEgress, ProxyConfig};
pub use host::{Confinement, HostConfig, HostError, HostWorkbench, Kept, Part, open_closed};
