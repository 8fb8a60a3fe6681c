//! What a run learned of the filesystems that it copied between.

use std::{
    io,
    time::{Duration, Instant},
};

use crate::{
    capabilities::ZeroCopyCapabilities,
    learned::{Cost, Pair, Route, RouteChange, RouteWhy, Writing},
    method::Method,
    options::{DataOptions, ZeroCopy},
    plan::{self},
};

/// What a run learned of two filesystems that it copied between.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct PairReport {
    /// What the source's filesystem calls itself, such as `ext4`, where that is known.
    pub source: Option<String>,
    /// What the destination's filesystem calls itself, where that is known.
    pub destination: Option<String>,
    /// Methods that these two turned out not to have, or that cannot be trusted between them.
    pub refused: Vec<RefusedMethod>,
    /// The size, in bytes, from which in the end the kernel moved the bytes of files; nothing where
    /// size does not decide.
    pub threshold: Option<u64>,
    /// How that was chosen with which the run began, or why size does not decide.
    pub threshold_reason: String,
    /// How it was adapted meanwhile, the first 100 changes; never where a size was asked for.
    pub threshold_steps: Vec<ThresholdStep>,
    /// The ways of large files (from 8 MiB on) that were gone, and what each gave in the end; nothing where only
    /// one could be.
    pub routes: Vec<RouteRate>,
    /// How the way was changed meanwhile, the first 100 changes.
    pub route_steps: Vec<RouteStep>,
}

/// What one way of large files gave.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct RouteRate {
    /// The way.
    pub route: Route,
    /// Whether of files that were written to their device meanwhile, since they are larger than what a system holds
    /// back or have to be durable; otherwise of those that it wrote when it saw fit.
    pub is_written: bool,
    /// Bytes a second of wall time, by all workers.
    pub bytes_per_second: f64,
    /// CPU seconds of the process a second of wall time.
    pub cores: f64,
}

/// One change of the way that large files go.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct RouteStep {
    /// When, from the beginning of the run.
    pub at: Duration,
    /// The way until then.
    pub from: Route,
    /// What it gave, where that was measured.
    pub gave: Option<RouteRate>,
    /// Of which files, as [`RouteRate::is_written`] has it.
    pub is_written: bool,
    /// The way from then on.
    pub to: Route,
    /// What it was changed for.
    pub reason: &'static str,
}

impl RouteRate {
    fn of(route: Route, cost: Cost, is_written: bool) -> RouteRate {
        // Costs are nanoseconds a byte.
        let cores = cost.cpu / cost.wall;
        RouteRate { route, is_written, bytes_per_second: 1e9 / cost.wall, cores }
    }
}

impl RouteStep {
    fn of(turn: &RouteChange, at: Duration, is_written: bool) -> RouteStep {
        let reason = match turn.why {
            RouteWhy::Trial => "to see what it gives",
            RouteWhy::Slower => "the way until then became slower",
            RouteWhy::Fastest => "the fastest of those tried",
            RouteWhy::Cheapest => "as fast as any, and computes less",
            RouteWhy::NoBetter => "the other is no better",
            RouteWhy::Refused => "the way until then cannot be gone",
        };
        let gave = turn.cost.map(|cost| RouteRate::of(turn.from, cost, is_written));
        RouteStep { at, from: turn.from, gave, is_written, to: turn.to, reason }
    }
}

/// A method that was refused, and not tried again, or could not be trusted, and was not tried.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RefusedMethod {
    /// The method.
    pub method: Method,
    /// The system's error number, where it gave one.
    pub errno: Option<i32>,
    /// Why, in the system's words where it was asked.
    pub cause: String,
}

/// One change of the size from which on the kernel moves the bytes of files.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ThresholdStep {
    /// When, from the beginning of the run.
    pub at: Duration,
    /// The threshold until then, in bytes.
    pub from: u64,
    /// The threshold from then on, in bytes.
    pub to: u64,
    /// What it was changed for.
    pub reason: String,
}

impl PairReport {
    /// What a run that began at `began` learned of `pair`.
    pub(crate) fn learned(
        pair: &Pair,
        data: &DataOptions,
        capabilities: &ZeroCopyCapabilities,
        began: Instant,
    ) -> PairReport {
        let [source, destination] = pair.names.clone();
        let (threshold, threshold_reason) = threshold(pair, data, capabilities);
        let since = |at: Instant| at.saturating_duration_since(began);
        let large = Writing::ALL.map(|writing| (pair.large(writing).learned(), writing != Writing::Later));
        let routes = large.iter().flat_map(|(learned, is_written)| {
            learned.costs.iter().map(|(route, cost)| RouteRate::of(*route, *cost, *is_written))
        });
        let turns = large.iter().flat_map(|(learned, is_written)| {
            learned.turns.iter().map(|(at, turn)| RouteStep::of(turn, since(*at), *is_written))
        });
        let steps = pair.threshold.steps().into_iter().map(|(at, step)| ThresholdStep {
            at: since(at),
            from: step.from,
            to: step.to,
            reason: step.reason(),
        });
        let refused = pair.refusals().map(|(method, errno)| RefusedMethod::new(method, errno));
        let distrusted = Method::ALL.into_iter().filter(|method| pair.distrusts(*method));
        let distrusted =
            distrusted.map(|method| RefusedMethod { method, errno: None, cause: SHORT.to_owned() });
        PairReport {
            source,
            destination,
            refused: refused.chain(distrusted).collect(),
            threshold,
            threshold_reason,
            threshold_steps: steps.collect(),
            routes: routes.collect(),
            route_steps: turns.collect(),
        }
    }
}

/// Why a method is not tried at all ([`Pair::distrusts`]).
const SHORT: &str = "a server may move less than it is asked for, which the kernel would not see";

impl RefusedMethod {
    fn new(method: Method, errno: Option<i32>) -> RefusedMethod {
        let unsupported = || io::Error::from(io::ErrorKind::Unsupported);
        let cause = errno.map_or_else(unsupported, io::Error::from_raw_os_error).to_string();
        RefusedMethod { method, errno, cause }
    }
}

/// The size that decides between two filesystems, and why it is that one or none.
fn threshold(pair: &Pair, data: &DataOptions, capabilities: &ZeroCopyCapabilities) -> (Option<u64>, String) {
    let bytes = data.threshold.unwrap_or_else(|| pair.threshold.bytes());
    let ladder = plan::ladder(data, capabilities, pair, bytes.max(1));
    match ladder.declined {
        Some(declined) => (None, declined.reason().to_owned()),
        None if data.zero_copy == ZeroCopy::Force => {
            (None, "the kernel moves files of every size".to_owned())
        }
        None if data.threshold.is_some() => (Some(bytes), "as asked".to_owned()),
        None if ladder.reflinks() => (Some(bytes), "the default, where blocks are not shared".to_owned()),
        None => (Some(bytes), "the default, which adapts".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{options::Sparse, storage::Storage};

    #[test]
    fn the_threshold_says_where_it_comes_from_or_why_there_is_none() {
        let able = ZeroCopyCapabilities {
            available: true,
            cross_filesystem: true,
            methods: &[Method::CopyFileRange, Method::Sendfile],
        };
        let pair = Pair::new(true, Storage::Solid);
        let auto = DataOptions::default();
        let told = |data: &DataOptions| threshold(&pair, data, &able);
        assert_eq!(told(&auto), (Some(64 << 10), "the default, where blocks are not shared".to_owned()));
        pair.refuse(Method::Reflink, Some(95));
        for (data, bytes, reason) in [
            (auto, Some(64 << 10), "the default, which adapts"),
            (auto.threshold(5), Some(5), "as asked"),
            (auto.threshold(0), Some(0), "as asked"),
            (auto.zero_copy(ZeroCopy::Force), None, "the kernel moves files of every size"),
            (auto.zero_copy(ZeroCopy::Forbid), None, "forbidden by option"),
            (auto.sparse(Sparse::Always), None, "zeros are searched for in every file"),
        ] {
            assert_eq!(told(&data), (bytes, reason.to_owned()), "{data:?}");
        }
        able.methods.iter().for_each(|method| pair.refuse(*method, None));
        assert_eq!(told(&auto), (None, "refused by the filesystems".to_owned()));
    }

    #[test]
    fn what_is_learned_tells_of_the_first_refusal() {
        let able = ZeroCopyCapabilities::detect();
        let pair = Pair::new(false, Storage::Unknown).named(Some("a".to_owned()), None);
        pair.refuse(Method::Reflink, None);
        pair.refuse(Method::Reflink, Some(1));
        let learned = PairReport::learned(&pair, &DataOptions::default(), &able, Instant::now());
        assert_eq!((learned.source.as_deref(), learned.destination), (Some("a"), None));
        let cause = io::Error::from(io::ErrorKind::Unsupported).to_string();
        assert_eq!(learned.refused, [RefusedMethod { method: Method::Reflink, errno: None, cause }]);
        assert_eq!(learned.threshold_steps, []);
    }
}
