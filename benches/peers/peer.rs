//! Who is compared: Orbit, and the copiers found on this machine.

use std::{
    env,
    ffi::OsString,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
};

use crate::ways::orbit_called;

/// How a copier is called; SRC and DST stand for the paths, INTO for the directory DST is in.
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

/// The program of a recipe is its name up to a colon. Each makes DST, which is not there yet and has
/// the source's name.
const RECIPES: [Recipe; 16] = [
    usual("cp", &["-a", "SRC", "DST"]),
    variant("cp:never", &["-a", "--reflink=never", "SRC", "DST"]),
    variant("cp:always", &["-a", "--reflink=always", "SRC", "DST"]),
    variant("cp:sparse", &["-a", "--sparse=auto", "SRC", "DST"]),
    variant("cp:plain", &["-r", "--reflink=auto", "SRC", "DST"]),
    // A trailing slash on the source, or rsync makes DST/SRC.
    usual("rsync", &["-a", "--whole-file", "SRC/", "DST/"]),
    variant("rsync:all", &["-aHAXS", "--whole-file", "SRC/", "DST/"]),
    usual("xcp", &["-r", "--no-progress", "SRC", "DST"]),
    usual("cpz", &["SRC", "DST"]),
    usual("fcp", &["SRC", "DST"]),
    usual("lms", &["cp", "SRC", "DST"]),
    usual("cpx", &["-r", "--no-config", "SRC", "INTO"]),
    usual("coreutils", &["cp", "-a", "SRC", "DST"]),
    usual("rcp", &["--preserve-settings=all", "SRC", "DST"]),
    variant("rcp:plain", &["SRC", "DST"]),
    usual("rclone", &["copy", "--transfers", "16", "SRC", "DST"]),
];

/// Those that leave alone what is there and unchanged.
pub(crate) const THAT_UPDATE: [&str; 2] = ["rsync", "rsync:all"];

/// One who copies: a program and how it is called.
#[derive(Clone, Debug)]
pub(crate) struct Contender {
    /// What `--peers` and bars call it.
    pub(crate) id: String,
    /// What the table calls it: the command, without the paths.
    pub(crate) name: String,
    pub(crate) program: PathBuf,
    pub(crate) version: String,
    arguments: Vec<String>,
    pub(crate) is_orbit: bool,
}

impl Contender {
    /// Orbit as cargo has just built it, with these arguments besides the paths.
    pub(crate) fn orbit(arguments: &[String]) -> Contender {
        let program = PathBuf::from(env!("CARGO_BIN_EXE_orbit"));
        let name = orbit_called(arguments);
        // Or a second run would go into the first one's copy.
        let paths = ["-T", "SRC", "DST"].map(str::to_owned);
        Contender {
            id: name.clone(),
            name,
            program,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            arguments: arguments.iter().cloned().chain(paths).collect(),
            is_orbit: true,
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
            "INTO" => destination.parent().unwrap_or(destination).into(),
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

/// Those who take part when `--peers` does not say who does.
pub(crate) fn usual_ones() -> Vec<&'static str> {
    RECIPES.iter().filter(|recipe| recipe.is_usual).map(|recipe| recipe.name).collect()
}

/// The copier of this name, if it is on PATH.
pub(crate) fn find(id: &str) -> Option<Contender> {
    let recipe = RECIPES.iter().find(|recipe| recipe.name == id)?;
    Some(contender(recipe, on_path(program_of(id))?))
}

/// How a copier of this name is called, without the paths.
pub(crate) fn command_of(id: &str) -> Option<String> {
    RECIPES.iter().find(|recipe| recipe.name == id).map(command)
}

fn program_of(id: &str) -> &str {
    id.split(':').next().unwrap_or(id)
}

fn command(recipe: &Recipe) -> String {
    let is_path = |argument: &&&str| ["SRC", "SRC/", "DST", "DST/", "INTO"].contains(argument);
    let options = recipe.arguments.iter().filter(|argument| !is_path(argument)).copied();
    [program_of(recipe.name)].into_iter().chain(options).collect::<Vec<_>>().join(" ")
}

fn contender(recipe: &Recipe, path: PathBuf) -> Contender {
    Contender {
        id: recipe.name.to_owned(),
        name: command(recipe),
        version: version_of(&path),
        program: path,
        arguments: recipe.arguments.iter().map(|argument| (*argument).to_owned()).collect(),
        is_orbit: false,
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
