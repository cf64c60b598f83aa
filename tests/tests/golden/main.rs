//! Golden packets: each behaviour of the packet path is one named row, and every row runs on every engine.
//!
//! A row ([`rows`]) is a short story told to a [`bench`]: frames go in, and what comes out must be the expected
//! frame to the last byte. Expected frames are built anew by `etherparse`, checksums included, and the [`oracle`]
//! takes apart and sums what was forwarded: neither shares code with the packet path. The same story then runs on
//! the other engine, and both must have given the same verdicts, reasons and bytes.
//!
//! [`properties`] and [`differential`] do the same with packets that nobody thought of. Each row is told once more to engines
//! that are watched, and [`watching`] looks at what they show. Needs root, for the kernel.

mod bench;
mod differential;
mod engine;
mod frame;
mod oracle;
mod properties;
mod rows;
mod tunnel;
mod watching;
mod world;
