//! A real Kubernetes control plane for the tests: etcd, kube-apiserver and
//! kube-controller-manager as processes of this machine, with no container
//! engine. Only tests depend on it.
//!
//! It never skips: where the binaries cannot be had, the test fails and says
//! how to get them. Nothing of it outlives the test, however the test ends.
#![forbid(unsafe_code)]

mod control_plane;
mod eventually;
mod kubeconfig;

pub use control_plane::{ControlPlane, Options, binaries};
pub use eventually::eventually;
