//! Who is compared: Orbit, and the copiers found on this machine.

use std::{
    env,
    ffi::OsString,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
};

/// How a copier is called; SRC and DST stand for the paths.
struct Recipe {
    /// What `--peers` calls it.
    name: &'static str,
    arguments: &'static [&'static str],
    /// Whether it takes part when `--peers` does not say who does.
    is_usual: bool,
}

const fn usual(name: &'static str, arguments: &'static [&'static str]) -> Recipe {
    Recipe { name, arguments, is_usual: true }
}

const fn variant(name: &'static str, arguments: &'static [&'static str]) -> Recipe {
    Recipe { name, arguments, is_usual: false }
}

/// The program of a recipe is its name up to a colon. Each makes DST, which is not there yet.
const RECIPES: [Recipe; 13] = [
    usual("cp", &["-a", "SRC", "DST"]),
    variant("cp:never", &["-a", "--reflink=never", "SRC", "DST"]),
    variant("cp:always", &["-a", "--reflink=always", "SRC", "DST"]),
    variant("cp:plain", &["-r", "--reflink=auto", "SRC", "DST"]),
    // A trailing slash on the source, or rsync makes DST/SRC.
    usual("rsync", &["-a", "--whole-file", "SRC/", "DST/"]),
    variant("rsync:all", &["-aHAXS", "--whole-file", "SRC/", "DST/"]),
    usual("xcp", &["-r", "--no-progress", "SRC", "DST"]),
    usual("cpz", &["SRC", "DST"]),
    usual("fcp", &["SRC", "DST"]),
    usual("lms", &["cp", "SRC", "DST"]),
    usual("rcp", &["--preserve-settings=all", "SRC", "DST"]),
    variant("rcp:plain", &["SRC", "DST"]),
    usual("rclone", &["copy", "--transfers", "16", "SRC", "DST"]),
];

/// Those that leave alone what is there and unchanged.
pub(crate) const THAT_UPDATE: [&str; 2] = ["rsync", "rsync:all"];

/// One who copies: a program and how it is called.
#[derive(Clone, Debug)]
pub(crate) struct Contender {
    /// What the table calls it: the command, without the paths.
    pub(crate) name: String,
    pub(crate) program: PathBuf,
    pub(crate) version: String,
    arguments: Vec<String>,
    /// Whether this is Orbit with all it keeps by default, which the ratios are to.
    pub(crate) is_reference: bool,
}

impl Contender {
    /// Orbit as cargo has just built it, with these arguments besides the paths.
    pub(crate) fn orbit(arguments: &[String]) -> Contender {
        let program = PathBuf::from(env!("CARGO_BIN_EXE_orbit"));
        let name =
            ["orbit"].into_iter().chain(arguments.iter().map(String::as_str)).collect::<Vec<_>>().join(" ");
        // Or a second run would go into the first one's copy.
        let paths = ["-T", "SRC", "DST"].map(str::to_owned);
        Contender {
            name,
            program,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            arguments: arguments.iter().cloned().chain(paths).collect(),
            is_reference: arguments.is_empty(),
        }
    }

    /// The program's arguments for one copy.
    pub(crate) fn arguments(&self, source: &Path, destination: &Path) -> Vec<OsString> {
        let with_slash = |path: &Path| {
            let mut path = path.as_os_str().to_owned();
            path.push("/");
            path
        };
        let filled = |argument: &String| match argument.as_str() {
            "SRC" => source.into(),
            "DST" => destination.into(),
            "SRC/" => with_slash(source),
            "DST/" => with_slash(destination),
            other => other.into(),
        };
        self.arguments.iter().map(filled).collect()
    }

    /// What is set in the environment of every copier.
    pub(crate) const ENVIRONMENT: [(&str, &str); 3] =
        [("RCLONE_CONFIG", "/dev/null"), ("LC_ALL", "C"), ("NO_COLOR", "1")];
}

/// What `--peers` can name.
pub(crate) fn known() -> Vec<&'static str> {
    RECIPES.iter().map(|recipe| recipe.name).collect()
}

/// The copiers among `wanted` that are on PATH, and the names of those that are not.
///
/// Without names, the usual ones.
pub(crate) fn find(wanted: &[String]) -> (Vec<Contender>, Vec<&'static str>) {
    let (mut found, mut missing) = (Vec::new(), Vec::new());
    for recipe in &RECIPES {
        let is_wanted =
            if wanted.is_empty() { recipe.is_usual } else { wanted.iter().any(|name| name == recipe.name) };
        if !is_wanted {
            continue;
        }
        let program = recipe.name.split(':').next().unwrap_or(recipe.name);
        match on_path(program) {
            Some(path) => found.push(contender(recipe, program, path)),
            None => missing.push(recipe.name),
        }
    }
    (found, missing)
}

fn contender(recipe: &Recipe, program: &str, path: PathBuf) -> Contender {
    let is_path = |argument: &&&str| argument.starts_with("SRC") || argument.starts_with("DST");
    let options = recipe.arguments.iter().filter(|argument| !is_path(argument));
    Contender {
        name: [&program].into_iter().chain(options).copied().collect::<Vec<_>>().join(" "),
        version: version_of(&path),
        program: path,
        arguments: recipe.arguments.iter().map(|argument| (*argument).to_owned()).collect(),
        is_reference: false,
    }
}

fn on_path(program: &str) -> Option<PathBuf> {
    let is_executable = |path: &PathBuf| {
        path.metadata().is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
    };
    env::split_paths(&env::var_os("PATH")?).map(|directory| directory.join(program)).find(is_executable)
}

/// The first word with a digit and a point that the program says about itself.
fn version_of(program: &Path) -> String {
    let Ok(said) = Command::new(program).arg("--version").output() else { return "unknown".to_owned() };
    let said = String::from_utf8_lossy(&[said.stdout, said.stderr].concat()).into_owned();
    let is_version =
        |word: &&str| word.contains('.') && word.contains(|letter: char| letter.is_ascii_digit());
    said.split_whitespace().find(is_version).unwrap_or("unknown").to_owned()
}
