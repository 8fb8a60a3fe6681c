//! `orbit capabilities`.

use std::{fmt::Write, path::PathBuf};

use indicatif::BinaryBytes;
use orbit::{Ability, Capabilities, Filesystem, KernelCopies, LadderOfSize};

use crate::{
    args::CapabilitiesArgs,
    output::{
        json,
        listeners::print,
        progress::Lines,
        text::{cause_text, failure_line, quoted},
    },
    status::{COMPLETE, FAILED},
};

/// Try, and print what was found.
pub(crate) async fn show(args: &CapabilitiesArgs) -> anyhow::Result<u8> {
    let here = PathBuf::from(".");
    let (source, destination) = match &args.paths[..] {
        [] => (&here, &here),
        [both] => (both, both),
        [source, destination, ..] => (source, destination),
    };
    match Capabilities::probe(source, destination).await {
        Ok(able) if args.json => print(&format!("{:#}\n", json::capabilities(&able)))?,
        Ok(able) => print(&described(&able))?,
        Err(failure) => {
            Lines::default().print(&failure_line(&failure));
            return Ok(FAILED);
        }
    }
    Ok(COMPLETE)
}

/// Everything, for people.
fn described(able: &Capabilities) -> String {
    let mut page = Page::default();
    page.heading("Zero-Copy Support");
    page.ability("Available", &able.zero_copy());
    page.copies(&able.between);

    page.heading("Filesystems");
    page.line("Source", &place(&able.source));
    page.line("Destination", &place(&able.destination));
    page.line("Same filesystem", if able.same_filesystem { "yes" } else { "no" });
    if !able.same_filesystem {
        page.heading("Within the destination");
        page.copies(&able.within);
    }

    page.heading("The destination keeps");
    page.ability("Holes (SEEK_DATA)", &able.keeps.holes);
    page.ability("User xattrs", &able.keeps.xattrs);
    page.ability("POSIX ACLs", &able.keeps.acls);
    let step = able.keeps.time_step.map_or("unknown".to_owned(), |step| format!("{step:?}"));
    page.line("Times in steps of", &step);

    let other = &able.conveniences;
    page.heading("Kernel");
    page.ability("O_TMPFILE", &other.unnamed_files);
    page.ability("openat2", &other.openat2);
    match other.direct_io_alignment {
        Some(alignment) => page.line(
            "O_DIRECT",
            &format!(
                "✓ Yes (buffers aligned to {} bytes, offsets to {})",
                alignment.memory_alignment, alignment.offset_alignment
            ),
        ),
        None => page.ability("O_DIRECT", &other.direct_io),
    }
    page.ability("io_uring", &other.io_uring);

    page.heading("A copy by default");
    page.line("Jobs", &format!("{} ({})", able.jobs, able.jobs_reason));
    for ladder in &able.ladders {
        page.line(&format!("File of {}", size(ladder.size)), &methods(ladder));
    }
    page.text
}

fn place(side: &Filesystem) -> String {
    let name = side.name.as_deref().unwrap_or("unknown filesystem");
    format!("{} ({name}, {} storage)", quoted(&side.path), side.storage.name())
}

fn methods(ladder: &LadderOfSize) -> String {
    let names: Vec<_> = ladder.methods.iter().map(|method| method.name()).collect();
    let why = ladder.declined.map(|reason| format!(" ({})", reason.reason())).unwrap_or_default();
    names.join(", then ") + &why
}

fn size(bytes: u64) -> String {
    BinaryBytes(bytes).to_string().replace(".00", "")
}

/// Headings, and lines of a name and a value in two columns.
#[derive(Default)]
struct Page {
    text: String,
}

impl Page {
    fn heading(&mut self, heading: &str) {
        if !self.text.is_empty() {
            self.text.push('\n');
        }
        self.text += &format!("{heading}:\n");
    }

    fn line(&mut self, name: &str, value: &str) {
        writeln!(self.text, "  {name}: {value}").expect("a string takes all that is written to it");
    }

    fn ability(&mut self, name: &str, ability: &Ability) {
        let value = match ability {
            Ability::Yes => "✓ Yes".to_owned(),
            Ability::No(why) => format!("✗ No ({})", cause_text(why)),
            Ability::Unknown(why) => format!("? Unknown ({})", cause_text(why)),
        };
        self.line(name, &value);
    }

    fn copies(&mut self, copies: &KernelCopies) {
        for (method, ability) in copies.each() {
            self.ability(method.name(), ability);
        }
    }
}
