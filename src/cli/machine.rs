//! What this machine has to give: memory and room on a disk. Read anew each time; nothing of it reaches a key, a table or a
//! report.

/// Bytes of memory, as far as the system tells.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Memory {
    /// All there is for this process.
    pub(super) total: Option<u64>,
    /// What a model could take of it.
    pub(super) free: Option<u64>,
}

/// The memory of this machine, or of the container that the process is in.
pub(super) fn memory() -> Memory {
    #[cfg(target_os = "linux")]
    {
        let read = |path: &str| fs_err::read_to_string(path).unwrap_or_default();
        let machine = of_machine(&read("/proc/meminfo"));
        let group = |file: &str| read(&format!("/sys/fs/cgroup/{file}"));
        machine.within(of_group(&group("memory.max"), &group("memory.current"), &group("memory.stat")))
    }
    #[cfg(not(target_os = "linux"))]
    Memory::default()
}

impl Memory {
    /// The less of both, where both are known.
    #[cfg_attr(
        not(any(test, target_os = "linux")),
        expect(dead_code, reason = "only Linux has groups of processes with a limit")
    )]
    fn within(self, other: Self) -> Self {
        let less = |one: Option<u64>, other: Option<u64>| one.zip(other).map(|(a, b)| a.min(b)).or(one).or(other);
        Self { total: less(self.total, other.total), free: less(self.free, other.free) }
    }
}

/// Reads `/proc/meminfo`.
#[cfg_attr(not(any(test, target_os = "linux")), expect(dead_code, reason = "only Linux has this file"))]
fn of_machine(text: &str) -> Memory {
    let bytes = |name: &str| {
        let rest = text.lines().find_map(|line| line.strip_prefix(name))?;
        let kibibytes: u64 = rest.trim().strip_suffix("kB")?.trim().parse().ok()?;
        kibibytes.checked_mul(1024)
    };
    Memory { total: bytes("MemTotal:"), free: bytes("MemAvailable:") }
}

/// Reads the files of a control group: its limit, what it uses, and how much of that is files that can be let go.
#[cfg_attr(not(any(test, target_os = "linux")), expect(dead_code, reason = "only Linux has control groups"))]
fn of_group(most: &str, used: &str, statistics: &str) -> Memory {
    // `max` stands where there is no limit.
    let Ok(total) = most.trim().parse::<u64>() else { return Memory::default() };
    let inactive = statistics.lines().find_map(|line| line.strip_prefix("inactive_file "));
    let inactive: u64 = inactive.and_then(|text| text.trim().parse().ok()).unwrap_or(0);
    let used = used.trim().parse::<u64>().ok().map(|used| used.saturating_sub(inactive));
    Memory { total: Some(total), free: used.map(|used| total.saturating_sub(used)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_what_the_machine_and_its_container_have() {
        let machine = of_machine("MemTotal:       24576000 kB\nMemFree:  1 kB\nMemAvailable:   20480000 kB\n");
        assert_eq!(machine, Memory { total: Some(25_165_824_000), free: Some(20_971_520_000) });
        assert_eq!(of_machine("MemTotal: many\n"), Memory::default());
        let check = |most, used, statistics, total, free| {
            let group = of_group(most, used, statistics);
            assert_eq!(machine.within(group), Memory { total: Some(total), free: Some(free) }, "{most} {used}");
        };
        check("max\n", "5\n", "", 25_165_824_000, 20_971_520_000);
        check("", "", "", 25_165_824_000, 20_971_520_000);
        check("8000000000\n", "3000000000\n", "anon 1\ninactive_file 500000000\n", 8_000_000_000, 5_500_000_000);
        check("8000000000\n", "9000000000\n", "", 8_000_000_000, 0);
        check("99000000000\n", "0\n", "", 25_165_824_000, 20_971_520_000);
    }
}
