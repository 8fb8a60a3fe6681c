//! Show what a copy is doing, from its events and from its progress.
//!
//! ```text
//! cargo run --example progress -- SRC DST
//! ```
//!
//! Events are news: each is delivered once, and a slow reader slows the copy. Progress is a value:
//! looking at it costs nothing, however seldom one looks.

use std::{env, error::Error, time::Duration};

use futures::StreamExt;
use orbit::{CopyJob, Engine, Event, Progress};
use tokio::time::{MissedTickBehavior, interval};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = env::args_os().skip(1);
    let (Some(source), Some(destination)) = (arguments.next(), arguments.next()) else {
        return Err("usage: progress SRC DST".into());
    };
    let engine = Engine::new()?;
    let mut run = engine.start(CopyJob::new(source, destination));
    let progress = run.progress();
    let mut tick = interval(Duration::from_millis(200));
    tick.set_missed_tick_behavior(MissedTickBehavior::Skip);

    loop {
        tokio::select! {
            event = run.next() => match event {
                Some(event) => tell(&event),
                None => break,
            },
            _ = tick.tick() => show(&progress.borrow()),
        }
    }
    let report = run.finish().await?;
    show(&progress.borrow());
    println!("{} in {:?}", if report.is_complete() { "complete" } else { "incomplete" }, report.elapsed);
    Ok(())
}

fn tell(event: &Event) {
    match event {
        Event::Entry { path, done, bytes, .. } => println!("{done:?} {} ({bytes} bytes)", path.display()),
        Event::Failed(failure) => println!("{failure}: {}", failure.cause()),
        Event::Warned(warning) => println!("{}: {}", warning.path.display(), warning.kind.described()),
        Event::Missed { entries } => println!("… and {entries} entries before anyone listened"),
        _ => {}
    }
}

fn show(progress: &Progress) {
    let totals = &progress.totals;
    let (done, found) = (totals.entries_done(), totals.entries_found);
    if progress.walked && found > 0 {
        println!("{:3} % of {found} entries, {} bytes", done * 100 / found, totals.bytes_copied);
    } else {
        println!("{done} of {found} entries found so far, {} bytes", totals.bytes_copied);
    }
}
