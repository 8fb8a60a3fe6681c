//! What the times were measured on.

use std::{fs, path::Path, thread};

use anyhow::{Context, Result};
use serde::Serialize;

/// The machine and its kernel.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Machine {
    kernel: String,
    cpu: String,
    pub(crate) cores: usize,
    memory_mib: u64,
    /// When the kernel writes back.
    writeback: String,
}

/// The filesystem that the trees lay on.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Ground {
    pub(crate) filesystem: String,
    mount_options: String,
    device: String,
    /// Why times measured here are not to be believed.
    pub(crate) doubt: Option<&'static str>,
}

impl Machine {
    pub(crate) fn this() -> Machine {
        let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        let processors = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let model = processors.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
        Machine {
            kernel: format!("Linux {}", kernel.trim()),
            cpu: model.map_or("an unnamed CPU", |(_, model)| model).to_owned(),
            cores: thread::available_parallelism().map_or(1, usize::from),
            memory_mib: memory("MemTotal:") >> 20,
            writeback: writeback_limits(),
        }
    }

    pub(crate) fn described(&self) -> String {
        let Machine { kernel, cpu, cores, memory_mib, writeback } = self;
        format!("{kernel}, {cores} cores of {cpu}, {memory_mib} MiB of memory, {writeback}")
    }
}

impl Ground {
    /// The filesystem under a directory.
    pub(crate) fn under(directory: &Path) -> Result<Ground> {
        let mounts = fs::read_to_string("/proc/self/mountinfo").context("/proc/self/mountinfo")?;
        let directory = directory.canonicalize()?;
        // The longest mount point above it; of several at one place, the last mounted.
        let (_, options, source) = mounts
            .lines()
            .filter_map(|line| {
                let (place, source) = line.split_once(" - ")?;
                let mut words = place.split(' ').skip(4);
                let (point, options) = (words.next()?.replace("\\040", " "), words.next()?);
                directory.starts_with(&point).then_some((point.len(), options, source))
            })
            .max_by_key(|(length, ..)| *length)
            .context("no mount point above the trees")?;
        let mut words = source.splitn(3, ' ').map(str::to_owned);
        let mut word = || words.next().unwrap_or_default();
        let (filesystem, device, of_filesystem) = (word(), word(), word());
        let mut all: Vec<&str> = options.split(',').collect();
        all.extend(
            of_filesystem.split(',').filter(|option| !options.split(',').any(|there| there == *option)),
        );
        let mount_options = all.join(",");
        let has_journal = device
            .strip_prefix("/dev/")
            .is_some_and(|name| Path::new("/proc/fs/jbd2").join(format!("{name}-8")).exists());
        let doubt = (filesystem == "ext4" && !has_journal)
            .then_some("ext4 without a journal: creating files after deleting others varies tenfold");
        Ok(Ground { filesystem, mount_options, device, doubt })
    }

    pub(crate) fn described(&self) -> String {
        format!("{} on {} ({})", self.filesystem, self.device, self.mount_options)
    }
}

/// CPU seconds that this machine has spent so far, by whomever, hypervisor included.
pub(crate) fn busy_s() -> f64 {
    const TICKS: f64 = 100.0; // a second, for user space, on every architecture of today
    let text = fs::read_to_string("/proc/stat").unwrap_or_default();
    let line = text.lines().next().unwrap_or_default();
    let times: Vec<f64> = line.split_whitespace().skip(1).flat_map(str::parse).collect();
    // user, nice, system, idle, iowait, irq, softirq, steal; what follows is in user already
    let busy = times.iter().take(8).enumerate().filter(|(index, _)| ![3, 4].contains(index));
    busy.map(|(_, ticks)| ticks / TICKS).sum()
}

/// Memory that can be had without swapping, in bytes.
pub(crate) fn available_memory() -> u64 {
    memory("MemAvailable:")
}

fn memory(field: &str) -> u64 {
    let text = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let kib = text.lines().find_map(|line| line.strip_prefix(field)?.split_whitespace().next()?.parse().ok());
    kib.unwrap_or(0u64) << 10
}

/// When the kernel begins to write back, and when it makes writers wait, as the settings have it.
fn writeback_limits() -> String {
    let setting = |name: &str| {
        let text = fs::read_to_string(format!("/proc/sys/vm/{name}")).unwrap_or_default();
        text.trim().parse::<u64>().unwrap_or_default()
    };
    let of = |bytes: &str, ratio: &str| match setting(bytes) {
        0 => format!("{} %", setting(ratio)),
        bytes => format!("{} MiB", bytes >> 20),
    };
    let background = of("dirty_background_bytes", "dirty_background_ratio");
    format!("written back from {background} on, writers wait from {} on", of("dirty_bytes", "dirty_ratio"))
}
