//! What the zone says to a question.

use super::apex::Apex;
use crate::wire::{Name, RecordSet};
use std::borrow::Cow;

/// What the zone says to a question.
#[derive(Debug)]
pub enum Reply<'z> {
    /// Records, and others that help with them.
    Records {
        /// The answer; its records belong to the name in the question.
        answer: Cow<'z, RecordSet>,
        /// For the additional section.
        additional: Option<Cow<'z, RecordSet>>,
    },
    /// Aliases, each of the target of the one before, and the records of the last target if it is a name of the cluster.
    Alias {
        /// The targets, at least one.
        targets: Vec<&'z Name>,
        /// The last target's records.
        answer: Option<Cow<'z, RecordSet>>,
    },
    /// The name exists and has nothing of this type.
    NoData(&'z Apex),
    /// The name does not exist.
    NxDomain(&'z Apex),
    /// Not known yet.
    ServFail(&'z Apex),
    /// Not ours; others are to be asked.
    Elsewhere,
    /// Not ours.
    Refused,
}

impl<'z> Reply<'z> {
    pub(super) fn built(answer: RecordSet, additional: Option<RecordSet>) -> Self {
        Self::Records { answer: Cow::Owned(answer), additional: additional.map(Cow::Owned) }
    }

    pub(super) fn known(answer: &'z RecordSet, additional: Option<&'z RecordSet>, apex: &'z Apex) -> Self {
        if answer.is_empty() {
            return Self::NoData(apex);
        }
        Self::Records { answer: Cow::Borrowed(answer), additional: additional.map(Cow::Borrowed) }
    }

    /// The zone's name and SOA record, for the authority section of a negative answer.
    #[must_use]
    pub(crate) fn authority(&self) -> Option<(&'z Name, &'z RecordSet)> {
        match self {
            Self::NoData(apex) | Self::NxDomain(apex) | Self::ServFail(apex) => Some((&apex.name, &apex.soa)),
            _ => None,
        }
    }
}
