//! Password policy (draft-behera-ldap-password-policy-10): what a policy says of an account, given its state.
//!
//! Everything here is a function of policy, state and time, so that every rule can be tested at any moment of its
//! life. The state is what the operational attributes of the entry say. Failures are moments, not a number: the ones
//! that several suppliers noted apart are all kept when they meet, and clearing them (a success, a new password)
//! clears only those that were known. Whether they lock is computed ([`PasswordState::standing`]), so that suppliers
//! that hold the same failures agree on it, whoever noted the last one.
//!
//! Invariants
//! - What is not said in a policy restricts nothing; a number that cannot be read counts as not said.
//! - A lock, a delay and an idle account look the same to whoever binds: [`Standing`] is for the server alone.
//! - Times are unix microseconds; a moment that lies ahead of the clock (another supplier's) counts as now.
//!
//! Two answers of the draft are stricter here: `pwdMinDelay` refuses attempts that come too early instead of making
//! each of them wait (a client with many connections would not notice), and failures before the end of a lock do not
//! count towards the next one.

mod quality;

pub use quality::{Quality, check_quality};

/// `pwdAccountLockedTime` of an account that only an administrator unlocks (draft 5.3.3).
pub const LOCKED_FOREVER: &str = "000001010000Z";
/// Unix microseconds of it.
pub const LOCKED_FOREVER_US: i64 = -62_167_219_200 * SECOND;
/// A second, in the unit of this module.
pub const SECOND: i64 = 1_000_000;
/// Failures kept of one account at most, whatever a policy says.
pub const FAILURES_MAX: usize = 64;
/// Earlier passwords kept of one account at most; each costs a verification when the password is changed.
pub const HISTORY_MAX: usize = 24;
/// How often the delay after failures is doubled at most.
const DOUBLINGS_MAX: u32 = 20;

/// A `pwdPolicy` entry. Times are in seconds; 0 is "not limited" unless said otherwise.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PasswordPolicy {
    /// Seconds between two changes by the owner.
    pub min_age_s: i64,
    /// Seconds after which a password expires.
    pub max_age_s: i64,
    /// Earlier passwords that may not come again.
    pub in_history: usize,
    /// Whether new passwords are looked at.
    pub check_quality: bool,
    /// Least characters, where they are looked at.
    pub min_length: usize,
    /// Most characters, where they are looked at.
    pub max_length: usize,
    /// From so many seconds before expiry the owner is warned.
    pub expire_warning_s: i64,
    /// Binds after expiry.
    pub grace_limit: usize,
    /// Seconds after expiry in which those work.
    pub grace_expiry_s: i64,
    /// Whether failures lock.
    pub lockout: bool,
    /// Seconds of a lock; 0: until an administrator unlocks.
    pub lockout_duration_s: i64,
    /// Failures in a row that lock.
    pub max_failure: usize,
    /// Seconds after which a failure is forgotten.
    pub failure_count_interval_s: i64,
    /// Whether a password that somebody else has set must be changed.
    pub must_change: bool,
    /// Whether the owner may change the password.
    pub allow_user_change: bool,
    /// Whether the owner must send the old password along.
    pub safe_modify: bool,
    /// Seconds without attempts after the first failure; doubled with each failure.
    pub min_delay_s: i64,
    /// Most seconds of that.
    pub max_delay_s: i64,
    /// Seconds without a bind that lock.
    pub max_idle_s: i64,
}

impl PasswordPolicy {
    /// Reads a policy; `value_of` gives the value of an attribute by its name.
    pub fn read(value_of: impl Fn(&str) -> Option<String>) -> Self {
        let number = |name: &str| value_of(name).and_then(|text| text.trim().parse::<i64>().ok()).unwrap_or(0).max(0);
        // A century is as good as never, and keeps sums of moments and durations in range.
        let seconds = |name: &str| number(name).min(100 * 366 * 86_400);
        let count = |name: &str| usize::try_from(number(name)).unwrap_or(usize::MAX);
        let flag = |name: &str, otherwise: bool| {
            value_of(name).map_or(otherwise, |text| text.trim().eq_ignore_ascii_case("TRUE"))
        };
        Self {
            min_age_s: seconds("pwdMinAge"),
            max_age_s: seconds("pwdMaxAge"),
            in_history: count("pwdInHistory").min(HISTORY_MAX),
            check_quality: number("pwdCheckQuality") > 0,
            min_length: count("pwdMinLength"),
            max_length: count("pwdMaxLength"),
            expire_warning_s: seconds("pwdExpireWarning"),
            grace_limit: count("pwdGraceAuthNLimit"),
            grace_expiry_s: seconds("pwdGraceExpiry"),
            lockout: flag("pwdLockout", false),
            lockout_duration_s: seconds("pwdLockoutDuration"),
            max_failure: count("pwdMaxFailure").min(FAILURES_MAX),
            failure_count_interval_s: seconds("pwdFailureCountInterval"),
            must_change: flag("pwdMustChange", false),
            allow_user_change: flag("pwdAllowUserChange", true),
            safe_modify: flag("pwdSafeModify", false),
            min_delay_s: seconds("pwdMinDelay"),
            max_delay_s: seconds("pwdMaxDelay"),
            max_idle_s: seconds("pwdMaxIdle"),
        }
    }

    /// Whether failures are of any consequence, and so are noted.
    pub fn counts_failures(&self) -> bool {
        (self.lockout && self.max_failure > 0) || self.min_delay_s > 0
    }

    /// For how long no attempt is taken after `failures` in a row, in microseconds.
    fn delay_us(&self, failures: usize) -> i64 {
        if self.min_delay_s == 0 || failures == 0 {
            return 0;
        }
        let doublings = u32::try_from(failures - 1).unwrap_or(u32::MAX).min(DOUBLINGS_MAX);
        let most = self.max_delay_s.max(self.min_delay_s);
        (self.min_delay_s << doublings).min(most) * SECOND
    }
}

/// How the OIDs of a policy's attributes begin.
pub const POLICY_OIDS: &str = "1.3.6.1.4.1.42.2.27.8.1.";

/// How the numbers of a policy contradict each other, with both names and what to write; `None` where they do not. 0 and what
/// is not said limit nothing (draft 5.2.3, 5.2.7). `value_of` gives the value of an attribute by its name.
pub fn contradiction(value_of: impl Fn(&str) -> Option<String>) -> Option<String> {
    let number = |name: &str| value_of(name).and_then(|text| text.trim().parse::<i64>().ok()).unwrap_or(0);
    let [min_age, max_age, warning] = ["pwdMinAge", "pwdMaxAge", "pwdExpireWarning"].map(number);
    let [min_length, max_length] = ["pwdMinLength", "pwdMaxLength"].map(number);
    if max_age > 0 && min_age > max_age {
        return Some(format!(
            "pwdMinAge ({min_age} s) is more than pwdMaxAge ({max_age} s): a password would expire before it may be changed; \
             make pwdMinAge smaller, or pwdMaxAge 0 (never)"
        ));
    }
    if max_length > 0 && min_length > max_length {
        return Some(format!(
            "pwdMinLength ({min_length}) is more than pwdMaxLength ({max_length}): no password would do; make pwdMinLength \
             smaller, or pwdMaxLength 0 (any length)"
        ));
    }
    if max_age > 0 && warning >= max_age {
        return Some(format!(
            "pwdExpireWarning ({warning} s) is not less than pwdMaxAge ({max_age} s): everybody would be warned always; make \
             pwdExpireWarning smaller, or pwdMaxAge 0 (never)"
        ));
    }
    None
}

/// What the operational attributes of an account say. Moments are unix microseconds.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct PasswordState {
    /// `pwdChangedTime`.
    pub changed_us: Option<i64>,
    /// `pwdAccountLockedTime`.
    pub locked_us: Option<i64>,
    /// `pwdFailureTime`, rising.
    pub failures_us: Vec<i64>,
    /// `pwdGraceUseTime`, rising.
    pub grace_uses_us: Vec<i64>,
    /// `pwdReset`.
    pub reset: bool,
    /// `pwdLastSuccess`.
    pub last_success_us: Option<i64>,
    /// `pwdStartTime`.
    pub start_us: Option<i64>,
    /// `pwdEndTime`.
    pub end_us: Option<i64>,
}

/// Whether an account may be used at all, whatever password comes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Standing {
    /// Yes.
    Open,
    /// Locked, by failures, by an administrator, or for being idle or outside its time.
    Locked,
    /// An attempt came too soon after a failure.
    TooEarly,
}

/// What the failures of an account come to.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Failures {
    /// How many count towards the next lock.
    pub in_a_row: usize,
    /// When they locked the account; the lock may be over.
    pub locked_us: Option<i64>,
    /// The last one that counts.
    pub last_us: Option<i64>,
}

impl PasswordState {
    /// What the failures come to at `now_us`.
    pub fn failures(&self, policy: &PasswordPolicy, now_us: i64) -> Failures {
        let mut found = Failures::default();
        let mut counted: Vec<i64> = Vec::new();
        let explicit_end = match self.locked_us {
            Some(LOCKED_FOREVER_US) | None => i64::MIN,
            Some(locked) => locked + policy.lockout_duration_s * SECOND,
        };
        let mut lock_end = explicit_end;
        for failure in self.failures_us.iter().map(|failure| (*failure).min(now_us)) {
            let outdated =
                policy.failure_count_interval_s > 0 && failure < now_us - policy.failure_count_interval_s * SECOND;
            // Those that led to a lock, or came while it held, are paid for with it.
            if outdated || failure < lock_end {
                continue;
            }
            counted.push(failure);
            if policy.lockout && policy.max_failure > 0 && counted.len() >= policy.max_failure {
                found.locked_us = Some(failure);
                if policy.lockout_duration_s == 0 {
                    break;
                }
                lock_end = failure + policy.lockout_duration_s * SECOND;
                counted.clear();
            }
        }
        found.in_a_row = counted.len();
        found.last_us = counted.last().copied();
        found
    }

    /// Whether the account may be used. Without a policy only what an administrator has set counts.
    pub fn standing(&self, policy: Option<&PasswordPolicy>, now_us: i64) -> Standing {
        let duration_s = policy.map_or(0, |policy| policy.lockout_duration_s);
        let holds = |locked: i64| {
            locked == LOCKED_FOREVER_US || duration_s == 0 || now_us < locked.min(now_us) + duration_s * SECOND
        };
        let is_outside =
            self.start_us.is_some_and(|start| now_us < start) || self.end_us.is_some_and(|end| now_us >= end);
        if is_outside || self.locked_us.is_some_and(holds) {
            return Standing::Locked;
        }
        let Some(policy) = policy else { return Standing::Open };
        let failures = self.failures(policy, now_us);
        if failures.locked_us.is_some_and(holds) {
            return Standing::Locked;
        }
        let is_idle = policy.max_idle_s > 0
            && self.last_success_us.is_some_and(|last| now_us > last + policy.max_idle_s * SECOND);
        if is_idle {
            return Standing::Locked;
        }
        match failures.last_us {
            Some(last) if now_us < last + policy.delay_us(failures.in_a_row) => Standing::TooEarly,
            _ => Standing::Open,
        }
    }

    /// Seconds, rounded up, until an account that may not be used may be, if nothing else happens; `None`: somebody has to
    /// see to it, or it may be used already.
    pub fn opens_in_s(&self, policy: Option<&PasswordPolicy>, now_us: i64) -> Option<i64> {
        let mut ends = vec![self.start_us];
        if let Some(policy) = policy {
            let failures = self.failures(policy, now_us);
            let lock_us = policy.lockout_duration_s * SECOND;
            ends.extend(
                [self.locked_us, failures.locked_us, self.failures_us.last().copied()]
                    .map(|from| Some(from? + lock_us)),
            );
            ends.push(failures.last_us.map(|last| last + policy.delay_us(failures.in_a_row)));
        }
        let mut ends: Vec<i64> = ends.into_iter().flatten().filter(|end| *end > now_us).collect();
        ends.sort_unstable();
        let is_shut = self.standing(policy, now_us) != Standing::Open;
        let end = ends.into_iter().find(|end| is_shut && self.standing(policy, *end) == Standing::Open)?;
        Some((end - now_us + SECOND - 1) / SECOND)
    }

    /// How long the password lasts.
    pub fn expiry(&self, policy: &PasswordPolicy, now_us: i64) -> Expiry {
        let Some(changed) = self.changed_us.filter(|_| policy.max_age_s > 0) else { return Expiry::Never };
        let left_us = changed + policy.max_age_s * SECOND - now_us;
        if left_us > 0 {
            return Expiry::In { seconds: (left_us / SECOND).max(1) };
        }
        let in_time = policy.grace_expiry_s == 0 || -left_us < policy.grace_expiry_s * SECOND;
        let graces_left = policy.grace_limit.saturating_sub(self.grace_uses_us.len());
        Expiry::Past { graces_left: if in_time { graces_left } else { 0 } }
    }

    /// Whether nothing but a change of the password is allowed.
    pub fn must_change(&self, policy: &PasswordPolicy) -> bool {
        self.reset && policy.must_change
    }

    /// What a right password comes to; `Err`: it has expired, and no grace is left.
    pub fn welcome(&self, policy: &PasswordPolicy, now_us: i64) -> Result<Welcome, Expired> {
        if self.must_change(policy) {
            return Ok(Welcome { must_change: true, ..Welcome::default() });
        }
        match self.expiry(policy, now_us) {
            Expiry::Never => Ok(Welcome::default()),
            Expiry::In { seconds } => {
                let warned = seconds <= policy.expire_warning_s;
                Ok(Welcome { expires_in_s: warned.then_some(seconds), ..Welcome::default() })
            }
            Expiry::Past { graces_left: 0 } => Err(Expired),
            Expiry::Past { graces_left } => Ok(Welcome { graces_left: Some(graces_left - 1), ..Welcome::default() }),
        }
    }

    /// Whether the owner may not change the password yet.
    pub fn is_too_young(&self, policy: &PasswordPolicy, now_us: i64) -> bool {
        !self.reset
            && policy.min_age_s > 0
            && self.changed_us.is_some_and(|changed| now_us < changed.min(now_us) + policy.min_age_s * SECOND)
    }
}

/// How long a password lasts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Expiry {
    /// It does not expire, or nobody knows how old it is.
    Never,
    /// So long, at least a second.
    In {
        /// Seconds.
        seconds: i64,
    },
    /// It is too old.
    Past {
        /// Binds that it is still good for.
        graces_left: usize,
    },
}

/// The password was right and is too old.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Expired;

/// What the owner is told after a right password, and what it means for the connection.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Welcome {
    /// Seconds until expiry, where a warning is due.
    pub expires_in_s: Option<i64>,
    /// The password has expired; so many binds are left after this one.
    pub graces_left: Option<usize>,
    /// Nothing but a change of the password is allowed.
    pub must_change: bool,
}

#[cfg(test)]
mod tests;
