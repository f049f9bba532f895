//! Compiles the protocol definitions without `protoc`, and the descriptor set for reflection.

use std::{env, fs, path::PathBuf};

/// Every file of the wire, relative to `proto/`.
const FILES: [&str; 7] = [
    "api.proto",
    "log.proto",
    "command.proto",
    "row.proto",
    "peer.proto",
    "engine.proto",
    "stored.proto",
];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    for file in FILES {
        println!("cargo::rerun-if-changed=proto/{file}");
    }
    let descriptors = protox::compile(FILES, ["proto"])?;
    let out = PathBuf::from(env::var("OUT_DIR")?);
    fs::write(
        out.join("anneal.bin"),
        prost::Message::encode_to_vec(&descriptors),
    )?;
    tonic_prost_build::configure()
        .bytes(".")
        .compile_fds(descriptors)?;
    Ok(())
}
