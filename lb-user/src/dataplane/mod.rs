//! Engines that forward packets.
