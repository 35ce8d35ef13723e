//! The strongroom program: server and command line
fn main() {}
