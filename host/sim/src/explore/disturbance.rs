//! What can be done to a run, and the names by which a run is repeated.

use std::{fmt, str::FromStr, time::Duration};

use crate::fault::{Stream, What};

/// One thing that goes wrong in a run.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Disturbance {
    /// The host dies just before this write, which is counted from one.
    CrashBefore(usize),
    /// The host dies just after this write, before it hears of it.
    CrashAfter(usize),
    /// At this write the plugins are swapped for the same ones again.
    Swap(usize),
    /// At this write comes the swap that the scenario makes later.
    EarlySwap(usize),
    /// From this step, counted from one, until into the next one, what is
    /// watched of a kind is shown late.
    Stale {
        /// The step.
        step: usize,
        /// The kind, by its plural name.
        resource: String,
    },
    /// From this event on, counted from one for each kind, and for the same time,
    /// what is watched of a kind is not shown at all, only what has come of it.
    Hidden {
        /// The event.
        event: usize,
        /// The kind, by its plural name.
        resource: String,
    },
}

impl Disturbance {
    /// What becomes of the host's watches at a step.
    pub(super) fn stale_at(&self, at: usize, time: Duration) -> Option<What> {
        match self {
            Self::Stale { step, resource } if *step == at => Some(watches(resource, Stream::Held(time))),
            _ => None,
        }
    }

    /// What it is, for people.
    pub fn told(&self) -> String {
        match self {
            Self::CrashBefore(write) => format!("the host crashes just before write {write}"),
            Self::CrashAfter(write) => format!("the host crashes just after write {write}"),
            Self::Swap(write) => format!("the plugins are swapped for themselves at write {write}"),
            Self::EarlySwap(write) => format!("the next swap comes early, at write {write}"),
            Self::Stale { step, resource } => {
                format!("from step {step} into the next, the host's view of {resource} is stale")
            }
            Self::Hidden { event, resource } => {
                format!("before event {event} of {resource} is seen, the watch breaks, and they are listed anew later")
            }
        }
    }
}

/// What happens to the watches of a kind.
pub(super) fn watches(resource: &str, stream: Stream) -> What {
    What::Watches { of: Some(resource.into()), stream }
}

impl fmt::Display for Disturbance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CrashBefore(write) => write!(f, "crash-before:{write}"),
            Self::CrashAfter(write) => write!(f, "crash-after:{write}"),
            Self::Swap(write) => write!(f, "swap:{write}"),
            Self::EarlySwap(write) => write!(f, "early-swap:{write}"),
            Self::Stale { step, resource } => write!(f, "stale:{step}:{resource}"),
            Self::Hidden { event, resource } => write!(f, "hidden:{event}:{resource}"),
        }
    }
}

/// What a name has to look like.
#[derive(Debug, thiserror::Error)]
#[error(
    "{0:?} is no disturbance; crash-before:WRITE, crash-after:WRITE, swap:WRITE, early-swap:WRITE, \
     stale:STEP:KINDS or hidden:EVENT:KINDS is wanted, such as crash-after:12 or stale:3:configmaps"
)]
pub struct NoDisturbance(String);

impl FromStr for Disturbance {
    type Err = NoDisturbance;

    fn from_str(text: &str) -> Result<Self, NoDisturbance> {
        let no = || NoDisturbance(text.to_owned());
        let number = |text: &str| text.parse().ok().filter(|number| *number > 0).ok_or_else(no);
        let parts = text.split(':').collect::<Vec<_>>();
        Ok(match parts[..] {
            ["crash-before", write] => Self::CrashBefore(number(write)?),
            ["crash-after", write] => Self::CrashAfter(number(write)?),
            ["swap", write] => Self::Swap(number(write)?),
            ["early-swap", write] => Self::EarlySwap(number(write)?),
            ["stale", step, resource] => Self::Stale { step: number(step)?, resource: resource.to_owned() },
            ["hidden", event, resource] => Self::Hidden { event: number(event)?, resource: resource.to_owned() },
            _ => return Err(no()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stale_view_begins_at_its_step() {
        let stale = Disturbance::Stale { step: 2, resource: "sites".into() };
        let time = Duration::from_secs(5);
        let held = What::Watches { of: Some("sites".into()), stream: Stream::Held(time) };
        assert_eq!((stale.stale_at(1, time), stale.stale_at(2, time)), (None, Some(held)));
    }

    #[test]
    fn a_disturbance_is_read_and_written_alike() {
        let names = ["crash-before:1", "crash-after:12", "swap:3", "early-swap:4", "stale:3:sites", "hidden:3:sites"];
        for name in names {
            assert_eq!(name.parse::<Disturbance>().unwrap().to_string(), name);
        }
        for name in ["crash", "crash-before:0", "crash-before:x", "stale:3", "swap:1:2", ""] {
            assert!(name.parse::<Disturbance>().is_err(), "{name}");
        }
    }
}
