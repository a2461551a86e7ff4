//! Runs one fuzz target on mutated seeds (T-01); plain stable Rust, no instrumentation.
//!
//! `entente-fuzz TARGET [--runs N] [--seed S]` mutates seeds, and mutants that were accepted, and stops at the first
//! panic or broken property, with the input on standard error and the seed that repeats it. `entente-fuzz TARGET --file INPUT`
//! runs one input. `entente-fuzz all` runs every target, the costly ones on fewer inputs.
//!
//! Inputs in `corpus/TARGET/` are seeds too: crashes of the past, and what leads where mutation seldom comes.
//!
//! A crash found becomes a named unit test beside the parser the same day.

#[allow(dead_code, reason = "unit tests of the wire floor use more of it")]
#[path = "../../../src/wire/tests/build.rs"]
mod build;
#[path = "../../../src/wire/tests/meaning.rs"]
mod meaning;
mod mutate;
mod targets;

// What the shared files above call the crate's own floors.
use entente::{model, wire};

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;

use mutate::Random;
use targets::{Shape, TARGETS, Target};

/// Accepted mutants kept to be mutated further.
const KEPT_MAX: usize = 512;

struct Options {
    target: String,
    runs: u64,
    seed: u64,
    file: Option<String>,
}

fn options() -> Option<Options> {
    let mut arguments = std::env::args().skip(1);
    let mut options = Options { target: arguments.next()?, runs: 100_000, seed: 1, file: None };
    while let Some(flag) = arguments.next() {
        let value = arguments.next()?;
        match flag.as_str() {
            "--runs" => options.runs = value.parse().ok()?,
            "--seed" => options.seed = value.parse().ok()?,
            "--file" => options.file = Some(value),
            _ => return None,
        }
    }
    Some(options)
}

fn main() -> ExitCode {
    let Some(options) = options() else {
        let names: Vec<_> = TARGETS.iter().map(|target| target.name).collect();
        eprintln!("usage: entente-fuzz all|{} [--runs N] [--seed S] [--file INPUT]", names.join("|"));
        return ExitCode::from(2);
    };
    let chosen: Vec<_> =
        TARGETS.iter().filter(|target| options.target == "all" || options.target == target.name).collect();
    if chosen.is_empty() {
        eprintln!("there is no target {}", options.target);
        return ExitCode::from(2);
    }
    for target in chosen {
        let found = match &options.file {
            Some(file) => match std::fs::read(file) {
                Ok(input) => run_one(target, &input).err().map(|_| input),
                Err(error) => {
                    eprintln!("{file}: {error}");
                    return ExitCode::from(2);
                }
            },
            None => {
                let share = if options.target == "all" { target.one_in } else { 1 };
                run_many(target, options.runs / share, options.seed)
            }
        };
        if let Some(input) = found {
            let hex: String = input.iter().map(|byte| format!("{byte:02x}")).collect();
            eprintln!("{} failed with seed {}\ntext: {}\nhex:  {hex}", target.name, options.seed, input.escape_ascii());
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

/// Whether the target accepted the input; an error when it panicked.
fn run_one(target: &Target, input: &[u8]) -> Result<bool, ()> {
    catch_unwind(AssertUnwindSafe(|| (target.run)(input))).map_err(|_| ())
}

/// The inputs kept for a target, by name.
fn corpus(name: &str) -> Vec<Vec<u8>> {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(name);
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let mut files: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
    files.sort();
    files.iter().filter_map(|file| std::fs::read(file).ok()).collect()
}

/// Runs mutants of the seeds; the input that failed, if one did.
fn run_many(target: &Target, runs: u64, seed: u64) -> Option<Vec<u8>> {
    let mut random = Random::new(seed);
    let seeds: Vec<_> = (target.seeds)().into_iter().chain(corpus(target.name)).collect();
    let mut refused = 0;
    for input in &seeds {
        match run_one(target, input) {
            Ok(true) => {}
            Ok(false) => refused += 1,
            Err(()) => return Some(input.clone()),
        }
    }
    let mut pool = seeds.clone();
    let mut accepted = 0_u64;
    for _ in 0..runs {
        let input = mutate::mutant(&mut random, &pool, target.shape == Shape::Ber);
        match run_one(target, &input) {
            Ok(true) => {
                accepted += 1;
                if pool.len() < seeds.len() + KEPT_MAX {
                    pool.push(input);
                } else {
                    let slot = seeds.len() + random.below(KEPT_MAX);
                    pool[slot] = input;
                }
            }
            Ok(false) => {}
            Err(()) => return Some(input),
        }
    }
    println!(
        "{}: {runs} runs with seed {seed}, {accepted} accepted, nothing found ({refused} of {} seeds are refused)",
        target.name,
        seeds.len()
    );
    None
}
