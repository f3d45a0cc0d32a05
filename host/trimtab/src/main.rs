//! The binary: reads flags and files, joins the rooms, decides nothing itself.
#![forbid(unsafe_code)]

mod admin;
mod ask;
mod canary;
mod check;
mod cli;
mod demo;
mod dev;
mod init;
mod local;
mod manifests;
mod migrate;
mod os_env;
mod plural;
mod rbac;
mod release;
mod replay;
mod run;
mod screen;
mod signals;
mod telemetry;
mod test;
mod wiring;

use std::{process::ExitCode, time::Instant};

use clap::Parser;
use tikv_jemallocator::Jemalloc;
use trimtab_wasm::CompileLimits;

use crate::screen::Screen;

#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

fn main() -> ExitCode {
    let began = Instant::now();
    let cli = cli::Cli::parse();
    let screen = Screen::new();
    let (quiet, log) = match cli.command {
        cli::Command::Test(_) | cli::Command::Replay(_) => ("off", None),
        cli::Command::Dev(_) => ("warn", Some(screen.clone())),
        _ => ("info", None),
    };
    telemetry::start(cli.log.as_deref().unwrap_or(quiet), log);
    let done = match cli.command {
        cli::Command::Run(args) => run::main(args),
        cli::Command::Dev(args) => dev::main(args, began, screen),
        cli::Command::Init(args) => init::main(args),
        cli::Command::Rbac(args) => rbac::main(args),
        cli::Command::Migrate(cli::Migrate::Metacontroller(args)) => migrate::main(args),
        cli::Command::Demo(args) => demo::main(args),
        cli::Command::Test(args) => return test::main(&args),
        cli::Command::Replay(args) => return replay::main(&args),
        cli::Command::Plugins(args) => ask::plugins(&args),
        cli::Command::Why(args) => ask::why(&args),
        cli::Command::Rollback(args) => ask::roll_back(&args),
        cli::Command::Shadow(args) => ask::shadow(&args),
        cli::Command::Canary(canary) => canary::main(&canary),
        cli::Command::Release(args) => release::main(args),
        cli::Command::Check(args) => check::main(args),
        cli::Command::Compile(args) => {
            return trimtab_wasm::compile(&args.input, &args.output, CompileLimits::default());
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // The chain is one line: what was tried, then why it failed.
            eprintln!("trimtab: {error:#}");
            ExitCode::FAILURE
        }
    }
}
