// SPDX-License-Identifier: Apache-2.0
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| strongroom_client::fuzzing::client_instruction_file(data));
