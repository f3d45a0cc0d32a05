//! The binary: reads flags and files, joins the rooms, decides nothing itself.
#![forbid(unsafe_code)]

mod admin;
mod check;
mod cli;
mod demo;
mod dev;
mod local;
mod os_env;
mod run;
mod signals;
mod telemetry;
mod test;
mod wiring;

use std::process::ExitCode;

use clap::Parser;
use trimtab_wasm::CompileLimits;

fn main() -> ExitCode {
    let cli = cli::Cli::parse();
    let quiet = matches!(cli.command, cli::Command::Test(_));
    telemetry::start(cli.log.as_deref().unwrap_or(if quiet { "off" } else { "info" }));
    let done = match cli.command {
        cli::Command::Run(args) => run::main(args),
        cli::Command::Dev(args) => dev::main(args),
        cli::Command::Demo(args) => demo::main(args),
        cli::Command::Test(args) => return test::main(&args),
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
