//! Landlock: what the process may read, and that it neither connects nor listens any more.

use std::path::PathBuf;

use landlock::{
    ABI, Access as _, AccessFs, AccessNet, LandlockStatus, RestrictionStatus, Ruleset,
    RulesetAttr as _, RulesetCreatedAttr as _, RulesetError, Scope, path_beneath_rules,
};

/// Rights on files. Those that came later forbid `ioctl` on what is opened later, which is nothing here.
const FILES: ABI = ABI::V4;
/// Rights on TCP.
const NETWORK: ABI = ABI::V4;
/// Abstract Unix sockets and signals.
const OTHERS: ABI = ABI::V6;

/// From now on only `readable` may be read, and nothing written or executed; files that are open stay so. Returns the
/// version of Landlock that is in force: older ones know fewer rights.
///
/// # Errors
/// Why it is not in force.
pub(crate) fn restrict(readable: &[PathBuf]) -> Result<i32, String> {
    let status = apply(readable).map_err(|error| format!("Landlock refused: {error}"))?;
    match status.landlock {
        LandlockStatus::Available { effective_abi, kernel_abi } => {
            Ok(kernel_abi.unwrap_or_else(|| number(effective_abi)))
        }
        LandlockStatus::NotEnabled => {
            Err("Landlock is not enabled (boot with lsm=landlock,...)".to_owned())
        }
        LandlockStatus::NotImplemented => {
            Err("this kernel has no Landlock (since 5.13, CONFIG_SECURITY_LANDLOCK)".to_owned())
        }
    }
}

fn apply(readable: &[PathBuf]) -> Result<RestrictionStatus, RulesetError> {
    let read = AccessFs::ReadFile | AccessFs::ReadDir;
    Ruleset::default()
        .handle_access(AccessFs::from_all(FILES))?
        .handle_access(AccessNet::from_all(NETWORK))?
        .scope(Scope::from_all(OTHERS))?
        .create()?
        .add_rules(path_beneath_rules(readable, read))?
        .restrict_self()
}

/// The crate gives no number for its names.
fn number(abi: ABI) -> i32 {
    (1..).take_while(|number| ABI::from(*number) <= abi).take(64).last().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_has_its_number() {
        assert_eq!((number(ABI::V1), number(ABI::V4), number(ABI::V7)), (1, 4, 7));
    }
}
