//! Bugs that are planted on purpose: a simulation that finds none of them proves nothing by finding none.

use ::brain::policies::GuardPolicy;

/// What is wrong with the brain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bug {
    /// The guard forgets the blast radius.
    ForgetsRadius,
    /// Commands are sent although their intent could not be written.
    SendsUnwritten,
    /// A restarted brain forgets that a person froze it.
    ForgetsFreeze,
    /// A restarted brain gives names again.
    GivesNamesAgain,
}

impl Bug {
    /// All of them.
    pub const ALL: [Self; 4] =
        [Self::ForgetsRadius, Self::SendsUnwritten, Self::ForgetsFreeze, Self::GivesNamesAgain];

    /// The invariant that it breaks.
    #[must_use]
    pub fn breaks(self) -> &'static str {
        match self {
            Self::ForgetsRadius => "blast-radius",
            Self::SendsUnwritten => "intent-first",
            Self::ForgetsFreeze => "frozen-brain",
            Self::GivesNamesAgain => "unique-ids",
        }
    }

    /// Plants it in the guard, where it lies there.
    pub(crate) fn spoil(self, guard: &mut GuardPolicy) {
        if self == Self::ForgetsRadius {
            (guard.blast_radius.service, guard.blast_radius.fleet) = (1.0, 1.0);
            guard.min_healthy_capacity = 0.0;
        }
    }
}
