//! What the kernel answers to questions about nftables.
#![no_main]

libfuzzer_sys::fuzz_target!(|answer: &[u8]| lb_user::dataplane::af_packet::read_kernel_answer(answer));
