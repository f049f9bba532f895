//! What the kernel says of this process's memory.

/// Resident now, in bytes; 0 where the kernel does not say.
pub(crate) fn resident() -> u64 {
    own("VmRSS:")
}

/// The most that ever was resident, in bytes.
pub(crate) fn peak() -> u64 {
    own("VmHWM:")
}

fn own(field: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    bytes(&status, field)
}

/// One field of `/proc/PID/status`, which counts in KiB.
fn bytes(status: &str, field: &str) -> u64 {
    let line = status.lines().find_map(|line| line.strip_prefix(field));
    let number = line.and_then(|line| line.split_whitespace().next());
    number.and_then(|number| number.parse().ok()).unwrap_or(0) * 1_024
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_is_read_in_bytes_and_its_absence_is_nothing() {
        let status = "Name:\tx\nVmHWM:\t  2048 kB\nVmRSS:\t  1024 kB\n";
        assert_eq!(bytes(status, "VmHWM:"), 2_048 * 1_024);
        assert_eq!(bytes(status, "VmSwap:"), 0);
    }
}
