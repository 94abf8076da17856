//! `lightsout`: the daemon and the operator's command line in one program.

use std::process::ExitCode;

use brain::cli::{self, Cli};
use clap::Parser as _;

fn main() -> ExitCode {
    // Usage errors leave here with code 2.
    let cli = Cli::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build() {
        Ok(runtime) => runtime,
        Err(why) => {
            eprintln!("lightsout: cannot start: {why}");
            return ExitCode::from(1);
        }
    };
    match runtime.block_on(cli::run(cli)) {
        Ok(code) => code,
        Err(why) => {
            eprintln!("lightsout: {why}");
            why.exit_code()
        }
    }
}
