//! What is modelled: the numbers, the faults, and the mistakes that can be put in on purpose.

/// Ticks for which an answered heartbeat lets an engine act.
pub(crate) const LEASE: u8 = 2;
/// Ticks for which what an aborted call left on its way may still land.
pub(crate) const DIES: u8 = 1;
/// Of so many ticks a slow clock misses one, at most.
pub(crate) const SLOW_WINDOW: u8 = 4;

/// How often each thing that is not bounded by itself may happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Faults {
    /// The leader proposes to expire an engine that was silent for too long.
    pub(crate) expiries: u8,
    /// An engine's process dies, and a new one registers anew.
    pub(crate) crashes: u8,
    /// An engine gives up waiting for its registration and asks again, while the first one may still be committed.
    pub(crate) asked_again: u8,
    /// The leader is cut off, and the other one is elected.
    pub(crate) elections: u8,
    /// An engine's clock misses a tick.
    pub(crate) slow_ticks: u8,
    /// A report is applied and comes once more.
    pub(crate) doubled: u8,
    /// A call ends without a verdict although its lease holds.
    pub(crate) broken_calls: u8,
}

/// A rule that is left out. Each must give a counterexample, or the model could not say no.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mistake {
    /// The leader goes on renewing a lease whose expiry it has proposed.
    RenewAfterProposedExpiry,
    /// The engine counts its lease from the answer and not from the sending.
    LeaseFromReceipt,
    /// A new leader expires at once whom it has not heard yet.
    NoFullPeriodForNewLeader,
    /// A leader renews leases however long ago a quorum acknowledged it.
    NoQuorumCheck,
    /// The engine begins calls, and lets them run, without a lease.
    SkipOwnLeaseCheck,
    /// What a lost engine may have done is taken not to have happened.
    UnknownAsAbsent,
    /// One look that finds nothing is believed, whatever may still be on its way.
    OneLookIsEnough,
    /// What is required needs not be known to be there.
    RequiredMayBeUnknown,
    /// The leader waits for the lease alone although clocks differ.
    NoMargin,
    /// An expiry hits whichever incarnation the member has by then.
    ExpiryOfAnyIncarnation,
    /// A new registration leaves in place what the old one held.
    RegistrationEndsNothing,
    /// A report counts whatever its token.
    LateReportCounts,
    /// A report that is lost is not sent again.
    ReportSentOnce,
    /// A registration does not name the incarnation that it follows, and is taken whatever the present one is.
    RegistrationNamesNobody,
}

/// One model.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Params {
    /// Of these the second requires the first.
    pub(crate) instances: usize,
    /// The second engine never falters: it always holds its lease, and only takes over.
    pub(crate) other_is_steady: bool,
    pub(crate) faults: Faults,
    /// Effects do not end with the lease: what an aborted call left on its way lands at any time.
    pub(crate) effects_outlive_lease: bool,
    /// The provider refuses a token smaller than one that it has seen.
    pub(crate) provider_fences: bool,
    pub(crate) mistake: Option<Mistake>,
}

impl Params {
    pub(crate) fn errs(&self, mistake: Mistake) -> bool {
        self.mistake == Some(mistake)
    }

    /// Whether an engine's lease is not modelled, but always held.
    pub(crate) fn steady(&self, engine: usize) -> bool {
        self.other_is_steady && engine == 1
    }

    /// Whether an engine takes an answer for what it is worth.
    pub(crate) fn counts_leases_right(&self) -> bool {
        !self.errs(Mistake::LeaseFromReceipt) && !self.errs(Mistake::NoQuorumCheck)
    }

    /// Ticks that the leader waits beyond the lease.
    pub(crate) fn margin(&self) -> u8 {
        u8::from(!self.errs(Mistake::NoMargin))
    }

    /// Ticks without renewal after which an expiry may be proposed.
    pub(crate) fn overdue(&self) -> u8 {
        LEASE + self.margin()
    }
}
